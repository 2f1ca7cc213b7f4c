//! Reports a startup error to the client that started a worker on a socket of its own: it has sent its first step already,
//! and closing a socket with unread bytes is a reset without a reason. Servers with an address are not connected before
//! the model is loaded.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use ipi_client::{Calculator, Failure, Floats, Frame, Results, Session, System};

use super::connect;
use super::wait::wait_until;

/// How long the client may take to send a step, and to notice the end.
const GRACE: Duration = Duration::from_secs(5);

/// Answers the first step with this error, if one arrives soon, and closes the socket cleanly.
pub(crate) fn report_startup_error(socket: &OwnedFd, reason: &str) {
    let stream = Stream {
        socket,
        deadline: Instant::now() + GRACE,
    };
    let mut session = Session::new(stream);
    let mut unavailable = Unavailable {
        atoms: None,
        reason,
    };
    // Ends with the first answer or without one; this error has been reported elsewhere.
    let _ = session.serve(&mut unavailable);
    let mut stream = session.into_stream();
    if shutdown(socket, Shutdown::Write).is_ok() {
        let mut rest = [0; 16 * 1024];
        while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
    }
}

/// Ends the connection to a server that waits for this worker, so that it sees an end and not its time limit. It may send as long as
/// it takes it to notice.
pub(crate) fn end_waiting(server: &Path) {
    let Some(socket) = connect::once(server) else {
        return;
    };
    let mut stream = Stream {
        socket: &socket,
        deadline: Instant::now() + GRACE,
    };
    if shutdown(&socket, Shutdown::Write).is_ok() {
        let mut rest = [0; 4096];
        while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
    }
}

/// A socket that is read until a deadline.
struct Stream<'a> {
    socket: &'a OwnedFd,
    deadline: Instant,
}

impl Read for Stream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !wait_until(self.socket.as_fd(), self.deadline) {
            return Err(ErrorKind::TimedOut.into());
        }
        let (count, _) = recv(self.socket, into, RecvFlags::empty())?;
        Ok(count)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.socket, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A calculator that fails every step.
struct Unavailable<'a> {
    atoms: Option<usize>,
    reason: &'a str,
}

impl Calculator for Unavailable<'_> {
    fn atoms(&self) -> Option<usize> {
        self.atoms
    }

    fn set_system(&mut self, system: System) -> Result<(), Failure> {
        self.atoms = Some(system.numbers.len());
        Ok(())
    }

    fn calculate(&mut self, _: &[Frame], _: &mut [Results]) -> Result<(), Failure> {
        Err(Failure::Died(self.reason.to_owned()))
    }

    fn stresses(&mut self, _: &Frame, _: &mut Floats) -> Result<(), Failure> {
        Err(Failure::Died(self.reason.to_owned()))
    }

    fn warn(&mut self, _: &str) {}
}
