//! Steps that a client requests in shared memory: Python answers them alone; the launcher watches that it does.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ipi_client::Failure;
use rustix::event::PollFlags;

use super::answer::StepError;
use super::memory::Memory;
use super::model::{ALIVE, Model};
use super::wait::{Wake, wait_for_either};

/// A client's memory in use.
pub(super) struct SharedSteps {
    pub(super) memory: Memory,
    pub(super) atoms: usize,
    /// The step that was pending at the last look, and since when.
    pending: Option<(u64, Instant)>,
    /// How often this step was reported as long.
    reports: u32,
    /// The step at which Python died last, and how.
    deadly: Option<(u64, String)>,
}

impl SharedSteps {
    /// Takes the memory that a client has sent, if it can be used for this many atoms.
    pub(super) fn accept(files: Vec<OwnedFd>, atoms: usize) -> Option<Self> {
        Some(Self {
            memory: Memory::accept(files, atoms)?,
            atoms,
            pending: None,
            reports: 0,
            deadly: None,
        })
    }

    /// How long the pending step has been seen pending.
    fn lateness(&mut self) -> Option<Duration> {
        let pending = self.memory.progress().ok()?.pending();
        match (pending, self.pending) {
            (Some(step), Some((known, since))) if step == known => Some(since.elapsed()),
            (pending, _) => {
                self.pending = pending.map(|step| (step, Instant::now()));
                self.reports = 0;
                None
            }
        }
    }

    /// Records a death at the pending step; returns how Python died there before, if it did.
    pub(super) fn died_before(&mut self, cause: &str) -> Option<String> {
        self.pending = None;
        let step = self.memory.progress().ok()?.pending()?;
        let before = self.deadly.replace((step, cause.to_owned()))?;
        (before.0 == step).then_some(before.1)
    }

    /// Whether a step waits for its answer.
    fn is_pending(&self) -> bool {
        let progress = self.memory.progress();
        progress.is_ok_and(|progress| progress.pending().is_some())
    }
}

impl Model<'_> {
    /// How many steps were computed.
    pub(super) fn steps(&self) -> u64 {
        let progress = self.shared.as_ref().map(|shared| shared.memory.progress());
        let shared = progress.and_then(Result::ok);
        self.steps + shared.map_or(0, |progress| progress.answered)
    }

    /// Whether a client waits for a step in shared memory.
    pub(super) fn is_computing_in_memory(&self) -> bool {
        self.shared.as_ref().is_some_and(SharedSteps::is_pending)
    }

    /// Ends the use of a client's memory.
    pub(super) fn leave_memory(&mut self) {
        self.steps = self.steps();
        self.shared = None;
    }

    /// Waits for the server's next message; returns before it if Python has ended or timed out at a shared step, with the
    /// cause.
    pub(super) fn watch_shared_steps(&mut self) -> Result<Option<String>, Failure> {
        let (timeout, signals) = (self.waiting.timeout, self.waiting.signals);
        let heartbeat = self.waiting.heartbeat.map(|heartbeat| heartbeat.interval);
        while let (Some(shared), Some(peer)) = (&mut self.shared, &self.peer) {
            let Some(next) = peer.next() else {
                return Ok(None);
            };
            let looks = timeout.map(|timeout| timeout / 8);
            let look = looks.into_iter().chain(heartbeat).min();
            let look = look.map(|look| Instant::now() + look);
            let python = self.python.as_ref().expect(ALIVE);
            let socket = (python.hand_over.socket().as_fd(), PollFlags::IN);
            match wait_for_either(next, Some(socket), look, Some(signals)) {
                // Reading reports a stop signal, too.
                Wake::Ready | Wake::Stopped => return Ok(None),
                Wake::Other => return Ok(Some(python.child.cause())),
                Wake::TimedOut => {}
            }
            let Some(late) = shared.lateness() else {
                continue;
            };
            if let Some(timeout) = timeout.filter(|timeout| late >= *timeout) {
                return self.cause(StepError::TimedOut(timeout)).map(Some);
            }
            if heartbeat.is_some_and(|interval| late >= interval * (shared.reports + 1)) {
                shared.reports += 1;
                self.waiting.report(late);
            }
        }
        Ok(None)
    }
}
