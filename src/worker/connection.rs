//! The connection to the server, as a stream: reads are buffered, an answer leaves in as few pieces as the system takes
//! it in, an order to end is heard in the middle of everything, and the end is orderly. Knows no protocol, and not how
//! the connection came about.
//!
//! Over TCP a server that writes a message in two pieces, as ASE's does, sends the second when the first is acknowledged,
//! for which Linux takes its time (40 ms); unless it is asked to be quick, before every read, because it forgets. And an
//! answer of ours must not wait for an acknowledgement either.

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

/// One read takes all of what a server of a few thousand atoms says in a step.
const BUFFER: usize = 64 * 1024;
/// The forces of a hundred thousand atoms.
const SEND_BUFFER: usize = 4 << 20;
/// A client of ours sends memory, and a bell.
const MOST_FILES: usize = 2;
/// How long a server may take to notice that it is being left.
const GRACE: Duration = Duration::from_secs(2);

/// Who is at the other end; known to all who have to notice that nobody is any more.
pub(super) struct Peer {
    socket: OwnedFd,
    // Whether this is TCP.
    tcp: bool,
    // How many bytes were received and not yet read.
    unread: Cell<usize>,
    // What was sent along with the bytes, at most as much as one message has.
    files: RefCell<Vec<OwnedFd>>,
}

impl Peer {
    /// To be waited for: the end of whoever is there, and nothing that he says. Over TCP it looks like half of one.
    pub(super) fn end(&self) -> Awaited<'_> {
        let events = if self.tcp {
            PollFlags::RDHUP
        } else {
            PollFlags::empty()
        };
        (self.socket.as_fd(), events)
    }

    /// To be waited for: the next message; `None` if it has begun to come.
    pub(super) fn next(&self) -> Option<Awaited<'_>> {
        (self.unread.get() == 0).then(|| (self.socket.as_fd(), PollFlags::IN))
    }

    /// The descriptors that came since this was asked last.
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
    // What of the buffer was received and not yet read.
    unread: Range<usize>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(socket: OwnedFd, signals: &'a Signals) -> Self {
        let tcp = matches!(
            sockopt::socket_domain(&socket),
            Ok(AddressFamily::INET | AddressFamily::INET6)
        );
        // Without them everything works, only later.
        if tcp {
            let _ = sockopt::set_tcp_nodelay(&socket, true);
        } else {
            // As much as the system allows: the answer of a large system leaves in fewer pieces.
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

    /// Who is at the other end.
    pub(super) fn peer(&self) -> Rc<Peer> {
        self.peer.clone()
    }

    /// Closes the connection so that the other side sees an end, not a reset: i-PI stops serving everybody at a reset,
    /// and a socket closed with bytes unread is one. Nothing is kept waiting for longer than [`GRACE`].
    pub(super) fn close(mut self) {
        let deadline = Instant::now() + GRACE;
        let mut drain = || -> io::Result<()> {
            shutdown(&self.peer.socket, Shutdown::Write)?;
            while wait_until(self.peer.socket.as_fd(), deadline)
                && self.peer.receive(&mut self.buffer)? > 0
            {}
            Ok(())
        };
        // Whoever closed the connection before us needs no goodbye.
        let _ = drain();
    }

    /// Waits for the server, unless we are told to end.
    fn wait(&self, events: PollFlags) -> io::Result<()> {
        match wait(&self.peer.socket, events, None, Some(self.signals)) {
            Wake::Told => Err(io::Error::other("told to end")),
            Wake::Ready | Wake::Second | Wake::Late => Ok(()),
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
            // Long messages go where they are wanted.
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
