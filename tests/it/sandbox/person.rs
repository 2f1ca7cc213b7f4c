//! Other users of this machine: only root can be one of them.

use std::path::Path;
use std::process::Command;

use super::{Output, Sandbox, lacking};

/// A user by number, with the groups they are in.
#[derive(Clone, Copy)]
pub(crate) struct Person {
    pub(crate) user: u32,
    pub(crate) groups: &'static str,
}

/// Whether this process may act as another user; if not, the test is skipped.
pub(crate) fn can_be_others() -> bool {
    let output = Command::new("setpriv")
        .args(["--reuid=61001", "--regid=61001", "--clear-groups", "true"])
        .output();
    lacking::unless(output.is_ok_and(|output| output.status.success()), "users")
}

impl Person {
    /// A command of theirs. They may read everything, as the machine's Python may be in a private place; what they may
    /// write is what their user and groups may.
    pub(crate) fn command(&self, sandbox: &Sandbox, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={}", self.user))
            .arg(format!("--regid={}", self.user))
            .arg(format!("--groups={}", self.groups))
            .args([
                "--inh-caps=-all,+dac_read_search",
                "--ambient-caps=-all,+dac_read_search",
                "--bounding-set=-all,+dac_read_search",
                "--no-new-privs",
            ])
            .arg(program);
        sandbox.set_up(&mut command);
        // setpriv itself is not in the project.
        let path = format!(
            "{}:/usr/local/bin:/usr/bin:/bin",
            sandbox.path("bin").display()
        );
        command.env("PATH", path);
        command
    }

    /// A run of a copy of the program that they can reach, with nothing but their own rights.
    pub(crate) fn bare(&self, sandbox: &Sandbox, arguments: &[&str]) -> Output {
        let program = sandbox.path("rootstock");
        if !program.exists() {
            std::fs::copy(env!("CARGO_BIN_EXE_rootstock"), &program).unwrap();
        }
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={}", self.user))
            .arg(format!("--regid={}", self.user))
            .arg(format!("--groups={}", self.groups))
            .args(["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"])
            .arg(program)
            .args(arguments);
        sandbox.set_up(&mut command);
        let path = format!(
            "{}:/usr/local/bin:/usr/bin:/bin",
            sandbox.path("bin").display()
        );
        command.env("PATH", path).env("HOME", "/nonexistent");
        Output::from(command.output().unwrap())
    }

    /// Runs rootstock with this umask.
    pub(crate) fn run(&self, sandbox: &Sandbox, umask: &str, arguments: &[&str]) -> Output {
        let mut shell = self.command(sandbox, Path::new("/bin/sh"));
        shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
        shell.arg(env!("CARGO_BIN_EXE_rootstock")).args(arguments);
        Output::from(shell.output().unwrap())
    }
}
