//! The connection to the server, as a stream: reads are buffered, an answer is sent in as few pieces as the system allows,
//! stop signals interrupt reads and writes, and the connection is closed cleanly. Knows no protocol.
//!
//! Over TCP a server that writes a message in two pieces, as ASE does, sends the second when the first is acknowledged.
//! Linux delays that by 40 ms unless quick acknowledgement is requested before every read. Answers are sent without
//! waiting for acknowledgements, too.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, IoSliceMut, Read, Write};
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

use super::polling::Polling;
use super::signals::Signals;
use super::wait::{Awaited, Wake, wait, wait_until};

/// The messages of one step of a few thousand atoms.
const BUFFER: usize = 64 * 1024;
/// The forces of a hundred thousand atoms.
const SEND_BUFFER: usize = 4 << 20;
/// A rootstock client sends memory and a bell.
const MOST_FILES: usize = 2;
const STOPPED: &str = "stopped by a signal";
/// How long a server may take to close its end.
const GRACE: Duration = Duration::from_secs(2);

/// The other end of the connection, shared with those that wait for its end.
pub(super) struct Peer {
    socket: OwnedFd,
    tcp: bool,
    // How many bytes were received and not yet read.
    unread: Cell<usize>,
    has_sent: Cell<bool>,
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
        if received.bytes > 0 {
            self.has_sent.set(true);
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
    polling: Polling,
    silence: Silence<'a>,
}

/// How long the server makes this end wait, and what follows from that.
#[derive(Default)]
struct Silence<'a> {
    /// Since the last answer.
    waited: Duration,
    report: Option<Report<'a>>,
    /// When it is an error.
    limit: Option<Duration>,
    is_over: bool,
}

/// How a silence is reported.
struct Report<'a> {
    every: Duration,
    print: &'a dyn Fn(&str),
    /// When it is reported next: later and later, because a server may have other things to do.
    next: Duration,
}

impl Silence<'_> {
    /// How long to wait before there is something to do.
    fn left(&self) -> Option<Duration> {
        let next = self.report.as_ref().map(|report| report.next);
        let until = next.into_iter().chain(self.limit).min()?;
        Some(until.saturating_sub(self.waited))
    }

    /// Reports the silence, or ends it.
    fn check(&mut self) -> io::Result<()> {
        if self.limit.is_some_and(|limit| self.waited >= limit) {
            self.is_over = true;
            return Err(ErrorKind::TimedOut.into());
        }
        if let Some(report) = &mut self.report
            && self.waited >= report.next
        {
            let seconds = report.next.as_secs_f64();
            (report.print)(&format!(
                "rootstock: waited {seconds} s for the server's next message"
            ));
            report.next *= 2;
        }
        Ok(())
    }

    /// This end has answered.
    fn start_again(&mut self) {
        self.waited = Duration::ZERO;
        if let Some(report) = &mut self.report {
            report.next = report.every;
        }
    }
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
            notice_lost_hosts(&socket);
        } else {
            // As much as the system allows: fewer pieces for large answers.
            let _ = sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER);
        }
        let peer = Peer {
            socket,
            tcp,
            unread: Cell::new(0),
            has_sent: Cell::new(false),
            files: RefCell::default(),
        };
        Self {
            peer: Rc::new(peer),
            signals,
            buffer: vec![0; BUFFER].into(),
            unread: 0..0,
            polling: Polling::new(),
            silence: Silence::default(),
        }
    }

    /// From now on it is reported that the server makes this end wait, first after this time. Pieces of a message do not
    /// count.
    pub(super) fn report_waiting(&mut self, every: Duration, print: &'a dyn Fn(&str)) {
        self.silence.report = Some(Report {
            every,
            print,
            next: every,
        });
    }

    /// From now on it is an error if the server makes this end wait for so long.
    pub(super) fn limit_waiting(&mut self, limit: Option<Duration>) {
        self.silence.limit = limit;
    }

    /// Whether that was the error.
    pub(super) fn has_timed_out(&self) -> bool {
        self.silence.is_over
    }

    /// Whether the server has sent anything.
    pub(super) fn has_received(&self) -> bool {
        self.peer.has_sent.get()
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
    fn wait(&mut self, events: PollFlags) -> io::Result<()> {
        loop {
            let start = Instant::now();
            let deadline = self.silence.left().map(|left| start + left);
            let wake = wait(&self.peer.socket, events, deadline, Some(self.signals));
            self.silence.waited += start.elapsed();
            match wake {
                Wake::Stopped => return Err(io::Error::other(STOPPED)),
                Wake::Ready | Wake::Other => return Ok(()),
                Wake::TimedOut => self.silence.check()?,
            }
        }
    }

    fn wait_to_read(&mut self) -> io::Result<()> {
        if self.peer.tcp {
            let _ = sockopt::set_tcp_quickack(&self.peer.socket, true);
        }
        let (socket, signals) = (&self.peer.socket, Some(self.signals));
        let look = |now| {
            let wake = wait(socket, PollFlags::IN, Some(now), signals);
            (wake != Wake::TimedOut).then_some(wake)
        };
        match self.polling.poll(look) {
            Some(Wake::Stopped) => Err(io::Error::other(STOPPED)),
            Some(_) => Ok(()),
            None => self.wait(PollFlags::IN),
        }
    }
}

/// Has the system ask a silent host whether it is still there: the connection to one that was switched off ends after two
/// minutes, and not never.
fn notice_lost_hosts(socket: &OwnedFd) {
    let _ = sockopt::set_socket_keepalive(socket, true);
    let _ = sockopt::set_tcp_keepidle(socket, Duration::from_secs(60));
    let _ = sockopt::set_tcp_keepintvl(socket, Duration::from_secs(15));
    let _ = sockopt::set_tcp_keepcnt(socket, 4);
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
        self.silence.start_again();
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
