//! Waiting for Python's answer: for how long, what else ends the wait, and why there may be none.

use std::fmt::Write as _;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ipi_client::Exception;
use rustix::event::PollFlags;

use super::connection::Peer;
use super::polling::Polling;
use super::signals::Signals;
use super::wait::{Awaited, Wake, wait_for_either};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum StepError {
    /// Python raised an exception.
    Raised(Exception),
    /// Python has ended, or sent something invalid.
    Gone(io::Error),
    /// Python has not answered for this long.
    TimedOut(Duration),
    /// A stop signal was received.
    Stopped,
    /// The server has closed the connection.
    Abandoned,
}

impl From<io::Error> for StepError {
    fn from(error: io::Error) -> Self {
        StepError::Gone(error)
    }
}

impl From<rustix::io::Errno> for StepError {
    fn from(error: rustix::io::Errno) -> Self {
        StepError::Gone(error.into())
    }
}

/// How to wait for an answer.
#[derive(Clone, Copy)]
pub(super) struct Waiting<'a> {
    /// How long Python may take; `None` for no limit.
    pub(super) timeout: Option<Duration>,
    /// How often to report a long step.
    pub(super) heartbeat: Option<Heartbeat<'a>>,
    /// Stop signals end the wait.
    pub(super) signals: &'a Signals,
    /// The end of the server's connection ends the wait.
    pub(super) server: Option<Awaited<'a>>,
}

/// Reports at intervals that a step takes long.
#[derive(Clone, Copy)]
pub(super) struct Heartbeat<'a> {
    pub(super) interval: Duration,
    pub(super) print: &'a (dyn Fn(&str) + Sync),
}

impl<'a> Waiting<'a> {
    /// The same until the server's connection ends.
    pub(super) fn until_gone<'b>(self, server: Option<&'b Peer>) -> Waiting<'b>
    where
        'a: 'b,
    {
        Waiting {
            server: server.map(Peer::end),
            ..self
        }
    }

    /// Waits until Python has begun to answer on this socket.
    pub(super) fn wait(
        &self,
        python: BorrowedFd<'_>,
        polling: &mut Polling,
    ) -> Result<(), StepError> {
        let signals = Some(self.signals);
        let look = |now| {
            let python = (python, PollFlags::IN);
            let wake = wait_for_either(python, self.server, Some(now), signals);
            (wake != Wake::TimedOut).then_some(wake)
        };
        match polling.poll(look) {
            Some(Wake::Ready) => Ok(()),
            Some(Wake::Other) => Err(StepError::Abandoned),
            Some(Wake::Stopped) => Err(StepError::Stopped),
            Some(Wake::TimedOut) | None => self.sleep(python),
        }
    }

    fn sleep(&self, python: BorrowedFd<'_>) -> Result<(), StepError> {
        let begin = Instant::now();
        let deadline = self.timeout.map(|timeout| begin + timeout);
        let mut now = begin;
        loop {
            let next = self.heartbeat.map(|heartbeat| now + heartbeat.interval);
            let until = deadline.into_iter().chain(next).min();
            let python = (python, PollFlags::IN);
            match wait_for_either(python, self.server, until, Some(self.signals)) {
                Wake::Ready => return Ok(()),
                Wake::Other => return Err(StepError::Abandoned),
                Wake::Stopped => return Err(StepError::Stopped),
                Wake::TimedOut => now = Instant::now(),
            }
            if let (Some(timeout), Some(deadline)) = (self.timeout, deadline)
                && now >= deadline
            {
                return Err(StepError::TimedOut(timeout));
            }
            self.report(now - begin);
        }
    }

    /// Reports that a step has taken this long; a model that hangs looks the same.
    pub(super) fn report(&self, waited: Duration) {
        let Some(heartbeat) = self.heartbeat else {
            return;
        };
        let seconds = waited.as_secs_f64();
        let mut text = format!("rootstock: still computing this step, for {seconds:.0} s now; ");
        let _ = match self.timeout {
            Some(timeout) => write!(
                text,
                "Python is restarted after {} s (`--step-timeout`)",
                timeout.as_secs_f64()
            ),
            None => text.write_str(
                "there is no time limit: with `--step-timeout SECONDS` a Python that hangs is restarted",
            ),
        };
        (heartbeat.print)(&text);
    }
}
