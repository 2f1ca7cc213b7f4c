//! Killed at any moment, `sync` leaves nothing half-made in sight, and the next one finishes.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::sandbox::{Said, Sandbox, Wheel, trace};

const SIGKILL: i32 = 9;

/// Every path under `envs/` leads to a whole generation, or is not there.
fn nothing_half_made_is_visible(sandbox: &Sandbox) {
    let envs = sandbox.names("root/envs");
    for name in envs.iter().filter(|name| !name.starts_with('.')) {
        let generation = sandbox.generation("root", name);
        assert!(
            generation.join("rootstock-stamp.json").is_file(),
            "{}",
            generation.display()
        );
        let tree = std::fs::read_to_string(generation.join("rootstock-tree.txt")).unwrap();
        for line in tree.lines() {
            let path = generation.join(line.splitn(3, ' ').nth(2).unwrap());
            assert!(path.symlink_metadata().is_ok(), "{}", path.display());
        }
    }
}

/// A sync after the crash ends well and leaves no staging.
fn the_next_sync_finishes(sandbox: &Sandbox) -> Said {
    let said = sandbox.sync(&[]);
    for environment in ["one", "two"] {
        assert_eq!(
            sandbox.python(environment, "import shared; print(shared.VERSION)"),
            "1.0\n"
        );
        let generations = sandbox.names(&format!("root/generations/{environment}"));
        assert_eq!(generations.len(), 1, "{generations:?}");
    }
    assert_eq!(sandbox.names("root/envs"), ["one", "two"]);
    sandbox.run(&["sync", "--check"]).expect(0);
    said
}

#[test]
fn killed_while_it_downloads() {
    let sandbox = Sandbox::shared();
    let file = "second-1.0-py3-none-any.whl";
    sandbox.index.hold(file);
    let mut child = sandbox
        .command(&["sync"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    sandbox.index.wait_for(file);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL));
    sandbox.index.release();
    assert_eq!(sandbox.names("root/envs"), [""; 0]);
    the_next_sync_finishes(&sandbox);
}

/// Runs a sync that is killed as it makes its `nth` system call of this kind; `false` if it makes fewer.
fn killed_at(sandbox: &Sandbox, call: &str, nth: usize) -> bool {
    let inject = format!("inject={call}:signal=SIGKILL:when={nth}");
    let mut command = trace::command(sandbox, &[&format!("trace={call}"), &inject]);
    let output = command.args(["sync", "-j", "1"]).output().unwrap();
    match (output.status.signal(), output.status.code()) {
        // Exit code 1: what was killed is a program that sync had started, and sync said so.
        (Some(SIGKILL), _) | (_, Some(137 | 1)) => true,
        (_, Some(0)) => false,
        other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Kills a sync at every system call of these kinds that can be the moment between two states of the root.
fn kill_at_every(calls: &str) {
    if !trace::is_possible() {
        // No strace here, or it may not be used: `killed_while_it_downloads` is all we can do.
        return;
    }
    let sandbox = Sandbox::new(&[("one", &["shared"]), ("two", &["shared"])]);
    sandbox.index.add(&Wheel::simple("shared", "1.0"));
    sandbox.lock();
    let mut kills = 0;
    while killed_at(&sandbox, calls, kills + 1) {
        nothing_half_made_is_visible(&sandbox);
        kills += 1;
        // From the beginning each time, so that later moments are reached as well.
        remove(&sandbox.path("root"), kills);
    }
    // Downloads, shelves, generations and links: at least one moment of each.
    assert!(kills >= 4, "{kills}");
    the_next_sync_finishes(&sandbox);
}

/// Every other time the next sync finds what the killed one left, else nothing.
fn remove(root: &Path, kills: usize) {
    if kills.is_multiple_of(2) {
        let removed = Command::new("rm").arg("-rf").arg(root).status().unwrap();
        assert!(removed.success());
    }
}

#[test]
fn killed_at_every_rename() {
    kill_at_every("rename,renameat,renameat2");
}

#[test]
fn killed_at_every_symbolic_link() {
    kill_at_every("symlink,symlinkat");
}
