//! The connection to the server, as a stream: reads are buffered, an answer leaves in as few pieces as the system takes
//! it in, an order to end is heard in the middle of everything, and the end is orderly. Knows no protocol, and not how
//! the connection came about.
//!
//! Over TCP a server that writes a message in two pieces, as ASE's does, sends the second when the first is acknowledged,
//! for which Linux takes its time (40 ms); unless it is asked to be quick, before every read, because it forgets. And an
//! answer of ours must not wait for an acknowledgement either.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};

use super::signals::Signals;
use super::wait::{Wake, wait, wait_until};

/// One read takes all of what a server of a few thousand atoms says in a step.
const BUFFER: usize = 64 * 1024;
/// How long a server may take to notice that it is being left.
const GRACE: Duration = Duration::from_secs(2);

/// A connected stream socket.
pub(super) struct Connection<'a> {
    socket: OwnedFd,
    signals: &'a Signals,
    // Whether this is TCP.
    tcp: bool,
    buffer: Box<[u8]>,
    // What of the buffer was received and not yet read.
    unread: std::ops::Range<usize>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(socket: OwnedFd, signals: &'a Signals) -> Self {
        let tcp = matches!(
            sockopt::socket_domain(&socket),
            Ok(AddressFamily::INET | AddressFamily::INET6)
        );
        if tcp {
            // Without it everything works, only later.
            let _ = sockopt::set_tcp_nodelay(&socket, true);
        }
        Self {
            socket,
            signals,
            tcp,
            buffer: vec![0; BUFFER].into(),
            unread: 0..0,
        }
    }

    /// Closes the connection so that the other side sees an end, not a reset: i-PI stops serving everybody at a reset,
    /// and a socket closed with bytes unread is one. Nothing is kept waiting for longer than [`GRACE`].
    pub(super) fn close(mut self) {
        let deadline = Instant::now() + GRACE;
        let mut drain = || -> io::Result<()> {
            shutdown(&self.socket, Shutdown::Write)?;
            while wait_until(self.socket.as_fd(), deadline) && self.receive_into_buffer()? > 0 {}
            Ok(())
        };
        // Whoever closed the connection before us needs no goodbye.
        let _ = drain();
    }

    /// Waits for the server, unless we are told to end.
    fn wait(&self, events: PollFlags) -> io::Result<()> {
        match wait(&self.socket, events, None, Some(self.signals)) {
            Wake::Told => Err(io::Error::other("told to end")),
            Wake::Ready | Wake::Late => Ok(()),
        }
    }

    fn wait_to_read(&self) -> io::Result<()> {
        if self.tcp {
            let _ = sockopt::set_tcp_quickack(&self.socket, true);
        }
        self.wait(PollFlags::IN)
    }

    fn receive_into_buffer(&mut self) -> io::Result<usize> {
        let (count, _) = recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())?;
        Ok(count)
    }
}

impl Read for Connection<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() {
            self.wait_to_read()?;
            // Long messages go where they are wanted.
            if into.len() >= self.buffer.len() {
                let (count, _) = recv(&self.socket, into, RecvFlags::empty())?;
                return Ok(count);
            }
            self.unread = 0..self.receive_into_buffer()?;
        }
        let count = into.len().min(self.unread.len());
        into[..count].copy_from_slice(&self.buffer[self.unread.start..][..count]);
        self.unread.start += count;
        Ok(count)
    }
}

impl Write for Connection<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match send(
                &self.socket,
                bytes,
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            ) {
                Err(rustix::io::Errno::AGAIN) => self.wait(PollFlags::OUT)?,
                sent => return Ok(sent?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
