//! Damage in a root is reported for the environment it is in, hides nothing of the others, and is repaired.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// A directory, or a file, with something in it, in place of whatever is there.
fn becomes(path: &Path, directory: bool) {
    let above = path.parent().unwrap();
    let mode = fs::metadata(above).unwrap().permissions();
    fs::set_permissions(above, fs::Permissions::from_mode(0o755)).unwrap();
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => {
            let moved = path.with_file_name(".moved-away");
            fs::rename(path, moved).unwrap();
        }
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
    if directory {
        fs::create_dir(path).unwrap();
        fs::write(path.join("file"), "something").unwrap();
    } else {
        fs::write(path, "something").unwrap();
    }
    fs::set_permissions(above, mode).unwrap();
}

fn state(sandbox: &Sandbox, root: &str, environment: &str) -> (String, Value) {
    let output = sandbox.run(&["--root", root, "status", "--json"]);
    let status = output.expect(0).json();
    let mut all = status["environments"].as_array().unwrap().iter();
    let found = all.find(|e| e["name"] == environment).unwrap();
    (
        found["state"].as_str().unwrap().to_owned(),
        found["reason"].clone(),
    )
}

/// What doctor finds, as `code path`.
fn findings(sandbox: &Sandbox, root: &str, arguments: &[&str]) -> Vec<String> {
    let output = sandbox.run(&[&["--root", root, "doctor", "--json"], arguments].concat());
    let answer = output.json();
    let found = answer["findings"].as_array().unwrap().iter();
    let found: Vec<String> = found
        .map(|f| {
            format!(
                "{} {}",
                f["code"].as_str().unwrap(),
                f["path"].as_str().unwrap()
            )
        })
        .collect();
    output.expect(i32::from(!found.is_empty()));
    found
}

fn runs(sandbox: &Sandbox, environment: &str) -> Option<i32> {
    sandbox
        .run(&["run", environment, "--", "python", "-c", "0"])
        .code
}

fn worker(sandbox: &Sandbox, environment: &str) -> Option<i32> {
    let arguments = [
        "worker",
        environment,
        "--unix",
        "nowhere",
        "--species",
        "Cu",
        "--pbc",
        "TTT",
    ];
    sandbox.run(&arguments).code
}

/// Where it is below the root, with `ID` for the generation; whether it becomes a directory; the state that is reported.
const OF_ONE: [(&str, bool, &str); 11] = [
    ("generations/one/ID/bin/python", false, "broken"),
    ("generations/one/ID/bin/python", true, "broken"),
    (
        "generations/one/ID/rootstock-stamp.json",
        true,
        "incomplete",
    ),
    ("generations/one/ID/env_source.py", true, "broken"),
    ("generations/one/ID/bin", false, "broken"),
    ("generations/one/ID", false, "incomplete"),
    ("generations/one", false, "incomplete"),
    ("envs/one", false, "broken"),
    ("envs/one", true, "broken"),
    ("generations/one/ID/rootstock-tree.txt", true, "fresh"),
    ("generations/one/ID/pyvenv.cfg", true, "fresh"),
];

#[test]
fn what_is_damaged_of_one_environment_hides_nothing_of_another_and_is_repaired() {
    let sandbox = Sandbox::shared();
    sandbox.sync(&[]);
    for (below, directory, message) in OF_ONE {
        let case = format!(
            "{below} becomes a {}",
            if directory { "directory" } else { "file" }
        );
        let generation = sandbox.generation("root", "one");
        let id = generation.file_name().unwrap().to_str().unwrap();
        becomes(
            &sandbox.path(&format!("root/{}", below.replace("ID", id))),
            directory,
        );

        let (state_of_one, reason) = state(&sandbox, "root", "one");
        assert_eq!(state_of_one, message, "{case}: {reason}");
        assert_eq!(state(&sandbox, "root", "two").0, "fresh", "{case}");
        let found = findings(&sandbox, "root", &["--deep"]);
        assert!(!found.is_empty(), "{case}");
        assert!(
            found.iter().all(|f| f.contains("/one")),
            "{case}: {found:?}"
        );
        for gc in [&["gc", "--dry-run"][..], &["gc"]] {
            sandbox.run(gc).expect(0);
        }
        assert_eq!(runs(&sandbox, "two"), Some(0), "{case}");
        let usable = message == "fresh" || below.ends_with("env_source.py");
        if !usable {
            assert_eq!(runs(&sandbox, "one"), Some(4), "{case}");
            assert_eq!(worker(&sandbox, "one"), Some(4), "{case}");
            sandbox.run(&["sync", "--check"]).expect(3);
        }
        let repair = if message == "fresh" {
            &["--repair"][..]
        } else {
            &[]
        };
        let output = sandbox.sync(repair);
        assert!(output.stdout.contains("one"), "{case}: {}", output.stdout);
        sandbox.run(&["sync", "--check"]).expect(0);
        assert_eq!(findings(&sandbox, "root", &["--deep"]), [""; 0], "{case}");
        assert_eq!(runs(&sandbox, "one"), Some(0), "{case}");
    }
}

/// A copy that follows links, as `cp -rL` and `rsync -L` make it.
#[test]
fn a_copy_that_followed_links_is_reported_and_repaired() {
    let sandbox = Sandbox::shared();
    sandbox.sync(&[]);
    let copied = Command::new("cp")
        .args(["-rL", "root", "copy"])
        .current_dir(sandbox.path(""))
        .output();
    assert!(copied.unwrap().status.success());
    for environment in ["one", "two"] {
        assert_eq!(state(&sandbox, "copy", environment).0, "broken");
    }
    let found = findings(&sandbox, "copy", &[]);
    for code in ["link-elsewhere", "generation-damaged"] {
        let message = found.iter().filter(|f| f.starts_with(code)).count();
        assert_eq!(message, 2, "{code}: {found:?}");
    }
    sandbox
        .run(&["--root", "copy", "gc", "--dry-run"])
        .expect(0);
    sandbox
        .run(&["--root", "copy", "sync", "--check"])
        .expect(3);
    let result = sandbox.sync(&["--root", "copy", "--repair"]);
    assert!(
        result.stdout.starts_with("built one, two"),
        "{}",
        result.stdout
    );
    assert_eq!(findings(&sandbox, "copy", &["--deep"]), [""; 0]);
    for environment in ["one", "two"] {
        for field in ["id", "tree"] {
            let [here, there] =
                ["root", "copy"].map(|root| sandbox.stamp(root, environment, field));
            assert_eq!(here, there);
        }
    }
}

/// What belongs to no environment, or to all: nothing depends on it, or it is written again.
#[test]
fn small_files_of_the_wrong_kind_stop_nothing() {
    let sandbox = Sandbox::shared();
    sandbox.sync(&[]);
    sandbox.run(&["gc", "--pin", "one"]).expect(0);
    let pin = sandbox.names("root/pins").remove(0);
    let cases: [(PathBuf, bool); 7] = [
        ("claims/one@0.json".into(), true),
        ("claims".into(), false),
        (Path::new("pins").join(pin), true),
        ("pins".into(), false),
        ("models.json".into(), true),
        ("generations/x".into(), false),
        ("envs/x".into(), true),
    ];
    for (below, directory) in cases {
        let case = below.display();
        let path = sandbox.path("root").join(&below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        becomes(&path, directory);
        for environment in ["one", "two"] {
            assert_eq!(state(&sandbox, "root", environment).0, "fresh", "{case}");
        }
        findings(&sandbox, "root", &["--deep"]);
        sandbox.sync(&["--force"]);
        sandbox.sync(&["--repair"]);
        sandbox.run(&["gc"]).expect(0);
        for environment in ["one", "two"] {
            assert_eq!(runs(&sandbox, environment), Some(0), "{case}");
        }
        if fs::metadata(&path).is_ok_and(|there| there.is_dir()) {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        sandbox.sync(&[]);
    }
}
