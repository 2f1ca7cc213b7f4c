//! What is executed belongs to its user alone, whatever the umask; where others could replace it, it is not used.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use snapbox::str;

use crate::sandbox::person::{Person, can_be_others};
use crate::sandbox::{Output, Sandbox};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Puts something at this path: a program, a copy that differs in a byte, a link, a directory.
type Plant = fn(&Sandbox, &Path);

/// What takes the place of uv in the cache. None of it may be started, whatever its mode.
const IN_PLACE_OF_UV: [(&str, Plant); 5] = [
    ("a program that others can write", |sandbox, path| {
        script(sandbox, path);
        chmod(path, 0o775);
        chmod(path.parent().unwrap(), 0o775);
    }),
    ("a program that only we can write", script),
    ("a link to a program", |sandbox, path| {
        let program = sandbox.path("elsewhere");
        script(sandbox, &program);
        fs::remove_file(path).unwrap();
        symlink(program, path).unwrap();
    }),
    ("a uv with one more byte", |_, path| {
        let mut bytes = fs::read(path).unwrap();
        bytes.push(0);
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
        chmod(path, 0o700);
    }),
    ("a directory", |_, path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }),
];

/// A program that leaves a trace of having been run.
fn script(sandbox: &Sandbox, path: &Path) {
    let canary = sandbox.path("canary");
    let _ = fs::remove_file(path);
    fs::write(path, format!("#!/bin/sh\necho > '{}'\n", canary.display())).unwrap();
    chmod(path, 0o700);
}

#[test]
fn the_users_cache_is_private_and_only_the_pinned_uv_is_started_from_it() {
    let sandbox = Sandbox::single();
    let lock = |index: &str| {
        let _ = fs::remove_file(sandbox.path("rootstock.lock"));
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "umask 002; exec \"$@\"", "sh"]);
        shell.args([env!("CARGO_BIN_EXE_rootstock"), "lock"]);
        sandbox.set_up(&mut shell);
        // pip needs the index of the world to fetch uv; without one it is not fetched.
        shell.env("PIP_NO_INDEX", index);
        shell.env("XDG_CACHE_HOME", sandbox.path("cache"));
        Output::from(shell.output().unwrap())
    };
    lock("").expect(0);
    let home = sandbox.path("cache/rootstock");
    let name = sandbox.names("cache/rootstock/uv").remove(0);
    let program = home.join("uv").join(name);
    let is_private = || {
        for path in [&home, &home.join("uv"), &program] {
            assert_eq!(mode(path), 0o700, "{}", path.display());
        }
    };
    is_private();
    let good = fs::read(&program).unwrap();
    for (what, plant) in IN_PLACE_OF_UV {
        plant(&sandbox, &program);
        let result = lock("1");
        result.expect(1);
        let message = result.message();
        assert!(
            message.contains("it could not be fetched"),
            "{what}: {message}"
        );
        assert!(!sandbox.path("canary").exists(), "{what}");
        if program.is_dir() {
            fs::remove_dir(&program).unwrap();
        }
        fs::remove_file(&program).unwrap_or_default();
        fs::write(&program, &good).unwrap();
        chmod(&program, 0o700);
    }
    // Fetched again where that is possible.
    script(&sandbox, &program);
    lock("").expect(0);
    is_private();
    assert_eq!(fs::read(&program).unwrap(), good);
    // What is there is used.
    lock("1").expect(0);
}

#[test]
fn a_root_in_which_everybody_can_write_is_refused_by_sync_and_warned_about_by_who_runs_from_it() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let root = sandbox.path("root");
    let before = mode(&root);
    // The sticky bit does not protect the names that are free.
    for open in [0o1777, 0o777] {
        chmod(&root, open);
        for arguments in [
            &["sync"][..],
            &["sync", "--repair"],
            &["sync", "--check"],
            &["gc"],
            &["gc", "--dry-run"],
        ] {
            let output = sandbox.run(arguments);
            output.expect(1);
            let message = output.message();
            assert!(
                message.contains("everyone can write in the root"),
                "{message}"
            );
            assert!(message.contains("chmod o-w"), "{message}");
        }
    }
    sandbox.run(&["sync"]).stderr_is(
        &sandbox,
        str![[r#"
  × everyone can write in the root `[PROJECT]/root`, and so replace what runs from it
  help: check that everything in it is yours, then run `chmod o-w [PROJECT]/root`
"#]],
    );
    let warning = "warning: everyone can write in the root";
    let output = sandbox.run(&["run", "one", "--", "python", "-c", "0"]);
    output.expect(0).stderr_is(
        &sandbox,
        str!["warning: everyone can write in the root `[PROJECT]/root`, and so replace what runs from it"],
    );
    let output = sandbox.run(&[
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
    assert!(output.stderr.contains(warning), "{}", output.stderr);
    chmod(&root, before);
    sandbox.sync(&[]);
    let output = sandbox.run(&["run", "one", "--", "python", "-c", "0"]);
    assert!(!output.stderr.contains(warning), "{}", output.stderr);
}

/// A worker of this user whose server would be there, and its message: root's where no user is named.
fn worker(sandbox: &Sandbox, person: Option<Person>, socket: &str) -> Output {
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
            let output = worker(&sandbox, who, socket);
            let message = output.message();
            let refused = message.contains("belongs to user 6100");
            assert_eq!(refused, strange.contains(&socket), "{case}: {message}");
            if refused {
                output.expect(1);
                assert!(
                    message.contains("Give your server another name"),
                    "{message}"
                );
                assert!(listener.accept().is_err(), "{case}: it is not connected to");
            }
        }
    }
    fs::remove_file(&path).unwrap();
}
