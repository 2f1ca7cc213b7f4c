//! Bytecode from the Python on PATH, compared byte by byte and used.

use super::*;

fn variables() -> BTreeMap<OsString, OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    BTreeMap::from([("PATH".into(), path)])
}

fn python() -> Interpreter {
    let variables = variables();
    std::env::split_paths(&variables[&OsString::from("PATH")])
        .map(|directory| directory.join("python3"))
        .filter(|program| files::is_executable(program))
        .find_map(|program| Interpreter::ask(&program, &variables).ok())
        .expect("the tests need a Python 3 on PATH")
}

/// A root with an unpacked wheel of these files.
struct TestRoot {
    _temporary: tempfile::TempDir,
    root: Root,
    wheel: UnpackedWheel,
}

fn world(name: &str, contents: &[(&str, &[u8])]) -> TestRoot {
    let temporary = tempfile::tempdir().unwrap();
    let root = Root::at(&temporary.path().join(name), None);
    let staging = Staging::beside(&wheels::directory(&root, &Digest::of("wheel")), &root).unwrap();
    let mut list = Vec::new();
    for (path, bytes) in contents {
        let at = staging.directory_of(Scheme::SitePackages).join(path);
        files::create_directories(at.parent().unwrap()).unwrap();
        files::write(&at, bytes).unwrap();
        list.push(UnpackedFile {
            scheme: Scheme::SitePackages,
            path: (*path).to_owned(),
            sha256: Digest::of(bytes),
            size: bytes.len() as u64,
            executable: false,
        });
    }
    let wheel = staging.publish(list).unwrap();
    TestRoot {
        _temporary: temporary,
        root,
        wheel,
    }
}

impl TestRoot {
    fn compile(&self, threads: usize) -> UnpackedWheel {
        let workers = Workers::new(threads).unwrap();
        let (python, variables) = (python(), variables());
        let wheel = Digest::of("wheel");
        compile(
            &self.root,
            &self.wheel,
            &wheel,
            false,
            &python,
            &variables,
            &workers,
        )
        .unwrap()
    }

    fn skipped(unpacked: &UnpackedWheel) -> String {
        files::read_text(&unpacked.directory.join("skipped.txt")).unwrap()
    }
}

const MODULE: &[u8] = b"import os\nNAMES = {'a', 'b', 'c', 'd'}\nTEXT = 'shared words'\n\ndef f(x):\n    \
    return x in {'a', 'b', 'c', 'd'}, TEXT\n\nclass C:\n    def g(self):\n        raise ValueError('shared words')\n";

#[test]
fn two_roots_hold_the_same_bytes_whatever_the_number_of_threads() {
    // More than one group, so that several processes take part.
    let names: Vec<String> = (0..GROUP + 50).map(|n| format!("p/m{n}.py")).collect();
    let contents: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), MODULE)).collect();
    let one = world("one", &contents);
    let two = world("another/root of another length", &contents);
    let first = one.compile(1);
    let second = two.compile(4);
    assert_eq!(first.files, second.files);
    assert_eq!(first.files.len(), GROUP + 50);
    for file in &first.files {
        let bytes = files::read(&first.source(file)).unwrap();
        assert_eq!(bytes, files::read(&second.source(file)).unwrap());
        assert_eq!(Digest::of(&bytes), file.sha256);
    }
    assert_eq!(TestRoot::skipped(&first), "");
    let there =
        wheels::bytecode_directory(&one.root, &Digest::of("wheel"), &python().identity, false);
    assert_eq!(wheels::read(&there).unwrap().unwrap(), first);
}

#[test]
fn what_does_not_compile_is_listed_and_left_out() {
    let world = world(
        "root",
        &[
            ("good.py", b"x = 1\n"),
            ("p/template.py", b"class {{ name }}:\n    pass\n"),
            ("p/two.py", b"print 'Python 2'\n"),
            ("p/zero.py", b"x = '\0'\n"),
            ("p/latin.py", b"x = '\xff'\n"),
            ("p/warns.py", b"x = 1 is 1\n"),
            ("p/data.txt", b"x = 1\n"),
        ],
    );
    let unpacked = world.compile(1);
    let modules: Vec<&str> = unpacked
        .files
        .iter()
        .map(|file| {
            file.path
                .rsplit('/')
                .next()
                .unwrap()
                .split('.')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(modules, ["good", "warns"]);
    let skipped = TestRoot::skipped(&unpacked);
    let paths: Vec<&str> = skipped
        .lines()
        .map(|l| l.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        paths,
        ["p/latin.py", "p/template.py", "p/two.py", "p/zero.py"]
    );
}

#[test]
fn a_wheel_without_modules_has_no_bytecode() {
    let world = world("root", &[("lib/x.so", b"x")]);
    assert_eq!(world.compile(1).files, []);
}

#[test]
fn python_uses_the_bytecode_and_shows_real_paths() {
    let world = world("root", &[("m.py", b"def f():\n    raise ValueError\n")]);
    let unpacked = world.compile(1);
    // Put together as an environment is.
    let temporary = tempfile::tempdir().unwrap();
    let site = temporary.path().join("site");
    for from in [&world.wheel, &unpacked] {
        for file in &from.files {
            let to = site.join(&file.path);
            files::create_directories(to.parent().unwrap()).unwrap();
            files::write(&to, &files::read(&from.source(file)).unwrap()).unwrap();
        }
    }
    // The source is changed: were the bytecode not used, the message would change too.
    files::write(&site.join("m.py"), b"def f():\n    raise KeyError\n").unwrap();
    let script = "import sys; sys.path.insert(0, sys.argv[1]); import m; print(m.f.__code__.co_filename); m.f()";
    let output = Command::new(python().executable)
        .arguments(["-I", "-B", "-c", script])
        .arguments([&site])
        .run()
        .unwrap();
    let path = site.join("m.py").display().to_string();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), path);
    assert!(
        output
            .stderr
            .contains(&format!("File \"{path}\", line 2, in f")),
        "{}",
        output.stderr
    );
    assert!(output.stderr.ends_with("ValueError\n"), "{}", output.stderr);
}

#[test]
fn an_interpreter_that_fails_is_shown_with_its_output() {
    let world = world("root", &[("m.py", b"x = 1\n")]);
    let mut python = python();
    let program = world.root.path().join("python");
    files::write(
        &program,
        b"#!/bin/sh\ncat > /dev/null\necho no memory >&2\nexit 3\n",
    )
    .unwrap();
    files::set_mode(&program, 0o755).unwrap();
    python.executable = program;
    let error = compile(
        &world.root,
        &world.wheel,
        &Digest::of("wheel"),
        false,
        &python,
        &variables(),
        &Workers::new(1).unwrap(),
    );
    let message = error.unwrap_err().to_string();
    assert!(message.contains("ended with exit code 3"), "{message}");
    assert!(message.ends_with("no memory"), "{message}");
    let bytecode = world.root.bytecode();
    assert_eq!(files::names(&bytecode).unwrap(), Vec::<String>::new());
}
