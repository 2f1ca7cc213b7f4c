//! The output of Python and its libraries: read at all times, so that a full pipe never blocks them, passed on line by
//! line, and its last lines kept for error messages. Prints nothing itself.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{ChildStderr, ChildStdout};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use crate::process::poll_until;

/// How many lines of a worker's output are kept.
const KEPT: usize = 40;
/// Longer lines are passed on in pieces: progress bars never end theirs.
const LONGEST: usize = 8 * 1024;

/// The last lines of the output.
#[derive(Debug)]
pub(super) struct Tail {
    lines: Mutex<VecDeque<String>>,
    kept: usize,
}

impl Default for Tail {
    fn default() -> Self {
        Self::of(KEPT)
    }
}

impl Tail {
    /// Keeps at most this many lines.
    pub(super) fn of(kept: usize) -> Self {
        Self {
            lines: Mutex::default(),
            kept,
        }
    }

    /// The lines as one text.
    pub(super) fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn keep(&self, line: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == self.kept {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }
}

/// Reads both pipes until they are closed, or until `stop` is closed and they are empty: a grandchild may hold them open.
pub(super) fn drain(
    stdout: ChildStdout,
    stderr: ChildStderr,
    stop: &OwnedFd,
    tail: &Tail,
    print: &dyn Fn(&str),
) -> io::Result<()> {
    let mut on_line = |line: &str| {
        tail.keep(line);
        print(line);
    };
    let (mut stdout, mut stderr) = (Some(Pipe::new(stdout)), Some(Pipe::new(stderr)));
    let mut stopping = false;
    while stdout.is_some() || stderr.is_some() {
        let (out, err, end) = {
            let mut wait = [
                PollFd::from_borrowed_fd(fd(stdout.as_ref(), stop), PollFlags::IN),
                PollFd::from_borrowed_fd(fd(stderr.as_ref(), stop), PollFlags::IN),
                PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
            ];
            poll_until(&mut wait, stopping.then(Instant::now))?;
            let ready = |at: usize| !wait[at].revents().is_empty();
            (
                ready(0) && stdout.is_some(),
                ready(1) && stderr.is_some(),
                ready(2),
            )
        };
        if stopping && !out && !err {
            break;
        }
        stopping |= end;
        if out {
            stdout = advance(stdout, &mut on_line)?;
        }
        if err {
            stderr = advance(stderr, &mut on_line)?;
        }
    }
    for pipe in [stdout.map(|pipe| pipe.line), stderr.map(|pipe| pipe.line)]
        .into_iter()
        .flatten()
    {
        flush(&pipe, &mut on_line);
    }
    Ok(())
}

/// A pipe and its unfinished line.
struct Pipe<R> {
    source: R,
    line: Vec<u8>,
}

impl<R: Read + AsFd> Pipe<R> {
    fn new(source: R) -> Self {
        Self {
            source,
            line: Vec::new(),
        }
    }
}

/// The descriptor of a pipe; `stop`, which is polled anyway, for one that is closed.
fn fd<'a, R: AsFd>(pipe: Option<&'a Pipe<R>>, stop: &'a OwnedFd) -> BorrowedFd<'a> {
    pipe.map_or(stop.as_fd(), |pipe| pipe.source.as_fd())
}

/// Reads what is available; `None` once the pipe is closed.
fn advance<R: Read + AsFd>(
    pipe: Option<Pipe<R>>,
    on_line: &mut dyn FnMut(&str),
) -> io::Result<Option<Pipe<R>>> {
    let Some(mut pipe) = pipe else {
        return Ok(None);
    };
    let mut bytes = [0; 16 * 1024];
    let count = match pipe.source.read(&mut bytes) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Some(pipe)),
        count => count?,
    };
    if count == 0 {
        flush(&pipe.line, on_line);
        return Ok(None);
    }
    for byte in &bytes[..count] {
        if matches!(byte, b'\n' | b'\r') || pipe.line.len() == LONGEST {
            flush(&pipe.line, on_line);
            pipe.line.clear();
        }
        if !matches!(byte, b'\n' | b'\r') {
            pipe.line.push(*byte);
        }
    }
    Ok(Some(pipe))
}

fn flush(line: &[u8], on_line: &mut dyn FnMut(&str)) {
    if !line.is_empty() {
        on_line(&String::from_utf8_lossy(line));
    }
}
