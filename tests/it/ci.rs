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
