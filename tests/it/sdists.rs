//! Source distributions: what builds them is locked with its hashes, and two builds make the same.

use std::process::Command;

use snapbox::str;

use crate::sandbox::{Output, Sandbox, Sdist, Wheel};

/// An environment that needs `demo`, of which there is only this source distribution, which may be built.
fn project(demo: &Sdist) -> Sandbox {
    let sandbox = Sandbox::new(&[("one", &["demo"])]);
    sandbox.more("sdists = [\"demo\"]");
    sandbox.index.add_sdist(demo);
    sandbox
}

#[test]
fn a_build_takes_what_is_locked_and_nothing_newer() {
    let demo = Sdist::new("demo", "1.0")
        .requires("helper")
        .asks("import helper\nreturn ['extra>=1', 'never; python_version < \"3\"']")
        .makes("import helper, extra\nreturn 'BUILT = %r\\n' % [helper.VERSION, extra.VERSION]");
    let sandbox = project(&demo);
    sandbox
        .index
        .add(&Wheel::simple("helper", "1.0").requires("below"));
    sandbox.index.add(&Wheel::simple("below", "1.0"));
    sandbox.index.add(&Wheel::simple("extra", "1.0"));
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    let section = lock.split("[environment.target.build]\n").nth(1).unwrap();
    let names: Vec<&str> = section
        .lines()
        .take(5)
        .map(|line| line.split([' ', '"']).find(|w| !w.is_empty()).unwrap_or(""))
        .collect();
    assert_eq!(
        names,
        ["demo", "below", "extra", "helper", "]"],
        "{section}"
    );
    for name in ["below", "extra", "helper"] {
        assert!(
            lock.contains(&format!("file = \"{name}-1.0-py3-none-any.whl\"")),
            "{lock}"
        );
        sandbox.index.add(&Wheel::simple(name, "2.0"));
    }
    sandbox.run(&["lock", "--check"]).expect(0);
    sandbox.lock();
    assert_eq!(sandbox.read("rootstock.lock"), lock, "again");
    sandbox.sync(&[]);
    let built = sandbox.python("one", "import demo; print(demo.BUILT)");
    assert_eq!(built, "['1.0', '1.0']\n");
    // What only building takes is not in the environment.
    let site = sandbox
        .generation("root", "one")
        .join("lib/python3.11/site-packages");
    assert!(!site.join("helper").exists());

    // They move on when they are upgraded.
    sandbox.run(&["lock", "--upgrade=helper"]).expect(0);
    let lock = sandbox.read("rootstock.lock");
    assert!(
        lock.contains("\"helper 2.0 ") && lock.contains("\"extra 1.0 "),
        "{lock}"
    );
    sandbox.sync(&[]);
    let built = sandbox.python("one", "import demo; print(demo.BUILT)");
    assert_eq!(built, "['2.0', '1.0']\n");
}

#[test]
fn what_was_built_is_kept_and_what_builds_it_is_not_fetched_again() {
    let sandbox = project(&Sdist::new("demo", "1.0").requires("helper"));
    sandbox.index.add(&Wheel::simple("helper", "1.0"));
    sandbox.lock();
    let before = sandbox.index.asked().len();
    sandbox.sync(&[]);
    let asked = sandbox.index.asked();
    assert!(asked.len() > before);
    std::fs::remove_dir_all(sandbox.path("root/generations")).unwrap();
    std::fs::remove_dir_all(sandbox.path("root/store/wheels-2")).unwrap();
    sandbox.sync(&[]);
    assert_eq!(sandbox.index.asked(), asked, "nothing was fetched again");
    assert_eq!(sandbox.names("root/store/built-1").len(), 1);
    assert_eq!(sandbox.names("root/store/archives"), [""; 0]);
}

#[test]
fn two_builds_make_the_same_files() {
    // What differs from one build to the next, if one lets it: paths, umask, hash seed, home, time, and what a
    // compiler writes of paths.
    let demo = Sdist::new("demo", "1.0").makes(
        "import os, subprocess, time\n\
         open('x.c', 'w').write('const char *f(void) { return __FILE__; }\\n')\n\
         source = os.path.abspath('x.c')\n\
         flags = os.environ['CFLAGS'].split()\n\
         subprocess.run(['cc', '-g'] + flags + ['-c', source, '-o', 'x.o'], check=True)\n\
         kept = {k: v for k, v in os.environ.items() if os.path.dirname(os.path.dirname(os.getcwd())) not in v}\n\
         open('new', 'w').close()\n\
         seen = [sorted(kept.items()), list({'a', 'b', 'c', 'd'}), os.stat('new').st_mode,\n\
         os.stat('pyproject.toml').st_mode, time.tzname, open('x.o', 'rb').read().hex()]\n\
         return 'SEEN = %r\\n' % seen",
    );
    let sandbox = project(&demo);
    sandbox.lock();
    let mut trees = Vec::new();
    for (root, umask) in [("root", "022"), ("a/deeper/root", "077")] {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
        shell.args([env!("CARGO_BIN_EXE_rootstock"), "sync", "--root", root]);
        sandbox.set_up(&mut shell);
        let path = format!(
            "{}:/usr/local/bin:/usr/bin:/bin",
            sandbox.path("bin").display()
        );
        shell
            .env("PATH", path)
            .env("CFLAGS", "-DMINE")
            .env("TZ", root);
        Output::from(shell.output().unwrap()).expect(0);
        trees.push(sandbox.stamp(root, "one", "tree"));
    }
    assert_eq!(trees[0], trees[1]);
    let message = sandbox.python("one", "import demo; print(demo.SEEN)");
    assert!(
        message.contains("'SOURCE_DATE_EPOCH', '315532800'"),
        "{message}"
    );
    assert!(
        !message.contains("MINE") && !message.contains("UV_DEFAULT_INDEX"),
        "{message}"
    );
    assert!(
        message.contains("('HTTPS_PROXY', 'http://127.0.0.1:9')"),
        "{message}"
    );
}

#[test]
fn a_backend_that_asks_for_more_than_is_locked_is_stopped() {
    let flag = tempfile::NamedTempFile::new().unwrap();
    let asks = format!(
        "import os\nreturn ['extra'] if os.path.getsize({:?}) else []",
        flag.path()
    );
    let sandbox = project(&Sdist::new("demo", "1.0").asks(&asks));
    sandbox.lock();
    std::fs::write(flag.path(), "x").unwrap();
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
preparing 1 package
downloading 1 file, [SIZE]
  × one failed: building `demo-1.0.tar.gz` takes `extra` on this machine, which the lock does not hold
  help: its requirements depend on the machine: run `rootstock lock` on a machine of this kind
"#]]);
    assert_eq!(sandbox.names("root/generations/one"), [""; 0]);
}

#[test]
fn a_build_that_fails_shows_its_last_words_and_leaves_nothing() {
    let demo = Sdist::new("demo", "1.0").makes("raise OSError('no compiler')");
    let sandbox = project(&demo);
    sandbox.lock();
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    let message = output.message();
    assert!(
        message.contains("`demo-1.0.tar.gz` cannot be built"),
        "{message}"
    );
    assert!(message.contains("OSError: no compiler"), "{message}");
    assert_eq!(sandbox.names("root/store/built-1"), [""; 0]);
    assert_eq!(sandbox.names("root/envs"), [""; 0]);
}

#[test]
fn what_builds_is_not_built_itself() {
    let sandbox = project(&Sdist::new("demo", "1.0").requires("helper"));
    sandbox.index.add(&Wheel::simple("helper", "1.0"));
    sandbox.index.add_sdist(&Sdist::new("helper", "2.0"));
    let output = sandbox.run(&["lock"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
resolving one …
  × one environment could not be locked
Error:
  × environment `one` needs what cannot be installed on [MACHINE] (glibc 2.28) with Python 3.11: `helper 2.0` has no wheel that fits, only a source distribution
  help: building `demo` takes these, and what builds it is installed from wheels only: bound them under [environments.one] to versions that have one: build-constraints = ["helper<…"]
"#]]);
    sandbox.more("build-constraints = [\"helper<2\"]");
    sandbox.lock();
    assert!(sandbox.read("rootstock.lock").contains("\"helper 1.0 "));
    sandbox.run(&["lock", "--check"]).expect(0);
    sandbox.sync(&[]);
}

#[test]
fn a_lock_without_build_requirements_is_drift_and_is_completed() {
    let sandbox = project(&Sdist::new("demo", "1.0").requires("helper"));
    sandbox.index.add(&Wheel::simple("helper", "1.0"));
    sandbox.lock();
    let whole = sandbox.read("rootstock.lock");
    let mut lock = rootstock::lock::file::read("rootstock.lock", &whole).unwrap();
    let environment = &mut lock.environments[0];
    environment.targets[0].builds.clear();
    let answer = environment.answer(&environment.targets[0]);
    environment.targets[0].digest = rootstock::digest::Digest::of(answer);
    sandbox.write("rootstock.lock", &rootstock::lock::file::text(&lock));
    let output = sandbox.run(&["lock", "--check", "--json"]);
    output.expect(3);
    assert_eq!(output.json()["findings"][0]["code"], "build-unpinned");
    sandbox.lock();
    assert_eq!(sandbox.read("rootstock.lock"), whole);
}

#[test]
fn another_target_is_locked_with_the_backend_s_answer_here() {
    let demo = Sdist::new("demo", "1.0")
        .asks("return ['extra; platform_machine == \"aarch64\"', 'other; platform_machine == \"x86_64\"']");
    let sandbox = project(&demo);
    for name in ["extra", "other"] {
        sandbox.index.add(&Wheel::simple(name, "1.0"));
    }
    let manifest = sandbox.read("rootstock.toml");
    let targets = "[rootstock]\ntargets = [\"linux-aarch64\", \"linux-x86_64\"]\n";
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("[rootstock]\n", targets),
    );
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    let builds: Vec<&str> = lock
        .lines()
        .filter(|line| line.starts_with("demo = "))
        .map(|line| line.split(['"', ' ']).nth(3).unwrap())
        .collect();
    assert_eq!(builds, ["extra", "other"], "{lock}");
}

#[test]
fn what_a_package_does_not_say_that_it_needs_is_declared_for_it() {
    // As torch-scatter does: its backend imports the library that it is compiled against.
    let demo = Sdist::new("demo", "1.0")
        .dynamic()
        .asks("import library\nreturn []")
        .makes("import library\nreturn 'BUILT = %r\\n' % library.VERSION");
    let sandbox = Sandbox::new(&[("one", &["demo", "library<2"])]);
    sandbox.more("sdists = [\"demo\"]");
    sandbox.index.add_sdist(&demo);
    sandbox
        .index
        .add(&Wheel::simple("library", "1.0").requires("below"));
    sandbox.index.add(&Wheel::simple("library", "2.0"));
    sandbox.index.add(&Wheel::simple("below", "1.0"));
    let output = sandbox.run(&["lock"]);
    output.expect(1);
    let message = output.message();
    assert!(
        message.contains("No module named 'library'")
            && message.contains("build-dependencies = { demo = [\"library\"] }"),
        "{message}"
    );
    for foreign in ["tool.uv", "uv pip", "--no-build-isolation", "reachable"] {
        assert!(!message.contains(foreign), "{foreign}: {message}");
    }
    sandbox.more("build-dependencies = { demo = [\"library\"] }");
    sandbox.lock();
    let lock = sandbox.read("rootstock.lock");
    let build = lock.split("[environment.target.build]\n").nth(1).unwrap();
    let build = build.split(']').next().unwrap();
    // Not the newest, but the version that the environment has.
    assert!(
        build.contains("\"library 1.0 ") && build.contains("\"below 1.0 "),
        "{build}"
    );
    sandbox.run(&["lock", "--check"]).expect(0);
    sandbox.sync(&[]);
    assert_eq!(
        sandbox.python("one", "import demo; print(demo.BUILT)"),
        "1.0\n"
    );
    // It is part of the question.
    let manifest = sandbox.read("rootstock.toml");
    let other = manifest.replace("[\"library\"]", "[\"library>=1\"]");
    sandbox.write("rootstock.toml", &other);
    sandbox.run(&["lock", "--check"]).expect(3);
    let wrong = manifest.replace("[\"library\"]", "[\"library @ ./x.whl\"]");
    sandbox.write("rootstock.toml", &wrong);
    sandbox.run(&["lock", "--check"]).expect(2);
}

#[test]
fn a_failing_build_is_not_taken_for_a_failing_network() {
    let demo = Sdist::new("demo", "1.0")
        .dynamic()
        .asks("raise RuntimeError('no compiler')");
    let output = project(&demo).run(&["lock"]);
    output.expect(1);
    let message = output.message();
    assert!(
        message.contains("no compiler") && message.contains("building the package fails"),
        "{message}"
    );
    assert!(!message.contains("reachable"), "{message}");
}

#[test]
fn a_number_or_a_word_of_a_name_is_not_taken_for_what_went_wrong() {
    for (name, version) in [
        ("demo", "401.0"),
        ("demo", "404.0"),
        ("networkx", "1.0"),
        ("filename", "1.0"),
    ] {
        let demo = Sdist::new(name, version);
        let sandbox = Sandbox::new(&[("one", &[name])]);
        sandbox.more(&format!("sdists = [\"{name}\"]"));
        sandbox.index.add_sdist(&demo);
        let other = demo.clone().file("more.py", "x = 1\n");
        sandbox.index.replace(&demo.file_name(), &other.bytes());
        let message = sandbox.run(&["lock"]).expect(1).message();
        assert!(
            message.contains(&format!("Hash mismatch for `{name}=={version}`"))
                && message
                    .contains("help: the server sent another file than the one that it announced"),
            "{message}"
        );
    }
}
