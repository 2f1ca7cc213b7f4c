//! The program under strace: to see what it does, and to make the system fail where a test wants it to.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Sandbox;

/// Whether this machine lets us trace a program at all; containers often do not.
pub(crate) fn is_possible() -> bool {
    strace().is_some_and(|strace| {
        Command::new(strace)
            .args(["-f", "-o", "/dev/null", "true"])
            .output()
            .is_ok_and(|output| output.status.success())
    })
}

/// The program under strace with these expressions (`trace=…`, `inject=…`), ready for its arguments.
pub(crate) fn command(sandbox: &Sandbox, expressions: &[&str]) -> Command {
    writing_to(sandbox, Path::new("/dev/null"), expressions)
}

/// The same; what is seen goes to this file.
pub(crate) fn writing_to(sandbox: &Sandbox, seen: &Path, expressions: &[&str]) -> Command {
    let mut command = Command::new(strace().expect("looked for before"));
    command.args(["-f", "-qq", "-o"]).arg(seen);
    for expression in expressions {
        command.args(["-e", expression]);
    }
    command.arg(env!("CARGO_BIN_EXE_rootstock"));
    sandbox.set_up(&mut command);
    command
}

/// The program under strace with these expressions, which are about system calls on this path alone.
pub(crate) fn on_path(sandbox: &Sandbox, path: &Path, expressions: &[&str]) -> Command {
    let mut command = Command::new(strace().expect("looked for before"));
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(path);
    for expression in expressions {
        command.args(["-e", expression]);
    }
    command.arg(env!("CARGO_BIN_EXE_rootstock"));
    sandbox.set_up(&mut command);
    command
}

fn strace() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join("strace"))
        .find(|program| program.is_file())
}
