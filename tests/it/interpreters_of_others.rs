//! A root is for others only if the interpreters below its environments are: the owner is warned, and a user
//! without access gets a state for each environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::sandbox::person::{Person, can_be_others};
use crate::sandbox::{Output, Sandbox, python};

const EVE: Person = Person {
    user: 61003,
    groups: "60",
};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The machine's Python, which may itself be in a private place, copied to a directory of the project.
fn copied_python(sandbox: &Sandbox, directory: &str) -> PathBuf {
    let code = "import os, shutil, sys, sysconfig
to, library = sys.argv[1] + '/py', sysconfig.get_path('stdlib')
ignored = shutil.ignore_patterns('site-packages', 'dist-packages', 'test', '__pycache__', 'config-*')
os.makedirs(to + '/bin')
shutil.copy(os.path.realpath(sys.executable), to + '/bin/python3.11')
shutil.copytree(library, to + '/lib/python3.11', ignore=ignored)
for name in os.listdir(os.path.dirname(library)):
    if name.startswith('libpython'):
        shutil.copy(os.path.dirname(library) + '/' + name, to + '/lib')
";
    let mut copying = Command::new(python());
    copying
        .args(["-I", "-c", code])
        .arg(sandbox.path(directory));
    assert!(copying.status().unwrap().success());
    sandbox.path(directory).join("py/bin/python3.11")
}

/// The project finds Python at this path from now on.
fn takes(sandbox: &Sandbox, python: &Path) {
    let link = sandbox.path("bin/python3.11");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(python, link).unwrap();
}

/// A project for everybody whose Python lies below `home`, which is private.
fn private_python(sandbox: &Sandbox) {
    chmod(&sandbox.path(""), 0o755);
    let manifest = sandbox.read("rootstock.toml");
    let table = "[rootstock]\naccess = \"world\"\n";
    sandbox.write(
        "rootstock.toml",
        &manifest.replacen("[rootstock]\n", table, 1),
    );
    let copy = copied_python(sandbox, "home");
    chmod(&sandbox.path("home"), 0o700);
    takes(sandbox, &copy);
}

/// What doctor finds of interpreters below the project: path and fix.
fn closed(sandbox: &Sandbox) -> Vec<(String, String)> {
    let here = sandbox.path("").canonicalize().unwrap();
    let answer = sandbox.run(&["doctor", "--json"]).json();
    let findings = answer["findings"].as_array().unwrap().iter();
    let ours = findings.filter(|f| f["code"] == "access-interpreter");
    ours.filter_map(|f| {
        let path = Path::new(f["path"].as_str().unwrap());
        let below = path.strip_prefix(&here).ok()?.display().to_string();
        Some((below, f["fix"].as_str().unwrap().to_owned()))
    })
    .collect()
}

#[test]
fn sync_warns_and_doctor_finds_what_of_an_interpreter_is_closed() {
    let sandbox = Sandbox::single();
    private_python(&sandbox);
    let home = sandbox.path("home").canonicalize().unwrap();
    for _ in 0..2 {
        let output = sandbox.sync(&[]);
        let message = output.message();
        let fix = format!("chmod o+x {}", home.display());
        for part in ["warning:", "cannot pass through it", "`one` runs on", &fix] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    // The home, then each place on the way and the program itself; the printed command puts it right.
    for (below, mode) in [
        ("home", 0o700),
        ("home/py", 0o750),
        ("home/py/bin", 0o700),
        ("home/py/bin/python3.11", 0o711),
    ] {
        chmod(&sandbox.path(below), mode);
        let found = closed(&sandbox);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, below);
        let fixed = Command::new("sh").args(["-c", &found[0].1]).status();
        assert!(fixed.unwrap().success());
        assert_eq!(closed(&sandbox), []);
    }
    assert!(!sandbox.sync(&[]).stderr.contains("warning:"));
    // A root that is for its owner alone needs none of that.
    chmod(&home, 0o700);
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("\"world\"", "\"owner\""),
    );
    assert!(!sandbox.sync(&[]).stderr.contains("warning:"));
    assert_eq!(closed(&sandbox), []);
}

/// The states of environments `one` and `two`, and why, as Eve sees them.
fn states(sandbox: &Sandbox) -> Vec<(String, String)> {
    let output = EVE.bare(sandbox, &["status", "--json"]);
    let status = output.expect(0).json();
    let environments = status["environments"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    environments
        .map(|e| (text(&e["state"]), text(&e["reason"])))
        .collect()
}

fn runs(sandbox: &Sandbox, environment: &str) -> Output {
    EVE.bare(sandbox, &["run", environment, "--", "python", "-c", "0"])
}

#[test]
fn a_user_without_access_gets_a_state_for_each_environment() {
    if !can_be_others() {
        return;
    }
    let sandbox = Sandbox::shared();
    private_python(&sandbox);
    sandbox.sync(&["one"]);
    takes(&sandbox, &copied_python(&sandbox, "open"));
    sandbox.sync(&["two"]);
    let message = states(&sandbox);
    assert_eq!(message[0].0, "broken");
    assert!(
        message[0].1.starts_with("you may not read its Python (`"),
        "{message:?}"
    );
    assert_eq!(message[1].0, "fresh");
    let output = EVE.bare(&sandbox, &["doctor", "--deep"]);
    output.expect(1);
    for part in ["[access-interpreter]", "[interpreter-closed]"] {
        assert!(output.stdout.contains(part), "{part}: {}", output.stdout);
    }
    assert!(
        !output.message().contains("you may not write there"),
        "{output:?}"
    );
    let output = runs(&sandbox, "one");
    output.expect(4);
    assert!(
        output
            .message()
            .contains("no permission to read the Python of environment `one`"),
        "{}",
        output.stderr
    );
    runs(&sandbox, "two").expect(0);

    // Whatever else of one environment is closed to her, she sees the other.
    chmod(&sandbox.path("home"), 0o755);
    runs(&sandbox, "one").expect(0);
    let generation = sandbox.generation("root", "one");
    for (path, is_seen) in [
        (generation.join("rootstock-stamp.json"), true),
        (generation.join("env_source.py"), true),
        (generation.join("rootstock-tree.txt"), false),
        (generation.join("bin"), true),
        (generation.clone(), true),
        (generation.parent().unwrap().to_owned(), true),
    ] {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        chmod(&path, 0);
        let message = states(&sandbox);
        assert_eq!(
            message[0].0 == "broken",
            is_seen,
            "{}: {message:?}",
            path.display()
        );
        assert!(
            !is_seen || message[0].1.contains("Permission denied"),
            "{message:?}"
        );
        assert_eq!(message[1].0, "fresh", "{}", path.display());
        for arguments in [&["doctor"][..], &["doctor", "--deep"]] {
            let output = EVE.bare(&sandbox, arguments);
            output.expect(1);
            assert!(output.stdout.contains("finding"), "{output:?}");
        }
        runs(&sandbox, "two").expect(0);
        chmod(&path, mode);
    }
    assert_eq!(states(&sandbox)[0].0, "fresh");
}
