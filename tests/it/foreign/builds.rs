//! Generations that a command needs and that are not built: once, where they belong, and never in the command's way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rootstock::overlay::Mode;

use super::{IMPORT, command, private, project, records, run, started, venv};
use crate::sandbox::person::{Person, can_be_others};
use crate::sandbox::{Output, Sandbox, Wheel, lacking, python_version, send, trace};

/// A Python of this series, on PATH or one of pyenv's, where this machine has one.
pub(crate) fn of_series(series: &str) -> Option<PathBuf> {
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
    let output = run(&sandbox, &python, &["--record", "record"], code);
    assert_eq!(output.expect(0).stdout, "312 3 12\n");
    assert_eq!(
        output.stderr,
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
        let output = Output::from(output.unwrap());
        assert_eq!(output.expect(0).stdout, "312 3 12\n");
        assert_eq!(output.stderr, "");
    }
    // Its own interpreter has its packages as it is.
    let own = sandbox.path("root/envs/one@3.12/bin/python");
    let output = run(&sandbox, &own, &["--record", "own"], code);
    assert_eq!(output.expect(0).stdout, "312 3 12\n");
    assert_eq!(records(&sandbox, "own")[0].overlay, Mode::Own);
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
    let output = Output::from(output.unwrap());
    output.expect(1);
    let record = &records(&sandbox, "both")[0];
    assert_eq!(record.overlay, Mode::None);
    assert_eq!(record.python.as_ref().unwrap().version, python_version());
}

#[test]
fn what_is_missing_is_built_once_and_then_nothing_is_asked() {
    let sandbox = project();
    let python = venv(&sandbox);
    let output = run(&sandbox, &python, &[], IMPORT);
    let machine = std::env::consts::ARCH;
    assert_eq!(
        output.expect(0).stderr,
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
    let output = run(&sandbox, &python, &[], IMPORT);
    assert_eq!(output.expect(0).stderr, "");
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
    assert_eq!(Output::from(output).expect(0).stderr, "");
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
    let output: Output = command(&sandbox, &all).output().unwrap().into();
    output.expect(0);
    let machine = std::env::consts::ARCH;
    let place = format!("cache/rootstock/runtime/cpython-311-{machine}-linux-gnu-linux-{machine}");
    let path = PathBuf::from(output.stdout.trim().split_once(' ').unwrap().1);
    assert!(path.starts_with(sandbox.path(&place)), "{path:?}");
    let id = sandbox.stamp(&place, "one", "id");
    let id = id.as_str().unwrap();
    assert!(sandbox.path(&place).join(id).join("bin/python").exists());
    assert!(!sandbox.path("nowhere").exists());
    let output: Output = command(&sandbox, &all).output().unwrap().into();
    assert_eq!(output.expect(0).stderr, "");
    // Another lock is another generation; the first stays.
    sandbox.index.add(&Wheel::simple("single", "2.0"));
    sandbox.run(&["lock", "--upgrade"]).expect(0);
    let output: Output = command(&sandbox, &all).output().unwrap().into();
    assert!(
        output.expect(0).stdout.starts_with("2.0 "),
        "{}",
        output.stdout
    );
    assert!(
        output.stderr.contains("building one for"),
        "{}",
        output.stderr
    );
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
    let output: Output = command(&sandbox, &all).output().unwrap().into();
    assert!(output.expect(0).stdout.starts_with("1.0 "));
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
        let output: Output = child.wait_with_output().unwrap().into();
        assert!(
            output.expect(0).stdout.starts_with("1.0 "),
            "{}",
            output.stdout
        );
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
    let output: Output = command(&sandbox, &all)
        .env("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        .output()
        .unwrap()
        .into();
    output.expect(9);
    let lines: Vec<&str> = output.stderr.lines().collect();
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
    let with_variable = |value: &str| -> Output {
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
    let output = run(&sandbox, &python, &[], "pass");
    assert!(
        output
            .expect(0)
            .stderr
            .contains("`install = \"skip\"` forbids to build it"),
        "{}",
        output.stderr
    );
    with("auto");
    let output = with_variable("skip");
    assert!(
        output.expect(0).stderr.contains("not built"),
        "{}",
        output.stderr
    );
    with("ask");
    let output = run(&sandbox, &python, &[], "pass");
    output.expect(2);
    assert!(
        output
            .message()
            .contains("`ask` does not say what `install` does"),
        "{}",
        output.message()
    );
    sandbox.run(&["lock", "--check"]).expect(2);
    with("skip");
    let output = with_variable("sometimes");
    let message = &output.expect(0).stderr;
    assert!(
        message.contains("ROOTSTOCK_RUNTIME_INSTALL is `sometimes`")
            && message.contains("building one for"),
        "{message}"
    );
    // What is there is used, whatever may be built.
    let output = run(&sandbox, &python, &["--require-overlay"], IMPORT);
    assert_eq!(output.expect(0).stderr, "");
}

#[test]
fn a_root_of_others_is_not_written_to() {
    if !can_be_others() {
        return;
    }
    let sandbox = project();
    let python = venv(&sandbox);
    let person = Person {
        user: 61001,
        groups: "61001",
    };
    fs::create_dir(sandbox.path("theirs")).unwrap();
    std::os::unix::fs::chown(sandbox.path("theirs"), Some(person.user), Some(person.user)).unwrap();
    let start = || {
        let program = Path::new(env!("CARGO_BIN_EXE_rootstock"));
        let output = person
            .command(&sandbox, program)
            .args(["run", "one", "--python"])
            .arg(&python)
            .args(["--require-overlay", "--", "python", "-c", IMPORT])
            .env("XDG_CACHE_HOME", sandbox.path("theirs/cache"))
            .env("HOME", sandbox.path("theirs"))
            .env("UV_CACHE_DIR", sandbox.path("theirs/uv"))
            .env("ROOTSTOCK_UV", crate::limits::uv())
            .output();
        Output::from(output.unwrap())
    };
    let output = start();
    let path = PathBuf::from(output.expect(0).stdout.trim().split_once(' ').unwrap().1);
    assert!(
        path.starts_with(sandbox.path("theirs/cache/rootstock/runtime")),
        "{path:?}"
    );
    assert_eq!(sandbox.names("root/envs"), ["two"]);
    assert_eq!(start().expect(0).stderr, "");
}

#[test]
fn a_lock_that_is_missing_or_behind_is_named() {
    let sandbox = project();
    let python = venv(&sandbox);
    sandbox.write_source("one", &["single"], "# edited\n");
    let output = run(&sandbox, &python, &[], "pass");
    assert!(
        output
            .expect(0)
            .stderr
            .contains("the lock has drifted: environment one `environments/one.py` has changed")
            && output
                .stderr
                .ends_with("run `rootstock lock && rootstock sync one`\n"),
        "{}",
        output.stderr
    );
    fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
    let output = run(&sandbox, &python, &[], "pass");
    assert!(
        output
            .expect(0)
            .stderr
            .contains("environment `one` is not locked for")
            && output
                .stderr
                .ends_with("run `rootstock lock && rootstock sync one`\n"),
        "{}",
        output.stderr
    );
    // A manifest that cannot be read is no end of the command either.
    sandbox.write(
        "rootstock.toml",
        &sandbox
            .read("rootstock.toml")
            .replace("source =", "sauce ="),
    );
    let output = run(&sandbox, &python, &[], "raise SystemExit(3)");
    assert!(
        output.expect(3).stderr.contains("wrong with the manifest"),
        "{}",
        output.stderr
    );
    assert!(!sandbox.path("root/envs/one").exists());
}
