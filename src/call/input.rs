//! Where requests come from: one that is known, or lines of a stream. A stream is read only as far as requests are wanted.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;

/// The longest request: the length of a message to Python is an int32.
pub const LONGEST: usize = crate::pool::LONGEST_MESSAGE / 2;
/// What is read at once.
const PART: usize = 64 << 10;

/// The requests of a run.
pub enum Source<'a> {
    /// One.
    One(Vec<u8>),
    /// One on each line.
    Stream(BorrowedFd<'a>),
}

/// A line of the input.
#[derive(Debug)]
pub(super) enum Read {
    /// A request.
    Request(Vec<u8>),
    /// The last line, which has no end.
    Unfinished(Vec<u8>),
    /// A line that is too long, or longer than there is memory; its rest is skipped.
    TooLong,
}

/// What was read and is not used yet.
pub(super) struct Input<'a> {
    stream: Option<BorrowedFd<'a>>,
    one: Option<Vec<u8>>,
    buffer: Vec<u8>,
    /// How much of the buffer has no end of a line.
    searched: usize,
    skipping: bool,
    /// There is no memory for more of a line.
    is_full: bool,
}

impl<'a> Input<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        let (one, stream) = match source {
            Source::One(request) => (Some(request), None),
            Source::Stream(stream) => (None, Some(stream)),
        };
        Self {
            stream,
            one,
            buffer: Vec::new(),
            searched: 0,
            skipping: false,
            is_full: false,
        }
    }

    /// The stream, while it may have more.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'a>> {
        self.stream
    }

    /// Whether there is nothing more.
    pub(super) fn has_ended(&self) -> bool {
        self.stream.is_none() && self.one.is_none() && self.buffer.is_empty()
    }

    /// Reads once; to be called when there is something.
    pub(super) fn fill(&mut self) {
        let Some(stream) = self.stream else { return };
        if self.buffer.try_reserve(PART).is_err() {
            // The line is refused as one that is too long.
            self.is_full = true;
            return;
        }
        match rustix::io::read(stream.as_fd(), spare_capacity(&mut self.buffer)) {
            Ok(0) => self.stream = None,
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
            // A terminal that is gone, or a directory: there are no more requests.
            Err(_) => self.stream = None,
        }
    }

    /// The next request. Empty lines are none.
    pub(super) fn next(&mut self) -> Option<Read> {
        if let Some(one) = self.one.take() {
            return Some(Read::Request(one));
        }
        loop {
            let rest = &self.buffer[self.searched..];
            let Some(at) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return self.unfinished();
            };
            let end = self.searched + at + 1;
            let rest = self.buffer.split_off(end);
            let line = std::mem::replace(&mut self.buffer, rest);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) || line.trim_ascii().is_empty() {
                continue;
            }
            return Some(Read::Request(line));
        }
    }

    /// What is to be done with a line whose end was not read yet.
    fn unfinished(&mut self) -> Option<Read> {
        let is_too_long = self.buffer.len() > LONGEST || std::mem::take(&mut self.is_full);
        if self.skipping || is_too_long {
            self.buffer = Vec::new();
            self.searched = 0;
            return (!std::mem::replace(&mut self.skipping, true)).then_some(Read::TooLong);
        }
        if self.stream.is_some() {
            return None;
        }
        let line = std::mem::take(&mut self.buffer);
        self.searched = 0;
        (!line.trim_ascii().is_empty()).then_some(Read::Unfinished(line))
    }
}
