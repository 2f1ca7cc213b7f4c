//! What Python and its libraries print: read always, so that a full pipe never blocks them, passed on line by line, and
//! its end kept for the case that Python dies. Prints nothing itself.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{ChildStderr, ChildStdout};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How many lines are kept of what a worker prints.
const KEPT: usize = 40;
/// A line is passed on at this length even if it goes on: progress bars never end theirs.
const LONGEST: usize = 8 * 1024;

/// The last lines that were printed.
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
    /// At most so many lines.
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

/// Reads both pipes until they are closed, or until `stop` is and nothing is left in them: a grandchild that holds
/// them open does not keep us.
pub(super) fn drain(
    stdout: ChildStdout,
    stderr: ChildStderr,
    stop: &OwnedFd,
    tail: &Tail,
    say: &dyn Fn(&str),
) -> io::Result<()> {
    let mut heard = |line: &str| {
        tail.keep(line);
        say(line);
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
            let now = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            match poll(&mut wait, stopping.then_some(&now)) {
                Err(rustix::io::Errno::INTR) => continue,
                result => result?,
            };
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
            stdout = advance(stdout, &mut heard)?;
        }
        if err {
            stderr = advance(stderr, &mut heard)?;
        }
    }
    for pipe in [stdout.map(|pipe| pipe.line), stderr.map(|pipe| pipe.line)]
        .into_iter()
        .flatten()
    {
        flush(&pipe, &mut heard);
    }
    Ok(())
}

/// One pipe and the line it is in the middle of.
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

/// What to wait for: a pipe, or in place of one that is closed something that is waited for anyway.
fn fd<'a, R: AsFd>(pipe: Option<&'a Pipe<R>>, stop: &'a OwnedFd) -> BorrowedFd<'a> {
    pipe.map_or(stop.as_fd(), |pipe| pipe.source.as_fd())
}

/// Reads what is there; `None` once the pipe is closed.
fn advance<R: Read + AsFd>(
    pipe: Option<Pipe<R>>,
    heard: &mut dyn FnMut(&str),
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
        flush(&pipe.line, heard);
        return Ok(None);
    }
    for byte in &bytes[..count] {
        if matches!(byte, b'\n' | b'\r') || pipe.line.len() == LONGEST {
            flush(&pipe.line, heard);
            pipe.line.clear();
        }
        if !matches!(byte, b'\n' | b'\r') {
            pipe.line.push(*byte);
        }
    }
    Ok(Some(pipe))
}

fn flush(line: &[u8], heard: &mut dyn FnMut(&str)) {
    if !line.is_empty() {
        heard(&String::from_utf8_lossy(line));
    }
}
