//! The tests that i-PI and ASE have for their own clients pass with our worker in their place; `tests/conformance`
//! fetches and runs them, unchanged.

use std::path::Path;
use std::process::Command;

const ROOTSTOCK: &str = env!("CARGO_BIN_EXE_rootstock");

/// The last lines of a test run of theirs, which must pass.
fn run(suite: &str) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance-root");
    let synced = Command::new(ROOTSTOCK)
        .args([
            "sync",
            "--manifest",
            "tests/conformance/rootstock.toml",
            "--root",
        ])
        .arg(&root)
        .current_dir(here)
        .output()
        .unwrap();
    assert!(synced.status.success(), "{synced:?}");
    let output = Command::new(root.join("envs/peers/bin/python"))
        .args(["-B", "tests/conformance/run.py", ROOTSTOCK])
        .arg(&root)
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance"))
        .arg(suite)
        .current_dir(here)
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{message}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    message
}

/// 35 simulations, each with a worker of its own; `.ci/run` asks for them.
#[test]
#[ignore = "five minutes, and its sockets have fixed names in /tmp: `cargo test --test it conformance -- --ignored`"]
fn regression_tests_of_ipi() {
    let message = run("ipi");
    assert!(
        message.contains(" passed") && !message.contains("skipped"),
        "{message}"
    );
}

#[test]
fn socket_tests_of_ase() {
    let message = run("ase");
    assert!(message.contains("3 passed"), "{message}");
}
