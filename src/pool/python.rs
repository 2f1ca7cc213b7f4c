//! One Python process of an environment, in a process group of its own: killed, with everything it has started, when this
//! is dropped.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{ChildStderr, ChildStdout};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use super::wait::wait_until;
use crate::process::{self, Command, Exit};
use crate::runtime::{Selected, Variables};
use crate::store::inside;

/// Receives and runs the program that its parent sends. An argument as long as that program
/// would fill the screen of anyone who lists the node's processes.
pub(crate) const FIRST_LINE: &str = "import socket as s,sys;connection=s.socket(fileno=0);\
exec(compile(connection.recv(int(sys.argv[1]),s.MSG_WAITALL),'rootstock','exec'))";

/// How long a Python that closed its socket may take to end: long on a busy node, or while it writes a core file.
const ENDING: Duration = Duration::from_secs(10);
/// How long a Python may take to end after its socket was shut down.
const GRACE: Duration = Duration::from_secs(2);

/// A running Python.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
}

impl Child {
    /// Starts the environment's Python, which expects a program of this size on `stdin`.
    pub(crate) fn start(
        selected: &Selected,
        variables: &Variables,
        stdin: OwnedFd,
        program: usize,
    ) -> Result<(Self, ChildStdout, ChildStderr), process::Error> {
        Self::spawn(
            &Self::command(selected, program).variables(variables),
            stdin,
        )
    }

    /// The same in this directory, with every `print` passed on at once.
    pub(crate) fn start_in(
        directory: &Path,
        selected: &Selected,
        variables: &Variables,
        stdin: OwnedFd,
        program: usize,
    ) -> Result<(Self, ChildStdout, ChildStderr), process::Error> {
        let mut command = Self::command(selected, program)
            .variables(variables)
            .directory(directory);
        command.arguments.insert(0, "-u".into());
        Self::spawn(&command, stdin)
    }

    fn command(selected: &Selected, program: usize) -> Command {
        Command::new(selected.generation.join(inside::PYTHON))
            // Isolated from the user's settings; writes no bytecode into the root; a crash prints a traceback.
            .arguments(["-I", "-B", "-X", "faulthandler", "-c", FIRST_LINE])
            .argument(program.to_string())
            .argument(selected.environment.as_str())
    }

    fn spawn(
        command: &Command,
        stdin: OwnedFd,
    ) -> Result<(Self, ChildStdout, ChildStderr), process::Error> {
        let mut process = command.spawn(stdin)?;
        let stdout = process.stdout.take().expect("spawn makes stdout a pipe");
        let stderr = process.stderr.take().expect("spawn makes stderr a pipe");
        Ok((Self { process }, stdout, stderr))
    }

    /// How it ended, after it has closed its socket.
    pub(crate) fn cause(&self) -> String {
        match self.wait(ENDING) {
            Some(exit) => format!("Python {exit}"),
            None => "Python closed its connection to the worker but is still running".to_owned(),
        }
    }

    /// Ends it by shutting down its socket; kills it if that takes too long.
    pub(crate) fn end(self, socket: &UnixStream) {
        // Fails only if it has ended already.
        let _ = socket.shutdown(std::net::Shutdown::Write);
        if wait_until(socket, Instant::now() + GRACE) {
            self.wait(GRACE);
        }
    }

    /// Waits for its end without reaping it: until then no other process can get its id, or its group's.
    pub(crate) fn wait(&self, grace: Duration) -> Option<Exit> {
        let deadline = Instant::now() + grace;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            match waitid(WaitId::Pid(self.id()?), options) {
                Ok(Some(status)) => {
                    let code = status.exit_status().map(Exit::Code);
                    return code.or_else(|| status.terminating_signal().map(Exit::Signal));
                }
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                _ => return None,
            }
        }
    }

    /// Asks it, with everything it has started, to end.
    pub(crate) fn terminate(&self) {
        if let Some(group) = self.id() {
            // Fails only if the group is empty.
            let _ = kill_process_group(group, Signal::TERM);
        }
    }

    /// A descriptor that can be read once it has ended; `None` where the system has no such descriptors.
    pub(crate) fn end_descriptor(&self) -> Option<OwnedFd> {
        pidfd_open(self.id()?, PidfdFlags::empty()).ok()
    }

    fn id(&self) -> Option<Pid> {
        i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The group first, even if Python has ended: its processes are useless without it.
        if let Some(group) = self.id() {
            // Fails only if the group is empty.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}
