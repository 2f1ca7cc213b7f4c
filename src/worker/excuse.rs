//! Telling whoever started a worker on a socket of its own why there is none: it has sent its first step already, and a
//! socket that is closed with bytes unread is a reset, which says nothing. Only for such sockets: to a server that is
//! reached by an address nobody connects before the model is loaded.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use super::wait::wait_until;
use ipi_client::Floats;
use ipi_client::{Calculator, Failure, Frame, Results, Session, System};

/// How long it may take to ask, and then to notice the end.
const GRACE: Duration = Duration::from_secs(5);

/// Answers the first step with this, if one is asked for soon, and closes the socket in order.
pub fn excuse(socket: &OwnedFd, reason: &str) {
    let stream = Stream {
        socket,
        deadline: Instant::now() + GRACE,
    };
    let mut session = Session::new(stream);
    let mut nobody = Nobody {
        atoms: None,
        reason,
    };
    // It ends with the first answer, or without one: there is nobody to tell of either.
    let _ = session.serve(&mut nobody);
    let mut stream = session.into_stream();
    if shutdown(socket, Shutdown::Write).is_ok() {
        let mut rest = [0; 16 * 1024];
        while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
    }
}

/// A socket that is not listened to for ever.
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
        // Whoever has asked reads the answer.
        Ok(send(self.socket, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What there is in place of a model.
struct Nobody<'a> {
    atoms: Option<usize>,
    reason: &'a str,
}

impl Calculator for Nobody<'_> {
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
