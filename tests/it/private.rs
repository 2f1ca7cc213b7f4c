//! What is executed belongs to its user alone, whatever the umask; where others could replace it, it is not used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::sandbox::{Said, Sandbox};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_users_cache_is_private_and_a_uv_that_others_could_replace_is_not_started() {
    let sandbox = Sandbox::single();
    let lock = |sandbox: &Sandbox| {
        fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "umask 002; exec \"$@\"", "sh"]);
        shell.args([env!("CARGO_BIN_EXE_rootstock"), "lock"]);
        sandbox.set_up(&mut shell);
        // pip needs the index of the world to fetch uv.
        shell.env("XDG_CACHE_HOME", sandbox.path("cache"));
        Said::from(shell.output().unwrap())
    };
    lock(&sandbox).expect(0);
    let home = sandbox.path("cache/rootstock");
    let name = sandbox.names("cache/rootstock/uv").remove(0);
    let program = home.join("uv").join(name);
    for path in [&home, &home.join("uv"), &program] {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
    // One that somebody of the group has put there, when that was possible.
    let canary = sandbox.path("canary");
    fs::write(
        &program,
        format!("#!/bin/sh\necho > '{}'\n", canary.display()),
    )
    .unwrap();
    chmod(&program, 0o775);
    chmod(&home.join("uv"), 0o775);
    lock(&sandbox).expect(0);
    assert!(!canary.exists());
    for path in [&home.join("uv"), &program] {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
}

#[test]
fn a_root_in_which_everybody_can_write_is_refused_by_sync_and_warned_about_by_who_runs_from_it() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let root = sandbox.path("root");
    let before = mode(&root);
    chmod(&root, 0o777);
    for arguments in [&["sync"][..], &["sync", "--repair"], &["sync", "--check"]] {
        let said = sandbox.run(arguments);
        said.expect(1);
        let told = said.told();
        assert!(told.contains("everybody can write in the root"), "{told}");
        assert!(told.contains("chmod o-w"), "{told}");
    }
    let warning = "warning: everybody can write in the root";
    let said = sandbox.run(&["run", "one", "--", "python", "-c", "0"]);
    assert!(said.expect(0).stderr.contains(warning), "{}", said.stderr);
    let said = sandbox.run(&[
        "worker",
        "one",
        "--unix",
        "nowhere",
        "--species",
        "Cu",
        "--pbc",
        "TTT",
        "--connect-timeout",
        "0",
    ]);
    assert!(said.stderr.contains(warning), "{}", said.stderr);
    chmod(&root, before);
    sandbox.sync(&[]);
    let said = sandbox.run(&["run", "one", "--", "python", "-c", "0"]);
    assert!(!said.stderr.contains(warning), "{}", said.stderr);
}
