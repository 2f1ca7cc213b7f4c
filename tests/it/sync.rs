//! `rootstock sync`: the root becomes what the lock says, and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rootstock::digest::Digest;
use serde_json::json;
use snapbox::str;

use crate::sandbox::{Output, Sandbox, Wheel, trace, traces};

#[test]
fn what_is_locked_is_built_and_runs() {
    let sandbox = Sandbox::shared();
    let result = sandbox.sync(&[]);
    assert!(
        result.stdout.starts_with("built one, two ("),
        "{}",
        result.stdout
    );
    assert_eq!(
        sandbox.python("one", "import shared; print(shared.VERSION)"),
        "1.0\n"
    );
    assert_eq!(
        sandbox
            .python("two", "import sys; print(sys.prefix)")
            .trim(),
        sandbox.generation("root", "two").to_str().unwrap()
    );
    let launcher = sandbox.generation("root", "one").join("bin/first");
    let output = std::process::Command::new(launcher).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "first 1.0\n");
    // Each file is fetched once, however many environments need it.
    let files = [
        "first-1.0-py3-none-any.whl",
        "second-1.0-py3-none-any.whl",
        "shared-1.0-py3-none-any.whl",
    ];
    assert_eq!(sandbox.index.asked(), files);
    assert_eq!(sandbox.names("root/envs"), ["one", "two"]);
    let models: serde_json::Value =
        serde_json::from_str(&sandbox.read("root/models.json")).unwrap();
    assert_eq!(models["schema"], 1);
}

#[test]
fn only_the_interpreter_that_the_lock_wants_is_started() {
    let sandbox = Sandbox::shared();
    sandbox.lock();
    // As version managers lay them out: a wrapper for each version, slow to start.
    for name in ["python", "python3", "python3.10", "python3.12", "python3.9"] {
        let wrapper = format!("bin/{name}");
        sandbox.write(&wrapper, "#!/bin/sh\n: > \"$0.started\"\nexit 127\n");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(sandbox.path(&wrapper), mode).unwrap();
    }
    sandbox.run(&["sync"]).expect(0);
    let names = sandbox.names("bin");
    assert!(
        !names.iter().any(|name| name.ends_with("started")),
        "{names:?}"
    );
}

#[test]
fn an_archive_of_an_unpacked_wheel_is_removed() {
    let sandbox = Sandbox::shared();
    sandbox.sync(&["one"]);
    // As if the first one had been ended just before it removed it.
    let bytes = Wheel::simple("shared", "1.0").bytes();
    let archive = format!("root/store/archives/{}", Digest::of(&bytes));
    fs::write(sandbox.path(&archive), bytes).unwrap();
    sandbox.sync(&["two"]);
    assert_eq!(sandbox.names("root/store/archives"), [""; 0]);
}

#[test]
fn with_nothing_to_do_nothing_is_started_and_nothing_is_written() {
    let sandbox = Sandbox::shared();
    sandbox.sync(&[]);
    let before = traces(&sandbox.path("root"));
    // Neither Python nor uv can be found: they are not looked for.
    let output = sandbox.command(&["sync"]).env("PATH", "").output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "up to date: 2 environments\n"
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    sandbox.run(&["sync", "--check"]).expect(0);
    assert_eq!(traces(&sandbox.path("root")), before);
    if trace::is_possible() {
        let seen = sandbox.path("seen");
        let mut command = trace::writing_to(&sandbox, &seen, &["trace=process,network"]);
        assert!(command.arg("sync").status().unwrap().success());
        let seen = sandbox.read("seen");
        let count = |call| seen.lines().filter(|line| line.contains(call)).count();
        let started = count("clone(") + count("clone3(") + count("fork(");
        assert_eq!(
            (count("execve("), started, count("socket(")),
            (1, 0, 0),
            "{seen}"
        );
    }
}

#[test]
fn two_roots_have_equal_trees_bytecode_included() {
    let sandbox = Sandbox::shared();
    sandbox.sync(&["-j", "1"]);
    sandbox.sync(&["--root", "elsewhere/and deeper", "-j", "4"]);
    for environment in ["one", "two"] {
        for field in ["tree", "id", "digest"] {
            let stamp = |root| sandbox.stamp(root, environment, field);
            assert_eq!(stamp("root"), stamp("elsewhere/and deeper"));
        }
        let tree = |root| {
            fs::read_to_string(
                sandbox
                    .generation(root, environment)
                    .join("rootstock-tree.txt"),
            )
            .unwrap()
        };
        assert_eq!(tree("root"), tree("elsewhere/and deeper"));
        assert!(tree("root").contains("/__pycache__/__init__.cpython-311.pyc\n"));
    }
}

#[test]
fn an_edited_source_is_rebuilt_from_the_store_and_going_back_is_a_switch() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let (first, lock) = (
        sandbox.generation("root", "one"),
        sandbox.read("rootstock.lock"),
    );
    sandbox.write_source("one", &["single"], "# edited\n");
    let result = sandbox.run(&["sync"]);
    result.expect(3);
    let drift = sandbox.run(&["sync", "--json"]).expect(3).json();
    assert_eq!(
        (&drift["drifted"], &drift["findings"][0]["code"]),
        (&json!(true), &json!("source-changed"))
    );
    result.stderr_is(
        &sandbox,
        str![[r#"
`rootstock.lock` does not answer `rootstock.toml`:
  environment one: `environments/one.py` has changed [source-changed]
run `rootstock lock`, look at the difference, and commit it
"#]],
    );
    sandbox.lock();
    let check = sandbox.run(&["sync", "--check", "--json"]);
    let step = &check.expect(3).json()["environments"][0];
    assert_eq!(
        (&step["state"], &step["action"]),
        (&json!("stale"), &json!("build"))
    );
    let result = sandbox.sync(&["--offline"]);
    assert!(
        result.stdout.starts_with("built one ("),
        "{}",
        result.stdout
    );
    assert_ne!(sandbox.generation("root", "one"), first);
    assert_eq!(sandbox.index.asked().len(), 1);

    sandbox.write("rootstock.lock", &lock);
    sandbox.write_source("one", &["single"], "");
    let output = sandbox.command(&["sync"]).env("PATH", "").output().unwrap();
    let result = String::from_utf8(output.stdout).unwrap();
    assert!(result.starts_with("switched one ("), "{result}");
    assert_eq!(sandbox.generation("root", "one"), first);
}

#[test]
fn one_failing_environment_does_not_cost_another() {
    let sandbox = Sandbox::new(&[("bad", &["left"]), ("good", &["right"])]);
    let left = Wheel::new("left", "1.0").requires("right>=1");
    sandbox.index.add(&left.file("both.py", "left = 1\n"));
    sandbox
        .index
        .add(&Wheel::new("right", "1.0").file("both.py", "right = 1\n"));
    sandbox.lock();
    let output = sandbox.run(&["sync"]);
    output.expect(1);
    assert!(
        output.stdout.starts_with("built good; failed bad ("),
        "{}",
        output.stdout
    );
    let message = "bad failed: `left 1.0` and `right 1.0` both install `lib/python3.11/site-packages/both.py`, with";
    assert!(output.message().contains(message), "{}", output.stderr);
    assert_eq!(sandbox.names("root/envs"), ["good"]);
    assert_eq!(
        sandbox.names("root/generations/bad"),
        [""; 0],
        "no staging is left"
    );
}

#[test]
fn a_file_that_is_not_the_locked_one_is_named_and_not_installed() {
    let sandbox = Sandbox::shared();
    let file = "second-1.0-py3-none-any.whl";
    let other = Wheel::simple("second", "1.0").file("second/evil.py", "");
    sandbox.index.replace(file, &other.bytes());
    let output = sandbox.run(&["sync", "--json"]);
    output.expect(1);
    let answer = output.json();
    let environments = answer["environments"].as_array().unwrap();
    assert_eq!(environments[0]["result"], "built");
    assert_eq!(environments[1]["result"], "failed");
    let message = environments[1]["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains(file), "{message}");
    assert_eq!(sandbox.names("root/envs"), ["one"]);
    sandbox.index.restore(file);
    sandbox.sync(&[]);
    assert_eq!(sandbox.names("root/envs"), ["one", "two"]);
}

/// Every file of bytecode of an environment's packages, by its path below them.
fn compiled(sandbox: &Sandbox, environment: &str) -> Vec<String> {
    let code = "import pathlib, single; top = pathlib.Path(single.__file__).parent.parent\n\
                print('\\n'.join(sorted(str(file.relative_to(top)) for file in top.rglob('*.pyc'))))";
    let found = sandbox.python(environment, code);
    found.lines().map(str::to_owned).collect()
}

#[test]
fn tests_are_compiled_where_the_manifest_asks_for_it() {
    let sandbox = Sandbox::new(&[("one", &["single"]), ("two", &["single"])]);
    let names = [
        "single/tests/__init__.py",
        "single/test/deep/a.py",
        "single/testing.py",
        "single/tests.py",
    ];
    let wheel = Wheel::simple("single", "1.0");
    let wheel = names
        .into_iter()
        .fold(wheel, |wheel, name| wheel.file(name, "X = 1\n"));
    sandbox.index.add(&wheel);
    sandbox.lock();
    sandbox.sync(&[]);
    let cached = |directory: &str, stem: &str| {
        format!("single/{directory}__pycache__/{stem}.cpython-311.pyc")
    };
    let usual = [
        cached("", "__init__"),
        cached("", "testing"),
        cached("", "tests"),
    ];
    assert_eq!(compiled(&sandbox, "one"), usual);
    let tests = "import single.tests, single.test.deep.a; print(single.tests.X)";
    assert_eq!(sandbox.python("one", tests), "1\n");
    let before = ["one", "two"].map(|name| sandbox.generation("root", name));

    // The table of `two` is the last one.
    sandbox.more("bytecode = \"all\"");
    let check = |code| {
        let output = sandbox.run(&["lock", "--check"]);
        output.expect(code);
        output.stdout.clone() + &output.message()
    };
    let drift = check(3);
    assert!(
        drift.contains("its bytecode was `no-tests` and is `all`"),
        "{drift}"
    );
    sandbox.lock();
    assert!(
        sandbox
            .read("rootstock.lock")
            .contains("\nbytecode = \"all\"\n")
    );
    sandbox.sync(&[]);
    let mut all = vec![cached("test/deep/", "a"), cached("tests/", "__init__")];
    all.extend(usual.clone());
    all.sort();
    assert_eq!(compiled(&sandbox, "two"), all);
    assert_eq!(compiled(&sandbox, "one"), usual);
    assert_eq!(sandbox.generation("root", "one"), before[0]);
    assert_ne!(sandbox.generation("root", "two"), before[1]);
    sandbox.run(&["sync", "--check"]).expect(0);
    sandbox.run(&["doctor", "--deep"]).expect(0);

    // The other modules are compiled once for both.
    let bytecode = sandbox.names("root/store/bytecode-4");
    assert_eq!(bytecode.len(), 2);
    assert!(bytecode[1].ends_with("-tests"), "{bytecode:?}");

    let manifest = sandbox.read("rootstock.toml");
    for (value, message) in [
        ("\"tests\"", "`tests` is no value of `bytecode`"),
        ("\"alll\"", "did you mean \"all\"?"),
        ("true", "`bytecode` has the wrong type"),
    ] {
        let manifest = manifest.replace("bytecode = \"all\"", &format!("bytecode = {value}"));
        sandbox.write("rootstock.toml", &manifest);
        let output = check(2);
        assert!(output.contains(message), "{value}: {output}");
    }
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("\"all\"", "\"no-tests\""),
    );
    sandbox.lock();
    assert!(!sandbox.read("rootstock.lock").contains("bytecode"));
    sandbox.sync(&[]);
    assert_eq!(sandbox.generation("root", "two"), before[1]);
}

#[test]
fn damage_in_the_store_is_noticed_before_it_is_linked() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let wheels = sandbox.path("root/store/wheels-2");
    let unpacked = fs::read_dir(&wheels)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let module = unpacked.join("tree/site-packages/single/__init__.py");
    // Through a new file: the old one may be the very file of the generation.
    fs::remove_file(&module).unwrap();
    fs::write(&module, "VERSION = \"evil\"\n").unwrap();
    sandbox.write_source("one", &["single"], "# edited\n");
    sandbox.lock();
    sandbox.sync(&[]);
    assert_eq!(
        sandbox.python("one", "import single; print(single.VERSION)"),
        "1.0\n"
    );
    assert_eq!(sandbox.names("root/trash").len(), 1);
}

#[test]
fn force_repairs_what_is_damaged_and_keeps_the_rest() {
    let sandbox = Sandbox::shared();
    sandbox.sync(&[]);
    let module = |environment| {
        let generation = sandbox.generation("root", environment);
        generation.join("lib/python3.11/site-packages/shared/__init__.py")
    };
    let inode = |environment| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(sandbox.generation("root", environment))
            .unwrap()
            .ino()
    };
    let before = (inode("one"), inode("two"));
    let directory = module("one").parent().unwrap().to_owned();
    let mut writable = fs::metadata(&directory).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut writable, 0o755);
    fs::set_permissions(&directory, writable).unwrap();
    fs::remove_file(module("one")).unwrap();
    let output = sandbox.sync(&["--force"]);
    assert!(
        output.stdout.starts_with("built one; kept two ("),
        "{}",
        output.stdout
    );
    assert!(module("one").exists());
    assert_ne!(inode("one"), before.0);
    assert_eq!(inode("two"), before.1);
}

#[test]
fn a_name_is_an_environment_or_a_model_and_others_are_refused() {
    let sandbox = Sandbox::shared();
    let manifest = sandbox.read("rootstock.toml") + "models = [\"small\"]\noptional = true\n";
    sandbox.write("rootstock.toml", &manifest);
    sandbox.lock();
    let output = sandbox.run(&["sync", "tow", "one", "three"]);
    output.expect(2);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × `tow`, `three` are neither an environment nor a model of the manifest
  help: environments: one, two models: two-small
"#]],
    );
    assert!(!sandbox.path("root").exists());

    sandbox.sync(&[]);
    assert_eq!(sandbox.names("root/envs"), ["one"], "two is optional");
    sandbox.sync(&["two-small"]);
    assert_eq!(sandbox.names("root/envs"), ["one", "two"]);
}

#[test]
fn a_dry_run_reports_what_and_why_and_writes_nothing() {
    let sandbox = Sandbox::shared();
    let answer = sandbox.sync(&["--dry-run", "--json"]).json();
    assert_eq!(answer["matches"], false);
    assert_eq!(answer["download"]["files"], 3);
    assert!(answer["download"]["bytes"].as_u64().unwrap() > 1000);
    assert_eq!(answer["catalogue"], "write");
    let one = &answer["environments"][0];
    assert_eq!(one["environment"], "one");
    assert_eq!(one["action"], "build");
    assert_eq!(one["state"], "missing");
    assert!(!sandbox.path("root").exists());
    let text = sandbox.sync(&["--dry-run"]).stdout;
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("one: build: it is not built"));
    assert!(
        lines.next().unwrap().starts_with("  download 2 files, "),
        "{text}"
    );
    assert_eq!(lines.next(), Some("two: build: it is not built"));
    sandbox.sync(&[]);
    let text = sandbox.sync(&["--dry-run"]).stdout;
    assert!(text.ends_with("/root` matches the lock\n"), "{text}");
}

#[test]
fn without_a_fitting_python_those_that_were_found_are_listed() {
    let sandbox = Sandbox::single();
    let empty = sandbox.path("empty");
    fs::create_dir(&empty).unwrap();
    let mut command = sandbox.command(&["sync"]);
    let result = Output::from(command.env("PATH", &empty).output().unwrap());
    result.expect(1).stderr_is(&sandbox, str![[r#"
  × one failed: no cpython 3.11 for [MACHINE] (glibc 2.28) is on PATH; no Python at all was found
  help: put its directory first on PATH (`module load …` on a cluster), then run the command again; or let rootstock fetch one: write `python-source = "managed"` into the manifest and run `rootstock lock`
"#]]);
    assert_eq!(sandbox.names("root/envs"), [""; 0]);
}

#[test]
fn a_root_that_cannot_be_written_is_named() {
    let sandbox = Sandbox::single();
    sandbox.write("file", "");
    let output = sandbox.run(&["sync", "--root", "file/root"]);
    output.expect(1);
    output.stderr_is(
        &sandbox,
        str![[r#"
  × cannot create `[PROJECT]/file/root`
  ╰─▶ Not a directory (os error 20)
"#]],
    );
}

#[test]
fn a_root_of_a_newer_rootstock_is_refused() {
    let sandbox = Sandbox::single();
    sandbox.write("root/layout.json", "{\"schema\": 9}\n");
    for arguments in [&["sync"][..], &["sync", "--check"], &["status"]] {
        let output = sandbox.run(arguments);
        let message = output.message();
        assert_ne!(output.code, Some(0));
        assert!(
            message.contains("has layout 9, and this rootstock knows layout 1"),
            "{message}"
        );
    }
    sandbox.run(&["status"]).stderr_is(
        &sandbox,
        str![[r#"
  × the root `[PROJECT]/root` has layout 9, and this rootstock knows layout 1
  help: use the rootstock that made it or a newer one, or choose another `--root`
"#]],
    );
    assert_eq!(sandbox.names("root"), ["layout.json"]);
}

#[test]
fn offline_names_the_missing_file() {
    let sandbox = Sandbox::single();
    let output = sandbox.run(&["sync", "--offline"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
`--offline` forbids to load models once to fetch what they need; not loaded: one
preparing 1 package
  × one failed: a file is neither in the root's store nor in a bundle, and `--offline` forbids to download: single-1.0-py3-none-any.whl
  help: run it once without `--offline`, or name a bundle that has them with `--bundle DIR`
"#]]);
}

#[test]
fn an_index_that_does_not_answer_is_reported_once_for_all_environments() {
    let sandbox = Sandbox::shared();
    // Nothing listens on the port of discarded words.
    let mut command = sandbox.command(&["sync"]);
    command
        .env("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple/")
        .env("UV_HTTP_RETRIES", "0");
    let message = Output::from(command.output().unwrap()).expect(1).message();
    assert_eq!(
        message
            .matches("one, two failed: cannot find out where to download")
            .count(),
        1,
        "{message}"
    );
}

#[test]
fn a_source_that_does_not_compile_is_not_built() {
    let sandbox = Sandbox::new(&[("one", &["single"]), ("two", &["single"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    for (more, line, message) in [
        ("def broken(a b):\n    pass\n", "line 8", "SyntaxError"),
        ("if True:\nx = 1\n", "line 9", "IndentationError"),
        ("x = 'never closed\n", "line 8", "SyntaxError"),
        // Valid in Python 3.12 and later only.
        ("type Point = tuple\n", "line 8", "SyntaxError"),
    ] {
        sandbox.write_source("one", &["single"], more);
        sandbox.lock();
        let output = sandbox.run(&["sync", "one"]);
        for fragment in [
            "`environments/one.py` does not compile with Python 3.11.",
            &format!("File \"environments/one.py\", {line}"),
            message,
        ] {
            assert!(
                output.expect(1).stderr.contains(fragment),
                "{}",
                output.stderr
            );
        }
        assert_eq!(sandbox.names("root/envs"), [""; 0]);
    }
    // The other one is built all the same.
    let output = sandbox.run(&["sync"]);
    assert!(
        output.expect(1).stdout.contains("built two; failed one"),
        "{}",
        output.stdout
    );
    sandbox.write_source("one", &["single"], "");
    sandbox.lock();
    sandbox.sync(&[]);
}
