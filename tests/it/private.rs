//! What is executed belongs to its user alone, whatever the umask; where others could replace it, it is not used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use snapbox::str;

use crate::sandbox::person::{Person, can_be_others};
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
        assert!(
            said.told().contains("everyone can write in the root"),
            "{}",
            said.stderr
        );
    }
    sandbox.run(&["sync"]).stderr_is(
        &sandbox,
        str![[r#"
  × everyone can write in the root `[PROJECT]/root`, and so replace what runs from it
  help: check that everything in it is yours, then `chmod o-w [PROJECT]/root`
"#]],
    );
    let warning = "warning: everyone can write in the root";
    let said = sandbox.run(&["run", "one", "--", "python", "-c", "0"]);
    said.expect(0).stderr_is(
        &sandbox,
        str!["warning: everyone can write in the root `[PROJECT]/root`, and so replace what runs from it"],
    );
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

/// A worker of this user whose server would be there, and what it says: root's where nobody is named.
fn worker(sandbox: &Sandbox, person: Option<Person>, socket: &str) -> Said {
    let arguments = [
        "worker",
        "one",
        "--unix",
        socket,
        "--species",
        "Cu",
        "--pbc",
        "TTT",
        "--connect-timeout",
        "0",
    ];
    match person {
        Some(person) => person.run(sandbox, "022", &arguments),
        None => sandbox.run(&arguments),
    }
}

#[test]
fn a_socket_of_another_user_is_no_server() {
    if !can_be_others() {
        return;
    }
    let (other, third) = (61001, 61002);
    let person = Person {
        user: other,
        groups: "61001",
    };
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let temporary = tempfile::Builder::new().prefix("ipi_").tempdir_in("/tmp");
    let temporary = temporary.unwrap();
    chmod(temporary.path(), 0o755);
    let name = temporary.path().file_name().unwrap().to_str().unwrap();
    let name = format!("{}-socket", name.strip_prefix("ipi_").unwrap());
    let path = format!("/tmp/ipi_{name}");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    chmod(Path::new(&path), 0o777);
    let give = |path: &str, owner: u32| std::os::unix::fs::lchown(path, Some(owner), None).unwrap();
    let link = temporary.path().join("link").display().to_string();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    // Whose the socket is, and the link to it; who starts the worker, root or this person; by which of the names it is a
    // stranger's.
    for (owner, linker, who, strange) in [
        (other, 0, None, &[&name, &path, &link][..]),
        (third, 0, Some(person), &[&name, &path, &link]),
        (0, other, None, &[&link]),
        (0, third, Some(person), &[&link]),
        (0, 0, None, &[]),
        (0, 0, Some(person), &[]),
        (other, other, Some(person), &[]),
    ] {
        give(&path, owner);
        give(&link, linker);
        for socket in [&name, &path, &link] {
            let case = format!("{socket} of {owner}, link of {linker}");
            let said = worker(&sandbox, who, socket);
            let told = said.told();
            let refused = told.contains("belongs to user 6100");
            assert_eq!(refused, strange.contains(&socket), "{case}: {told}");
            if refused {
                said.expect(1);
                assert!(told.contains("Give your server another name"), "{told}");
                assert!(listener.accept().is_err(), "{case}: it is not connected to");
            }
        }
    }
    fs::remove_file(&path).unwrap();
}
