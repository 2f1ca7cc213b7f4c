//! The Python process of a worker: started in a group of its own, and gone, with everything it started, when this is
//! dropped. What is said to it is not known here.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, ChildStdout};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::wait::wait_until;
use crate::process::{self, Command, Exit};
use crate::runtime::Selected;
use crate::runtime::Variables;
use crate::store::inside;

/// The program that [`super::handover::HandOver::begin`] sends, after this line has made room for it: an argument as
/// long as the program would fill the screen of everybody who looks at the processes of the node.
pub(super) const FIRST_LINE: &str = "import socket as s,sys;connection=s.socket(fileno=0);\
exec(compile(connection.recv(int(sys.argv[1]),s.MSG_WAITALL),'rootstock worker','exec'))";

/// How long a Python that closed its socket may take to be gone: on a busy node, or while it writes a core file, long.
const LEAVING: Duration = Duration::from_secs(10);
/// How long a Python that was asked to end may take to be gone.
const GRACE: Duration = Duration::from_secs(2);

/// A running Python.
#[derive(Debug)]
pub(super) struct Python {
    child: Child,
}

impl Python {
    /// Starts the environment's Python, which will run a program of this size; with what it prints.
    pub(super) fn start(
        selected: &Selected,
        variables: &Variables,
        stdin: OwnedFd,
        program: usize,
    ) -> Result<(Self, ChildStdout, ChildStderr), process::Error> {
        let mut child = Command::new(selected.generation.join(inside::PYTHON))
            // Isolated from the user's Python settings; a root is not written to; a crash shows where.
            .arguments(["-I", "-B", "-X", "faulthandler", "-c", FIRST_LINE])
            .argument(program.to_string())
            .argument(selected.environment.as_str())
            .variables(variables)
            .spawn(stdin)?;
        let stdout = child.stdout.take().expect("spawn makes stdout a pipe");
        let stderr = child.stderr.take().expect("spawn makes stderr a pipe");
        Ok((Self { child }, stdout, stderr))
    }

    /// How it ended, after its socket was closed; ends it if it still runs.
    pub(super) fn cause(&self) -> String {
        match self.wait(LEAVING) {
            Some(exit) => format!("Python {exit}"),
            None => "Python closed its connection to the worker and went on running".to_owned(),
        }
    }

    /// Ends it, gently at first: its socket is shut, which it takes for an order to leave.
    pub(super) fn end(self, socket: &UnixStream) {
        // Fails only if it has gone already.
        let _ = socket.shutdown(std::net::Shutdown::Write);
        if wait_until(socket, Instant::now() + GRACE) {
            self.wait(GRACE);
        }
    }

    /// Waits for its end without reaping it: until then nobody else can have its number, nor its group's.
    fn wait(&self, grace: Duration) -> Option<Exit> {
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

    fn id(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The group first, also if Python has gone: what it started is of no use without it.
        if let Some(group) = self.id() {
            // Fails only if nobody is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
