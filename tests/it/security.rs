//! What SECURITY.md promises of commands that CI runs on a pull request, and what goes along with the program.

use std::path::Path;
use std::process::Command;

use crate::sandbox::{Sandbox, trace, traces};

#[test]
fn what_ci_may_run_starts_nothing_reaches_nothing_and_writes_nothing() {
    if !trace::is_possible() {
        return;
    }
    let sandbox = Sandbox::single().with_weights();
    sandbox.sync(&[]);
    let log = tempfile::NamedTempFile::new().unwrap();
    for words in [
        &["lock", "--check"][..],
        &["lock", "--check", "--json"],
        &["lock", "--check", "--github"],
        &["lock", "--check", "--sarif", "-"],
        &["export", "one", "--format", "requirements"],
        &["export", "one", "--format", "cyclonedx"],
        &["status"],
        &["status", "--json"],
    ] {
        let before = traces(&sandbox.path(""));
        let mut command = trace::writing_to(&sandbox, log.path(), &["trace=process,network"]);
        let output = command.args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        let seen = std::fs::read_to_string(log.path()).unwrap();
        assert_eq!(seen.matches("execve(").count(), 1, "{words:?}: {seen}");
        for call in ["fork(", "socket(", "connect("] {
            assert!(!seen.contains(call), "{words:?}: {seen}");
        }
        // Threads are no processes.
        let processes = seen
            .lines()
            .filter(|line| line.contains("clone(") || line.contains("clone3("));
        let processes: Vec<&str> = processes
            .filter(|line| !line.contains("CLONE_THREAD"))
            .collect();
        assert_eq!(processes, [""; 0], "{words:?}");
        assert_eq!(traces(&sandbox.path("")), before, "{words:?}");
    }
}

#[test]
fn the_notices_are_those_of_the_crates() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3.11")
        .args([".ci/third-party.py", "--check"])
        .current_dir(here)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let notices = std::fs::read_to_string(here.join("THIRD-PARTY.md")).unwrap();
    assert!(
        notices.contains("\n- version-ranges 0.1"),
        "it is under the MPL-2.0"
    );
    let project = std::fs::read_to_string(here.join("pyproject.toml")).unwrap();
    assert!(project.contains("\"THIRD-PARTY.md\""), "the wheel has them");
}
