//! A stream of this process that is written without blocking: what its reader does not take yet waits here.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::process::poll_until;

/// What is written at once to a pipe or a terminal: they take so much when they can be written at all (`PIPE_BUF`).
const SMALL: usize = 4096;
/// The same for files.
const LARGE: usize = 1 << 20;
/// With more than this waiting, nothing more should be produced.
const CROWDED: usize = 256 << 10;

/// How long a reader of standard error may take nothing before what it would get is left out.
const PATIENCE: Duration = Duration::from_secs(2);

/// How bytes are changed before they are written.
pub(crate) type Escape<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// Standard output or standard error.
pub(crate) struct Outlet<'a> {
    stream: BorrowedFd<'a>,
    escape: Option<Escape<'a>>,
    waiting: Vec<u8>,
    written: usize,
    at_once: usize,
    error: Option<Errno>,
    /// When something was written last, or began to wait.
    progress: Instant,
    /// How many bytes were left out.
    left_out: usize,
}

impl<'a> Outlet<'a> {
    /// Writes to this stream, by this rule if there is one.
    pub(crate) fn new(stream: BorrowedFd<'a>, escape: Option<Escape<'a>>) -> Self {
        let is_file = rustix::fs::fstat(stream)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        Self {
            stream,
            escape,
            waiting: Vec::new(),
            written: 0,
            at_once: if is_file { LARGE } else { SMALL },
            error: None,
            progress: Instant::now(),
            left_out: 0,
        }
    }

    /// Writes what can be written now; the rest waits.
    pub(crate) fn print(&mut self, bytes: &[u8]) {
        if self.escape.is_some() && self.is_long() && !self.is_crowded() {
            self.left_out += bytes.len();
            return;
        }
        if !self.is_waiting() {
            self.progress = Instant::now();
        }
        match self.escape {
            Some(escape) => self.waiting.extend(escape(bytes)),
            None => self.waiting.extend_from_slice(bytes),
        }
        self.flush();
    }

    /// Whether something waits.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether so much waits that no more should come. What Python prints is in responses, too, so that a reader of standard
    /// error that takes nothing is not waited for.
    pub(crate) fn is_crowded(&self) -> bool {
        self.is_long() && (self.escape.is_none() || Instant::now() < self.patience_ends())
    }

    /// Until when a reader is waited for.
    pub(crate) fn patience_ends(&self) -> Instant {
        self.progress + PATIENCE
    }

    fn is_long(&self) -> bool {
        self.waiting.len() - self.written > CROWDED
    }

    /// The error after which nothing was written any more.
    pub(crate) fn error(&self) -> Option<Errno> {
        self.error
    }

    /// The stream, for waiting.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'a> {
        self.stream
    }

    /// Writes as long as the stream takes something.
    pub(crate) fn flush(&mut self) {
        while self.is_waiting() && self.error.is_none() && self.is_ready() {
            let end = self.waiting.len().min(self.written + self.at_once);
            match rustix::io::write(self.stream, &self.waiting[self.written..end]) {
                Ok(count) => {
                    self.written += count;
                    self.progress = Instant::now();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => self.error = Some(error),
            }
            if self.written == self.waiting.len() {
                self.waiting.clear();
                self.waiting.shrink_to(CROWDED);
                self.written = 0;
                self.report_left_out();
            }
        }
        if self.error.is_some() {
            self.waiting.clear();
            self.written = 0;
        }
    }

    fn report_left_out(&mut self) {
        if self.left_out > 0 {
            let text = format!(
                "\nrootstock: {} bytes are left out here: standard error was not read\n",
                self.left_out
            );
            self.waiting.extend(text.into_bytes());
            self.left_out = 0;
        }
    }

    fn is_ready(&self) -> bool {
        let mut stream = [PollFd::from_borrowed_fd(
            self.stream.as_fd(),
            PollFlags::OUT,
        )];
        poll_until(&mut stream, Some(Instant::now())).unwrap_or(false)
    }
}
