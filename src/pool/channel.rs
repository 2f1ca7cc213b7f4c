//! Messages between the parent and one Python: two int32, kind and length, and as many bytes. Never blocks: what does not fit
//! into the socket waits here. Does not know what the messages say.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// The kind of every message of the parent, and of Python's answers (`python/rootstock/layout.py`).
pub(super) const TEXT: i32 = 2;
/// The kind of a report of an exception.
pub(super) const ERROR: i32 = 5;
/// The two numbers before a message.
const HEAD: usize = 8;
/// How much is read at once of a short message, and of a long one.
const SMALL: usize = 16 << 10;
const LARGE: usize = 1 << 20;
/// The longest message: its length is an int32.
pub(crate) const LONGEST: usize = i32::MAX as usize;

/// A message from Python.
pub(super) struct Message {
    pub(super) kind: i32,
    pub(super) text: Vec<u8>,
}

/// The parent's end of the socket.
pub(super) struct Channel {
    socket: UnixStream,
    outgoing: VecDeque<Vec<u8>>,
    /// How much of the first outgoing part is sent.
    sent: usize,
    incoming: Vec<u8>,
    longest: usize,
}

impl Channel {
    /// The parent's end, and the one that becomes Python's standard input. Longer messages than this are invalid.
    pub(super) fn new(longest: usize) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        let channel = Self {
            socket: ours,
            outgoing: VecDeque::new(),
            sent: 0,
            incoming: Vec::new(),
            longest: longest.min(LONGEST),
        };
        Ok((channel, theirs.into()))
    }

    /// Sends the program and the order, which carries a descriptor. Python reads both at once.
    pub(super) fn begin(
        &mut self,
        program: &str,
        order: &[u8],
        file: BorrowedFd<'_>,
    ) -> io::Result<()> {
        self.socket.write_all(program.as_bytes())?;
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [file];
        control.push(SendAncillaryMessage::ScmRights(&files));
        let head = head(TEXT, order.len())?;
        let parts = [io::IoSlice::new(&head)];
        sendmsg(&self.socket, &parts, &mut control, SendFlags::NOSIGNAL)?;
        self.socket.write_all(order)?;
        self.socket.set_nonblocking(true)
    }

    /// Puts a message in the queue and sends what fits.
    pub(super) fn send(&mut self, text: Vec<u8>) -> io::Result<()> {
        self.outgoing.push_back(head(TEXT, text.len())?.to_vec());
        self.outgoing.push_back(text);
        self.flush();
        Ok(())
    }

    /// Sends what fits. That Python has gone shows where its answer is read.
    pub(super) fn flush(&mut self) {
        while let Some(part) = self.outgoing.front() {
            match self.socket.write(&part[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.outgoing.clear();
                    self.sent = 0;
                    break;
                }
            }
            if self.sent == part.len() {
                self.outgoing.pop_front();
                self.sent = 0;
            }
        }
    }

    /// Whether something waits to be sent.
    pub(super) fn is_sending(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Reads what is there. `false` if the other end is closed.
    pub(super) fn fill(&mut self) -> bool {
        loop {
            let announced = self
                .announced()
                .map_or(0, |(_, length)| length.saturating_add(HEAD));
            let missing = announced.saturating_sub(self.incoming.len());
            self.incoming.reserve(missing.clamp(SMALL, LARGE));
            match rustix::io::read(&self.socket, spare_capacity(&mut self.incoming)) {
                Ok(0) => return false,
                Ok(_) if self.is_complete() => return true,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
    }

    /// The next complete message.
    pub(super) fn receive(&mut self) -> Result<Option<Message>, Invalid> {
        let Some((kind, length)) = self.announced() else {
            return Ok(None);
        };
        if !matches!(kind, TEXT | ERROR) || length > self.longest {
            return Err(Invalid);
        }
        if self.incoming.len() < HEAD + length {
            return Ok(None);
        }
        let rest = self.incoming.split_off(HEAD + length);
        let mut text = std::mem::replace(&mut self.incoming, rest);
        text.drain(..HEAD);
        Ok(Some(Message { kind, text }))
    }

    fn is_complete(&self) -> bool {
        self.announced().is_some_and(|(_, length)| {
            length > self.longest || self.incoming.len() >= HEAD.saturating_add(length)
        })
    }

    /// Kind and length of the message that is being received. A negative length is longer than any.
    fn announced(&self) -> Option<(i32, usize)> {
        let (kind, rest) = self.incoming.split_first_chunk()?;
        let (length, _) = rest.split_first_chunk()?;
        let length = usize::try_from(i32::from_ne_bytes(*length)).unwrap_or(usize::MAX);
        Some((i32::from_ne_bytes(*kind), length))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Something else than the shim has written to the socket.
#[derive(Debug)]
pub(super) struct Invalid;

fn head(kind: i32, length: usize) -> io::Result<[u8; HEAD]> {
    let length = i32::try_from(length).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&kind.to_ne_bytes());
    head[4..].copy_from_slice(&length.to_ne_bytes());
    Ok(head)
}
