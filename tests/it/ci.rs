//! The recipes in `examples/ci` and the pre-commit hook: what they run does what they say.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::sandbox::Sandbox;

/// Every command of rootstock's in a recipe, as it stands there.
fn commands(recipe: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(recipe);
    let text = fs::read_to_string(&path).unwrap();
    let commands: Vec<String> = text
        .lines()
        .map(|line| line.trim().trim_start_matches("- "))
        .map(|line| {
            line.trim_start_matches("run: ")
                .trim_start_matches("entry: ")
        })
        .filter(|line| line.starts_with("rootstock "))
        .map(str::to_owned)
        .collect();
    assert!(!commands.is_empty(), "{recipe} runs nothing");
    commands
}

/// The exit code of a command in the sandbox's project, run by a shell that finds rootstock on PATH.
fn run(sandbox: &Sandbox, command: &str) -> Option<i32> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-ec", command]);
    sandbox.set_up(&mut shell);
    let program = Path::new(env!("CARGO_BIN_EXE_rootstock"));
    let path = [program.parent().unwrap(), &sandbox.path("bin")];
    let path = std::env::join_paths(path).unwrap();
    shell.env("PATH", path).output().unwrap().status.code()
}

#[test]
fn recipes_pass_a_project_that_is_locked_and_stop_one_that_is_not() {
    let sandbox = Sandbox::single();
    let recipes = [
        ".pre-commit-hooks.yaml",
        "examples/ci/github.yml",
        "examples/ci/gitlab.yml",
    ];
    for recipe in recipes {
        for command in commands(recipe) {
            assert_eq!(run(&sandbox, &command), Some(0), "{recipe}: {command}");
        }
    }
    sandbox.write_source("one", &["single"], "# edited\n");
    for recipe in recipes {
        let command = &commands(recipe)[0];
        assert_eq!(run(&sandbox, command), Some(3), "{recipe}: {command}");
    }
    let log = sandbox.read("rootstock.sarif");
    assert!(log.contains("\"ruleId\": \"source-changed\""), "{log}");
}

#[test]
fn the_hook_runs_when_one_of_its_three_kinds_of_file_is_committed() {
    let hook = Path::new(env!("CARGO_MANIFEST_DIR")).join(".pre-commit-hooks.yaml");
    let text = fs::read_to_string(hook).unwrap();
    let pattern = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("files: "));
    let pattern = pattern.unwrap().trim_matches('\'');
    let matches = |name: &str| {
        let code = "import re, sys; sys.exit(not re.search(sys.argv[1], sys.argv[2]))";
        let python = Command::new("python3.11")
            .args(["-I", "-c", code, pattern, name])
            .status();
        python.unwrap().success()
    };
    for name in ["rootstock.toml", "a/rootstock.lock", "environments/mace.py"] {
        assert!(matches(name), "{name}");
    }
    for name in ["README.md", "rootstock.toml.bak", "my-rootstock.toml"] {
        assert!(!matches(name), "{name}");
    }
}

/// A test that cannot be run where something is missing says so, and fails where all tests are to be run.
#[test]
fn a_skipped_test_is_printed_and_fails_where_all_are_to_run() {
    let run = |complete: &str, may_lack: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::killed_at_every_rename"])
            .env("PATH", "")
            .env("ROOTSTOCK_TEST_COMPLETE", complete)
            .env("ROOTSTOCK_TEST_MAY_LACK", may_lack)
            .output()
            .unwrap();
        let message = [output.stdout, output.stderr].concat();
        let message = String::from_utf8(message).unwrap();
        (output.status.success(), message)
    };
    let skipped = "SKIPPED crash::killed_at_every_rename: this machine lacks strace";
    for (complete, may_lack) in [("", ""), ("1", "users strace")] {
        let (passed, message) = run(complete, may_lack);
        assert!(passed && message.contains(skipped), "{message}");
    }
    let (passed, message) = run("1", "users");
    assert!(!passed && message.contains("needs strace"), "{message}");
}
