//! `rootstock run ENV --python P`: an environment's packages under a Python that is not its own, or the reason why not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rootstock::overlay::{Mode, Record};
use snapbox::str;

use crate::sandbox::{Said, Sandbox, Wheel, lacking, python, python_version, send, trace};

/// `one` needs `single`, `two` nothing; locked. `two` is built, so that there is a root.
fn project() -> Sandbox {
    let sandbox = Sandbox::new(&[("one", &["single"]), ("two", &[])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    sandbox.lock();
    sandbox.sync(&["two"]);
    sandbox
}

/// A virtual environment of the machine's Python 3.11: an interpreter that is not the environment's, of the same ABI.
fn venv(sandbox: &Sandbox) -> PathBuf {
    let place = sandbox.path("venv");
    let made = Command::new(python())
        .args(["-I", "-m", "venv", "--without-pip"])
        .arg(&place)
        .status();
    assert!(made.unwrap().success());
    place.join("bin/python")
}

/// A program that says it is a CPython 3.10, and is the machine's Python otherwise.
fn of_another_series(sandbox: &Sandbox) -> PathBuf {
    let machine = std::env::consts::ARCH;
    let place = sandbox.path("other/python3.10");
    let answer = format!(
        r#"{{"executable": "{}", "identity": {{"implementation": "cpython", "version": "3.10.13", "soabi": "cpython-310-{machine}-linux-gnu", "platform": "linux-{machine}"}}, "glibc": "2.36"}}"#,
        place.display()
    );
    let script = format!(
        "#!/bin/sh\nif [ \"$1 $2\" = '-I -S' ]; then echo '{answer}'; exit; fi\nexec {} \"$@\"\n",
        python().display()
    );
    sandbox.program("other/python3.10", &script);
    place
}

/// The command, with a cache of its own.
fn command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(arguments);
    private(sandbox, &mut command);
    command
}

fn private(sandbox: &Sandbox, command: &mut Command) {
    command
        .env("XDG_CACHE_HOME", sandbox.path("cache"))
        .env("ROOTSTOCK_UV", crate::limits::uv())
        .env("UV_CACHE_DIR", sandbox.path("uv-cache"));
}

/// `rootstock run one --python PYTHON OPTIONS -- python CODE`.
fn run(sandbox: &Sandbox, python: &Path, options: &[&str], code: &str) -> Said {
    let python = python.to_str().unwrap();
    let all = [
        &["run", "one", "--python", python],
        options,
        &["--", "python", "-c", code],
    ]
    .concat();
    command(sandbox, &all).output().unwrap().into()
}

const IMPORT: &str = "import single; print(single.VERSION, single.__file__)";

fn records(sandbox: &Sandbox, name: &str) -> Vec<Record> {
    let text = sandbox.read(name);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn a_python_of_the_same_abi_has_what_is_built_and_builds_nothing() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    let before = sandbox.index.asked();
    let mut pythons = vec![venv(&sandbox)];
    let debian = PathBuf::from("/usr/bin/python3.11");
    let differs = debian.exists() && debian.canonicalize().unwrap() != python();
    if lacking::unless(differs, "second-python3.11") {
        pythons.push(debian);
    }
    for python in pythons {
        let said = run(&sandbox, &python, &["--record", "record"], IMPORT);
        assert_eq!(said.expect(0).stderr, "");
        let (version, path) = said.stdout.trim().split_once(' ').unwrap();
        assert_eq!(version, "1.0");
        assert!(
            Path::new(path).starts_with(sandbox.generation("root", "one")),
            "{path}"
        );
        let records = records(&sandbox, "record");
        let record = records.last().unwrap();
        assert_eq!(record.environment.as_str(), "one");
        assert_eq!(record.overlay, Mode::Prepend);
        assert_eq!(
            record.generation.as_deref(),
            sandbox.stamp("root", "one", "id").as_str()
        );
        let python_in_it = record.python.as_ref().unwrap();
        assert_eq!(python_in_it.executable.as_deref(), python.to_str());
        assert_eq!(
            (python_in_it.pid, record.argv0.as_deref()),
            (record.pid, Some("-c"))
        );
    }
    assert_eq!(sandbox.index.asked(), before);
    // The rest of the caller's variables is as it was.
    let code =
        "import os; print(os.environ['PYTHONPATH'].split(':')[1:], os.environ['LD_LIBRARY_PATH'])";
    let venv = sandbox.path("venv/bin/python");
    let said = command(
        &sandbox,
        &[
            "run",
            "one",
            "--python",
            venv.to_str().unwrap(),
            "--",
            "python3",
            "-c",
            code,
        ],
    )
    .env("PYTHONPATH", "/a:/b")
    .env("LD_LIBRARY_PATH", "/c")
    .output()
    .unwrap();
    assert_eq!(Said::from(said).expect(0).stdout, "['/a', '/b'] /c\n");
}

#[test]
fn the_environment_s_own_python_gets_no_overlay() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    let own = sandbox.path("root/envs/one/bin/python");
    let link = sandbox.path("link");
    std::os::unix::fs::symlink(&own, &link).unwrap();
    for python in [&own, &link] {
        let code = "import single, sys; print(sys.prefix)";
        let said = run(&sandbox, python, &["--record", "record"], code);
        let generation = sandbox.generation("root", "one");
        assert_eq!(said.expect(0).stdout.trim(), generation.to_str().unwrap());
        assert_eq!(
            records(&sandbox, "record").last().unwrap().overlay,
            Mode::Own
        );
    }
    let said = run(
        &sandbox,
        &own,
        &["--require-overlay"],
        "raise SystemExit(3)",
    );
    said.expect(3);
}

/// The programs that were started, of those that are below this directory or have this name.
fn started(seen: &Path, what: &str) -> usize {
    let text = fs::read_to_string(seen).unwrap();
    let is_start = |line: &&str| line.contains("execve(") && line.contains(" = 0");
    let lines = text.lines().filter(is_start);
    lines
        .filter(|line| {
            line.split('"')
                .nth(1)
                .is_some_and(|path| path.contains(what))
        })
        .count()
}

#[test]
fn what_is_missing_is_built_once_and_then_nothing_is_asked() {
    let sandbox = project();
    let python = venv(&sandbox);
    let said = run(&sandbox, &python, &[], IMPORT);
    let machine = std::env::consts::ARCH;
    assert_eq!(
        said.expect(0).stderr,
        format!(
            "rootstock: building one for cpython-311-{machine}-linux-gnu … (once per Python)\n"
        )
    );
    // It is a generation of the root as any other.
    assert_eq!(sandbox.names("root/envs"), ["one", "two"]);
    sandbox
        .run(&["sync", "one", "--check", "--only", "envs"])
        .expect(0);
    assert!(!sandbox.path("cache/rootstock/runtime").exists());
    let said = run(&sandbox, &python, &[], IMPORT);
    assert_eq!(said.expect(0).stderr, "");
    if !trace::is_possible() {
        return;
    }
    let seen = sandbox.path("seen");
    let mut traced = trace::writing_to(&sandbox, &seen, &["trace=execve"]);
    private(&sandbox, &mut traced);
    let python = python.to_str().unwrap();
    let output = traced
        .args([
            "run", "one", "--python", python, "--", "python", "-c", IMPORT,
        ])
        .output()
        .unwrap();
    assert_eq!(Said::from(output).expect(0).stderr, "");
    // The program itself, and the command.
    assert_eq!(
        started(&seen, ""),
        2,
        "{}",
        fs::read_to_string(&seen).unwrap()
    );
    assert_eq!(started(&seen, "python"), 1);
}

#[test]
fn without_the_option_no_python_is_started() {
    if !trace::is_possible() {
        return;
    }
    let sandbox = project();
    sandbox.sync(&["one"]);
    let seen = sandbox.path("seen");
    let mut traced = trace::writing_to(&sandbox, &seen, &["trace=execve"]);
    let output = traced
        .args(["run", "one", "--", "/bin/sh", "-c", ":"])
        .output();
    Said::from(output.unwrap()).expect(0);
    assert_eq!(started(&seen, "python"), 0);
    assert_eq!(started(&seen, ""), 2);
}

#[test]
fn a_series_that_is_not_locked_is_named_and_the_command_runs() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    let python = of_another_series(&sandbox);
    let said = run(&sandbox, &python, &[], "print('ran'); raise SystemExit(7)");
    assert_eq!(said.expect(7).stdout, "ran\n");
    let machine = std::env::consts::ARCH;
    assert_eq!(
        said.stderr,
        format!(
            "warning: environment `one` is not locked for cpython 3.10.13 (cpython-310-{machine}-linux-gnu); the command runs \
             without the environment's packages; write `also-python = [\"3.10\"]` into `[environments.one]`, then run \
             `rootstock lock && rootstock sync one@3.10`\n"
        )
    );
    let code = "open('started', 'w')";
    let said = run(&sandbox, &python, &["--require-overlay"], code);
    said.expect(4);
    assert!(
        said.told().contains("`also-python = [\"3.10\"]`"),
        "{}",
        said.told()
    );
    assert!(!sandbox.path("started").exists());
    // Its record says which Python it was in truth, and that it had nothing of the environment.
    let said = run(&sandbox, &python, &["--record", "record"], "import single");
    said.expect(1);
    let record = &records(&sandbox, "record")[0];
    assert_eq!((record.overlay, &record.generation), (Mode::None, &None));
    assert_eq!(record.python.as_ref().unwrap().version, python_version());
    // Where there is no manifest, that is what is missing.
    let said = command(
        &sandbox,
        &[
            "--manifest",
            "no.toml",
            "--root",
            "root",
            "run",
            "one",
            "--python",
        ],
    )
    .arg(&python)
    .args(["--", "/bin/sh", "-c", "exit 5"])
    .output()
    .unwrap();
    let said = Said::from(said);
    said.expect(5);
    assert!(
        said.stderr
            .contains("there is no `no.toml` to build it from"),
        "{}",
        said.stderr
    );
}

/// Puts a package into a virtual environment.
fn put(sandbox: &Sandbox, version: &str) {
    let site = "venv/lib/python3.11/site-packages";
    sandbox.write(
        &format!("{site}/single/__init__.py"),
        &format!("VERSION = \"{version}\"\n"),
    );
    let metadata = format!("Metadata-Version: 2.1\nName: Single\nVersion: {version}\n");
    sandbox.write(
        &format!("{site}/single-{version}.dist-info/METADATA"),
        &metadata,
    );
    sandbox.write(
        &format!("{site}/single-{version}.dist-info/RECORD"),
        "single/__init__.py,,\n",
    );
}

#[test]
fn a_package_of_its_own_wins_and_is_named() {
    let sandbox = Sandbox::new(&[("one", &["single", "other"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    sandbox
        .index
        .add(&Wheel::simple("other", "1.0").requires("single>=1"));
    sandbox.lock();
    sandbox.sync(&[]);
    let python = venv(&sandbox);
    let code = "import single, other; print(single.VERSION, other.VERSION)";
    assert_eq!(
        run(&sandbox, &python, &[], code).expect(0).stdout,
        "1.0 1.0\n"
    );
    // What was remembered of it holds no longer.
    put(&sandbox, "2.1");
    let said = run(&sandbox, &python, &["--record", "record"], code);
    assert_eq!(said.expect(0).stdout, "2.1 1.0\n");
    said.stderr_is(
        &sandbox,
        str!["warning: Single 2.1 in [PROJECT]/venv/lib/python3.11/site-packages is used, not 1.0 of environment `one`; `--overlay prepend` reverses that"],
    );
    let record = &records(&sandbox, "record")[0];
    assert_eq!(record.overlay, Mode::Append);
    let [collision] = &record.collisions[..] else {
        panic!("{record:?}")
    };
    assert_eq!(collision.name, "single");
    assert_eq!(
        (collision.theirs.as_deref(), collision.ours.as_deref()),
        (Some("2.1"), Some("1.0"))
    );
    let said = run(&sandbox, &python, &["--overlay", "prepend"], code);
    assert_eq!(said.expect(0).stdout, "1.0 1.0\n");
    said.stderr_is(
        &sandbox,
        str!["warning: Single 1.0 of environment `one` is used, not 2.1 in [PROJECT]/venv/lib/python3.11/site-packages"],
    );
    // Only what was asked for: `other` needs `single`, and nothing needs `other`.
    let said = run(
        &sandbox,
        &python,
        &["--packages", "other", "--overlay", "prepend"],
        code,
    );
    assert_eq!(said.expect(0).stdout, "1.0 1.0\n");
    let said = run(&sandbox, &python, &["--packages", "single"], "import other");
    said.expect(1);
    let said = run(&sandbox, &python, &["--packages", "singel"], code);
    said.expect(2);
    assert!(
        said.told().contains("did you mean `single`?"),
        "{}",
        said.told()
    );
    let code = "import importlib.metadata as m; print(m.version('other'), m.version('single'))";
    let said = run(&sandbox, &python, &["--packages", "other"], code);
    assert_eq!(said.expect(0).stdout, "1.0 2.1\n");
    let said = run(&sandbox, &python, &["--overlay", "skip"], "import other");
    said.expect(1);
    assert!(!said.stderr.contains("warning"), "{}", said.stderr);
}

#[test]
fn what_does_not_satisfy_the_environment_leaves_it_out() {
    let sandbox = Sandbox::new(&[("one", &["single", "other"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    let other = Wheel::simple("other", "1.0").requires("single>=1,<2");
    sandbox
        .index
        .add(&other.requires("single>=9; python_version < '3'"));
    sandbox.lock();
    sandbox.sync(&[]);
    let python = venv(&sandbox);
    put(&sandbox, "2.1");
    let said = run(
        &sandbox,
        &python,
        &[],
        "import single; print(single.VERSION); import other",
    );
    assert_eq!(said.expect(1).stdout, "2.1\n");
    let first = said.stderr.lines().next().unwrap();
    let last = first.replace(&sandbox.path("").display().to_string(), "[P]/");
    assert_eq!(
        last,
        "warning: what `[P]/venv/bin/python` has does not fit environment `one`: other 1.0 requires single>=1, <2, and \
         single 2.1 is in [P]/venv/lib/python3.11/site-packages; the command runs without the environment's packages; change \
         it there, add only some packages with `--packages`, or let the environment's win with `--overlay prepend`"
    );
    run(&sandbox, &python, &["--require-overlay"], "pass").expect(4);
    // Of `single` alone nothing is required.
    let said = run(
        &sandbox,
        &python,
        &["--packages", "single", "--require-overlay"],
        "import single",
    );
    said.expect(0);
}

#[test]
fn a_program_that_is_no_python_costs_little() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    for (name, script) in [
        ("fails", "exit 1"),
        ("blank", ":"),
        ("garbage", "echo '{\"executable\": 7}'"),
        ("lines", "echo no; echo json"),
        (
            "endless",
            "while :; do echo 0123456789012345678901234567890123456789; done",
        ),
        // Were it waited for, the test would not end.
        ("hangs", "sleep 1000"),
        ("hangs-and-holds", "sleep 1000 & exec sleep 1000"),
    ] {
        sandbox.program(&format!("fake/{name}"), &format!("#!/bin/sh\n{script}\n"));
        let fake = sandbox.path(&format!("fake/{name}"));
        let all = ["run", "one", "--python", fake.to_str().unwrap()];
        let all = [&all[..], &["--", "/bin/sh", "-c", "exit 6"]].concat();
        let mut command = command(&sandbox, &all);
        let said = Said::from(command.env("PATH", "/usr/bin:/bin").output().unwrap());
        said.expect(6);
        assert!(
            said.stderr.contains("is no Python, or did not say which"),
            "{}",
            said.stderr
        );
    }
    let said = run(&sandbox, Path::new("/no/such/python"), &[], "pass");
    said.expect(127);
    assert!(
        said.told().contains("`/no/such/python` is not found"),
        "{}",
        said.told()
    );
}

#[test]
fn a_root_that_is_not_there_leaves_the_user_s_cache() {
    let sandbox = project();
    let python = venv(&sandbox);
    let all = [
        "--root",
        "nowhere",
        "run",
        "one",
        "--python",
        python.to_str().unwrap(),
    ];
    let all = [&all[..], &["--", "python", "-c", IMPORT]].concat();
    let said: Said = command(&sandbox, &all).output().unwrap().into();
    said.expect(0);
    let machine = std::env::consts::ARCH;
    let place = format!("cache/rootstock/runtime/cpython-311-{machine}-linux-gnu-linux-{machine}");
    let path = PathBuf::from(said.stdout.trim().split_once(' ').unwrap().1);
    assert!(path.starts_with(sandbox.path(&place)), "{path:?}");
    let id = sandbox.stamp(&place, "one", "id");
    let id = id.as_str().unwrap();
    assert!(sandbox.path(&place).join(id).join("bin/python").exists());
    assert!(!sandbox.path("nowhere").exists());
    let said: Said = command(&sandbox, &all).output().unwrap().into();
    assert_eq!(said.expect(0).stderr, "");
    // Another lock is another generation; the first stays.
    sandbox.index.add(&Wheel::simple("single", "2.0"));
    sandbox.run(&["lock", "--upgrade"]).expect(0);
    let said: Said = command(&sandbox, &all).output().unwrap().into();
    assert!(said.expect(0).stdout.starts_with("2.0 "), "{}", said.stdout);
    assert!(said.stderr.contains("building one for"), "{}", said.stderr);
}

#[test]
fn what_a_killed_build_leaves_is_in_no_one_s_way() {
    let sandbox = project();
    let python = venv(&sandbox);
    let file = "single-1.0-py3-none-any.whl";
    sandbox.index.hold(file);
    let all = [
        "run",
        "one",
        "--python",
        python.to_str().unwrap(),
        "--",
        "python",
        "-c",
        IMPORT,
    ];
    let mut child = command(&sandbox, &all)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    sandbox.index.wait_for(file);
    send("KILL", child.id());
    child.wait().unwrap();
    sandbox.index.release();
    let said: Said = command(&sandbox, &all).output().unwrap().into();
    assert!(said.expect(0).stdout.starts_with("1.0 "));
    sandbox.run(&["doctor", "--deep"]).expect(0);
}

#[test]
fn many_at_once_build_once() {
    let sandbox = project();
    let python = venv(&sandbox);
    let all = [
        "run",
        "one",
        "--python",
        python.to_str().unwrap(),
        "--",
        "python",
        "-c",
        IMPORT,
    ];
    let start = || {
        command(&sandbox, &all)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..8).map(|_| start()).collect();
    for child in children {
        let said: Said = child.wait_with_output().unwrap().into();
        assert!(said.expect(0).stdout.starts_with("1.0 "), "{}", said.stdout);
    }
    let asked = sandbox.index.asked();
    assert_eq!(
        asked
            .iter()
            .filter(|file| file.starts_with("single-"))
            .count(),
        1,
        "{asked:?}"
    );
    assert_eq!(sandbox.names("root/generations/one").len(), 1);
}

#[test]
fn without_a_network_the_command_runs_all_the_same() {
    let sandbox = project();
    let python = venv(&sandbox);
    let all = [
        "run",
        "one",
        "--python",
        python.to_str().unwrap(),
        "--",
        "python",
        "-c",
        "raise SystemExit(9)",
    ];
    // Nothing listens there.
    let said: Said = command(&sandbox, &all)
        .env("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        .output()
        .unwrap()
        .into();
    said.expect(9);
    let lines: Vec<&str> = said.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("building one for"), "{lines:?}");
    assert!(
        lines[1].starts_with("warning: environment `one` is not built for")
            && lines[1].ends_with("`rootstock sync one`"),
        "{lines:?}"
    );
}

#[test]
fn what_may_be_built_is_the_manifest_s_word_or_the_user_s() {
    let sandbox = project();
    let python = venv(&sandbox);
    let manifest = sandbox.read("rootstock.toml");
    let with = |install: &str| {
        sandbox.write(
            "rootstock.toml",
            &format!("{manifest}\n[runtime]\ninstall = \"{install}\"\n"),
        );
    };
    let with_variable = |value: &str| -> Said {
        let all = [
            "run",
            "one",
            "--python",
            python.to_str().unwrap(),
            "--",
            "python",
            "-c",
            "pass",
        ];
        let mut command = command(&sandbox, &all);
        command
            .env("ROOTSTOCK_RUNTIME_INSTALL", value)
            .output()
            .unwrap()
            .into()
    };
    with("skip");
    let said = run(&sandbox, &python, &[], "pass");
    assert!(
        said.expect(0)
            .stderr
            .contains("`install = \"skip\"` forbids to build it"),
        "{}",
        said.stderr
    );
    with("auto");
    let said = with_variable("skip");
    assert!(
        said.expect(0).stderr.contains("not built"),
        "{}",
        said.stderr
    );
    with("ask");
    let said = run(&sandbox, &python, &[], "pass");
    said.expect(2);
    assert!(
        said.told()
            .contains("`ask` does not say what `install` does"),
        "{}",
        said.told()
    );
    sandbox.run(&["lock", "--check"]).expect(2);
    with("skip");
    let said = with_variable("sometimes");
    let told = &said.expect(0).stderr;
    assert!(
        told.contains("ROOTSTOCK_RUNTIME_INSTALL is `sometimes`")
            && told.contains("building one for"),
        "{told}"
    );
    // What is there is used, whatever may be built.
    let said = run(&sandbox, &python, &["--require-overlay"], IMPORT);
    assert_eq!(said.expect(0).stderr, "");
}

#[test]
fn a_python_that_ignores_the_variables_is_noticed() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    let python = venv(&sandbox);
    let with = |options: &[&str], arguments: &[&str]| -> Said {
        let all = [
            &["run", "one", "--python", python.to_str().unwrap()],
            options,
            &["--"],
            arguments,
        ];
        command(&sandbox, &all.concat()).output().unwrap().into()
    };
    for flag in ["-I", "-E", "-S"] {
        let said = with(&["--record", "record"], &["python", flag, "-c", "pass"]);
        assert!(
            said.expect(0).stderr.contains("no Python has reported"),
            "{}",
            said.stderr
        );
        with(&["--require-overlay"], &["python", flag, "-c", "pass"]).expect(1);
        with(
            &["--require-overlay"],
            &["python", flag, "-c", "raise SystemExit(5)"],
        )
        .expect(5);
    }
    let said = with(&["--record", "record"], &["/bin/sh", "-c", "kill -TERM $$"]);
    said.expect(128 + 15);
    let records = records(&sandbox, "record");
    assert_eq!(records.len(), 4);
    assert!(
        records
            .iter()
            .all(|record| record.python.is_none() && record.overlay == Mode::None)
    );
    // Every process of the command has a line; each has the packages.
    let code = "import subprocess, sys, single; subprocess.check_call([sys.executable, '-c', 'import single'])";
    with(
        &["--record", "many", "--require-overlay"],
        &["python", "-c", code],
    )
    .expect(0);
    let many = crate::foreign::records(&sandbox, "many");
    assert_eq!(many.len(), 2);
    assert_ne!(many[0].pid, many[1].pid);
    // One's own `sitecustomize` runs as well.
    sandbox.write("mine/sitecustomize.py", "print('mine')\n");
    let all = [
        "run",
        "one",
        "--python",
        python.to_str().unwrap(),
        "--",
        "python",
        "-c",
        "import single",
    ];
    let said: Said = command(&sandbox, &all)
        .env("PYTHONPATH", sandbox.path("mine"))
        .output()
        .unwrap()
        .into();
    assert_eq!(said.expect(0).stdout, "mine\n");
}

#[test]
fn options_of_another_python_need_one() {
    let sandbox = project();
    sandbox.sync(&["one"]);
    for option in [
        &["--overlay", "append"][..],
        &["--packages", "single"],
        &["--require-overlay"],
        &["--record", "record"],
        &["--python", "python3.11", "--clean"],
        &["--python", "python3.11", "--overlay", "sometimes"],
        &["--python", "python3.11", "--record", "no/such/place"],
        &[
            "--python",
            "python3.11",
            "--overlay",
            "skip",
            "--require-overlay",
        ],
    ] {
        let all = [&["run", "one"], option, &["--", "/bin/true"]].concat();
        sandbox.run(&all).expect(2);
    }
    sandbox
        .run(&["run", "oen", "--python", "python3.11", "--", "/bin/true"])
        .expect(2);
}

/// A Python of this series, on PATH or one of pyenv's, where this machine has one.
fn of_series(series: &str) -> Option<PathBuf> {
    let name = format!("python{series}");
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let versions = fs::read_dir(home.join(".pyenv/versions"))
        .into_iter()
        .flatten();
    let versions = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin").join(&name)));
    let code = "import os, sys; print(os.path.realpath(sys._base_executable))";
    let answers = |program: PathBuf| {
        let output = Command::new(program)
            .args(["-I", "-c", code])
            .output()
            .ok()?;
        let path = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !path.is_empty()).then(|| PathBuf::from(path))
    };
    let mut all = std::iter::once(PathBuf::from(&name)).chain(versions);
    all.find_map(answers)
}

#[test]
fn each_python_gets_the_packages_of_its_own_series() {
    let Some(python) = of_series("3.12") else {
        lacking::unless(false, "python3.12");
        return;
    };
    let sandbox = Sandbox::new(&[("one", &["compiled"])]);
    let machine = std::env::consts::ARCH;
    for series in ["311", "312"] {
        let wheel = Wheel::new("compiled", "1.0")
            .file("compiled.py", &format!("FOR = {series}\n"))
            .tagged(&format!("cp{series}-cp{series}-manylinux_2_17_{machine}"));
        sandbox.index.add(&wheel);
    }
    sandbox.more("also-python = [\"3.12\"]");
    sandbox.lock();
    sandbox.sync(&["one"]);
    let code = "import compiled, sys; print(compiled.FOR, *sys.version_info[:2])";
    let said = run(&sandbox, &python, &["--record", "record"], code);
    assert_eq!(said.expect(0).stdout, "312 3 12\n");
    assert_eq!(
        said.stderr,
        format!(
            "rootstock: building one for cpython-312-{machine}-linux-gnu … (once per Python)\n"
        )
    );
    assert_eq!(sandbox.names("root/envs"), ["one", "one@3.12"]);
    let record = &records(&sandbox, "record")[0];
    assert_eq!(record.environment.as_str(), "one");
    assert!(record.python.as_ref().unwrap().version.starts_with("3.12."));
    assert_eq!(
        record.generation.as_deref(),
        sandbox.stamp("root", "one@3.12", "id").as_str()
    );
    // The same without a manifest, and by its whole name.
    for name in ["one", "one@3.12"] {
        let all = [
            "--manifest",
            "no.toml",
            "--root",
            "root",
            "run",
            name,
            "--python",
        ];
        let output = command(&sandbox, &all)
            .arg(&python)
            .args(["--", "python", "-c", code])
            .output();
        let said = Said::from(output.unwrap());
        assert_eq!(said.expect(0).stdout, "312 3 12\n");
        assert_eq!(said.stderr, "");
    }
    // A command of another series has nothing of it, and its record says which it is.
    let all = [
        "run",
        "one",
        "--record",
        "both",
        "--require-overlay",
        "--python",
    ];
    let output = command(&sandbox, &all)
        .arg(&python)
        .arg("--")
        .arg(sandbox.path("bin/python3.11"))
        .args(["-c", "pass"])
        .output();
    let said = Said::from(output.unwrap());
    said.expect(1);
    let record = &records(&sandbox, "both")[0];
    assert_eq!(record.overlay, Mode::None);
    assert_eq!(record.python.as_ref().unwrap().version, python_version());
}

/// Written by the first version that had records.
const FIRST_RECORD: &str = include_str!("records/1.jsonl");

#[test]
fn a_record_of_the_first_version_can_be_read() {
    let read: Vec<Record> = FIRST_RECORD
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read[0].python.as_ref().unwrap().version, "3.12.1");
    assert_eq!(read[0].collisions[0].name, "numpy");
    assert!(read[1].python.is_none());
    let again: String = read.iter().map(Record::line).collect();
    assert_eq!(again, FIRST_RECORD);
}
