//! The connection to the server, as a stream: reads are buffered, an answer leaves in as few pieces as the system takes
//! it in, and the end is orderly. Knows no protocol, and not how the connection came about.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use super::python::wait_until;

/// One read takes all of what a server of a few thousand atoms says in a step.
const BUFFER: usize = 64 * 1024;
/// How long a server may take to notice that it is being left.
const GRACE: Duration = Duration::from_secs(2);

/// A connected stream socket.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    buffer: Box<[u8]>,
    // What of the buffer was received and not yet read.
    unread: std::ops::Range<usize>,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
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

    fn receive_into_buffer(&mut self) -> io::Result<usize> {
        let (count, _) = recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())?;
        Ok(count)
    }
}

impl Read for Connection {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() {
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

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(&self.socket, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
