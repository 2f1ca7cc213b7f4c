//! What a command does never depends on who reads what it prints: a pipe that is closed, on either stream, neither makes it
//! panic nor changes its exit code. Output that a file has no room for is an error.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use snapbox::str;

use super::sandbox::{Output, Sandbox, python};

/// Closes each of both streams, and both.
const CLOSED: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

/// A pipe whose reader is gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn redirect(command: &mut Command, (stdout, stderr): (bool, bool)) {
    command
        .stdout(if stdout { closed() } else { Stdio::null() })
        .stderr(if stderr { closed() } else { Stdio::null() });
}

/// Every subcommand, where it succeeds and where it fails, in each of its forms.
const COMMANDS: &[&str] = &[
    "--version",
    "--help",
    "help sync",
    "",
    "no-such-command",
    "sync --no-such-option",
    "lock",
    "lock --json",
    "lock --upgrade --offline",
    "lock --check",
    "lock --check --json",
    "lock --check --github",
    "lock --check --sarif",
    "lock --record",
    "sync",
    "sync --json",
    "sync --dry-run",
    "sync --check",
    "sync --repair --force one",
    "sync no-such-environment",
    "status",
    "status --json",
    "list",
    "doctor",
    "doctor --json",
    "doctor --deep",
    "doctor --import",
    "gc",
    "gc --dry-run --json",
    "gc --pin one",
    "gc --unpin one",
    "probe one",
    "probe one --json",
    "probe no-such-model",
    "run one -- true",
    "run one -- no-such-program",
    "run one --print sh",
    "run one --print json",
    "run no-such-environment -- true",
    "worker one",
    "worker one --unix /no/such/socket --species H --pbc FFF",
    "worker no-such-model --unix x --species-from-server",
    "export one --format requirements",
    "export one --format cyclonedx",
    "export one",
    "export no-such-environment",
    "bundle -o bundled",
    "bundle -o bundled --json",
    "image one -o one.tar.zst",
    "image one --allow-system-python -o one.tar.zst",
    "image one --allow-system-python -o one.tar.zst --json",
    "stage one --allow-system-python --to .",
    "stage one --allow-system-python --to . --json",
    "stage --to . --clean --older-than 1d",
    "stage --to . --clean --older-than 1d --json",
    "--manifest no-such-manifest lock",
    "--manifest wrong.toml lock --check",
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::single();
    sandbox.write("wrong.toml", "[rootstock]\nrout = 1\n[environments.a]\n");
    sandbox
}

#[test]
fn no_closed_pipe_changes_how_a_command_ends() {
    let sandbox = sandbox();
    let mut wrong = Vec::new();
    for line in COMMANDS {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        // Before it is compared: the first run may have something to do.
        sandbox.run(&arguments);
        let open = sandbox.run(&arguments).code;
        for streams in CLOSED {
            let mut command = sandbox.command(&arguments);
            redirect(&mut command, streams);
            let status = command.status().unwrap();
            if status.code() != open {
                wrong.push(format!("`{line}` {streams:?}: {status}, not {open:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_closed_pipe_keeps_a_lock_or_a_sync_from_its_work() {
    for streams in CLOSED {
        let sandbox = sandbox();
        std::fs::remove_file(sandbox.path("rootstock.lock")).unwrap();
        for arguments in [&["lock"][..], &["sync"]] {
            let mut command = sandbox.command(arguments);
            redirect(&mut command, streams);
            assert_eq!(command.status().unwrap().code(), Some(0), "{arguments:?}");
        }
        sandbox.run(&["sync", "--check"]).expect(0);
        // Drift is drift, however much of it is read.
        sandbox.write_source("one", &["single", "other"], "");
        let mut command = sandbox.command(&["lock", "--check"]);
        redirect(&mut command, streams);
        assert_eq!(command.status().unwrap().code(), Some(3), "{streams:?}");
    }
}

#[test]
fn a_worker_serves_on_when_its_streams_are_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server");
    for streams in CLOSED {
        let server = UnixListener::bind(&path).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rootstock"));
        command
            .args(["worker", "odd-emt", "--species", "Cu", "--pbc", "TTT"])
            .arg("--unix")
            .arg(&path)
            .env("ROOTSTOCK_ROOT", super::worker::root())
            .current_dir(directory.path());
        redirect(&mut command, streams);
        let mut worker = command.spawn().unwrap();
        let (mut connection, _) = server.accept().unwrap();
        connection.write_all(b"EXIT        ").unwrap();
        assert_eq!(worker.wait().unwrap().code(), Some(0), "{streams:?}");
        std::fs::remove_file(&path).unwrap();
    }
}

/// Gives a command a terminal as its standard error that has gone before anything is drawn on it.
const GONE_TERMINAL: &str = "
import os, pty, subprocess, sys
ours, theirs = pty.openpty()
child = subprocess.Popen(sys.argv[1:], stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL)
os.close(theirs)
os.close(ours)
sys.exit(child.wait())
";

#[test]
fn no_terminal_that_has_gone_changes_how_a_command_ends() {
    let sandbox = sandbox();
    for arguments in [
        &["sync", "--color", "always"][..],
        &["doctor", "--deep", "--import"],
        &["status"],
        &["lock", "--check"],
    ] {
        let mut command = Command::new(python());
        sandbox.set_up(&mut command);
        command
            .args(["-I", "-S", "-c", GONE_TERMINAL])
            .arg(env!("CARGO_BIN_EXE_rootstock"))
            .args(arguments);
        let result = Output::from(command.output().unwrap());
        let open = sandbox.run(arguments).code.unwrap();
        result.expect(open);
    }
}

#[test]
fn output_without_room_is_an_error() {
    let sandbox = sandbox();
    sandbox.sync(&[]);
    for line in [
        "export one --format requirements",
        "run one --print json",
        "status --json",
        "lock --check",
    ] {
        let mut command = sandbox.command(&line.split(' ').collect::<Vec<_>>());
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).stderr(Stdio::piped()).output();
        let result = Output::from(output.unwrap());
        result.expect(1);
        let incomplete = "cannot write to standard output: No space left on device";
        assert!(
            result.message().contains(incomplete),
            "{line}: {}",
            result.stderr
        );
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = sandbox
        .command(&["status"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output();
    Output::from(output.unwrap()).stderr_is(
        &sandbox,
        str![[r#"
  × cannot write to standard output: No space left on device (os error 28)
  help: what was printed is incomplete; if it goes to a file, make room there and run this again
"#]],
    );
}
