//! What a Python prints: read from a pipe, passed on, and its end kept.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, ioctl_fionread};

use super::outlet::Outlet;

/// How much is read at once: what a pipe holds.
const PART: usize = 64 << 10;

/// What was printed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Captured {
    /// The end of it. What is no UTF-8 is replaced.
    pub(crate) text: String,
    /// Whether there was more.
    pub(crate) truncated: bool,
}

/// The pipe of one stream. Nothing is read from it any more once it is closed.
pub(super) struct Capture<R> {
    pipe: Option<R>,
    kept: Vec<u8>,
    longest: usize,
    truncated: bool,
}

impl<R: AsFd> Capture<R> {
    /// Keeps at most this many bytes.
    pub(super) fn new(pipe: R, longest: usize) -> Self {
        Self {
            pipe: Some(pipe),
            kept: Vec::new(),
            longest,
            truncated: false,
        }
    }

    /// The pipe, for waiting.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads once; to be called when something is there.
    pub(super) fn read(&mut self, relay: &mut Outlet<'_>) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut bytes = Vec::with_capacity(PART);
        match rustix::io::read(pipe, spare_capacity(&mut bytes)) {
            Ok(0) => self.pipe = None,
            Ok(_) => {
                relay.print(&bytes);
                self.keep(&bytes);
            }
            Err(Errno::INTR) => {}
            Err(_) => self.pipe = None,
        }
    }

    /// Reads what is in the pipe now, and what is written meanwhile only up to a bound: a thread may print for ever.
    pub(super) fn drain(&mut self, relay: &mut Outlet<'_>) {
        let mut left = self.available();
        for _ in 0..64 {
            if left == 0 {
                break;
            }
            self.read(relay);
            left = self.available();
        }
    }

    /// What was printed since this was called last.
    pub(super) fn take(&mut self) -> Captured {
        self.shorten();
        let kept = std::mem::take(&mut self.kept);
        Captured {
            text: String::from_utf8_lossy(&kept).into_owned(),
            truncated: std::mem::take(&mut self.truncated),
        }
    }

    fn available(&self) -> u64 {
        let pipe = self.pipe.as_ref();
        pipe.map_or(0, |pipe| ioctl_fionread(pipe).unwrap_or(0))
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        // Not at each part: moving the rest costs as much as it is long.
        if self.kept.len() > 2 * self.longest + PART {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        if let Some(more) = self.kept.len().checked_sub(self.longest)
            && more > 0
        {
            // Not in the middle of a character.
            let whole = |byte: &u8| byte & 0xC0 != 0x80;
            let begin = self.kept[more..].iter().take(4).position(whole);
            self.kept.drain(..more + begin.unwrap_or(0));
            self.truncated = true;
        }
    }
}
