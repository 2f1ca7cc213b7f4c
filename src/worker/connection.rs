//! The connection to the server, as a stream: reads are buffered, an answer is sent in as few pieces as the system allows,
//! stop signals interrupt reads and writes, and the connection is closed cleanly. Knows no protocol.
//!
//! Over TCP a server that writes a message in two pieces, as ASE does, sends the second when the first is acknowledged.
//! Linux delays that by 40 ms unless quick acknowledgement is requested before every read. Answers are sent without
//! waiting for acknowledgements, too.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, Shutdown,
    recvmsg, send, shutdown, sockopt,
};

use super::signals::Signals;
use super::wait::{Awaited, Wake, wait, wait_until};

/// The messages of one step of a few thousand atoms.
const BUFFER: usize = 64 * 1024;
/// The forces of a hundred thousand atoms.
const SEND_BUFFER: usize = 4 << 20;
/// A rootstock client sends memory and a bell.
const MOST_FILES: usize = 2;
/// How long a server may take to close its end.
const GRACE: Duration = Duration::from_secs(2);

/// The other end of the connection, shared with those that wait for its end.
pub(super) struct Peer {
    socket: OwnedFd,
    tcp: bool,
    // How many bytes were received and not yet read.
    unread: Cell<usize>,
    // Descriptors received with the last message that had any.
    files: RefCell<Vec<OwnedFd>>,
}

impl Peer {
    /// Waits for the end of the connection, not for messages. Over TCP a server that ends closes only its half at first.
    pub(super) fn end(&self) -> Awaited<'_> {
        let events = if self.tcp {
            PollFlags::RDHUP
        } else {
            PollFlags::empty()
        };
        (self.socket.as_fd(), events)
    }

    /// Waits for the next message; `None` if some of it was received already.
    pub(super) fn next(&self) -> Option<Awaited<'_>> {
        (self.unread.get() == 0).then(|| (self.socket.as_fd(), PollFlags::IN))
    }

    /// Takes the descriptors that were received.
    pub(super) fn take_files(&self) -> Vec<OwnedFd> {
        self.files.take()
    }

    fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(into)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&self.socket, &mut parts, &mut control, flags)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.files.replace(files.collect());
            }
        }
        Ok(received.bytes)
    }
}

/// A connected stream socket.
pub(super) struct Connection<'a> {
    peer: Rc<Peer>,
    signals: &'a Signals,
    buffer: Box<[u8]>,
    // The part of the buffer that was not yet read.
    unread: Range<usize>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(socket: OwnedFd, signals: &'a Signals) -> Self {
        let tcp = matches!(
            sockopt::socket_domain(&socket),
            Ok(AddressFamily::INET | AddressFamily::INET6)
        );
        // Only speed depends on these options.
        if tcp {
            let _ = sockopt::set_tcp_nodelay(&socket, true);
        } else {
            // As much as the system allows: fewer pieces for large answers.
            let _ = sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER);
        }
        let peer = Peer {
            socket,
            tcp,
            unread: Cell::new(0),
            files: RefCell::default(),
        };
        Self {
            peer: Rc::new(peer),
            signals,
            buffer: vec![0; BUFFER].into(),
            unread: 0..0,
        }
    }

    /// The other end.
    pub(super) fn peer(&self) -> Rc<Peer> {
        self.peer.clone()
    }

    /// Closes the connection so that the server sees an end and not a reset: at a reset i-PI stops serving all its clients,
    /// and closing a socket with unread bytes is one. Takes at most [`GRACE`].
    pub(super) fn close(mut self) {
        let deadline = Instant::now() + GRACE;
        let mut drain = || -> io::Result<()> {
            shutdown(&self.peer.socket, Shutdown::Write)?;
            while wait_until(self.peer.socket.as_fd(), deadline)
                && self.peer.receive(&mut self.buffer)? > 0
            {}
            Ok(())
        };
        // Fails if the server has closed the connection already.
        let _ = drain();
    }

    /// Waits for the server, or for a stop signal.
    fn wait(&self, events: PollFlags) -> io::Result<()> {
        match wait(&self.peer.socket, events, None, Some(self.signals)) {
            Wake::Stopped => Err(io::Error::other("stopped by a signal")),
            Wake::Ready | Wake::Other | Wake::TimedOut => Ok(()),
        }
    }

    fn wait_to_read(&self) -> io::Result<()> {
        if self.peer.tcp {
            let _ = sockopt::set_tcp_quickack(&self.peer.socket, true);
        }
        self.wait(PollFlags::IN)
    }
}

impl Read for Connection<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() {
            self.wait_to_read()?;
            // Long messages bypass the buffer.
            if into.len() >= self.buffer.len() {
                return self.peer.receive(into);
            }
            self.unread = 0..self.peer.receive(&mut self.buffer)?;
        }
        let count = into.len().min(self.unread.len());
        into[..count].copy_from_slice(&self.buffer[self.unread.start..][..count]);
        self.unread.start += count;
        self.peer.unread.set(self.unread.len());
        Ok(count)
    }
}

impl Write for Connection<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match send(
                &self.peer.socket,
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
