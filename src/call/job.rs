//! A request on its way: waiting, or with a process.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::fields::Line;
use super::request::{Id, Instance, Request};

/// A request with its number.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: Id,
    /// Python's answer repeats it.
    pub(super) number: u64,
    pub(super) timeout: Option<Duration>,
    pub(super) workdir: Option<PathBuf>,
    pub(super) instance: Option<Instance>,
    /// Whether its instance was there before.
    pub(super) replaces: bool,
    /// When it was sent.
    pub(super) begun: Option<Instant>,
    message: Option<Line>,
}

impl Job {
    pub(super) fn new(request: Request, number: u64) -> Self {
        Self {
            id: request.id,
            number,
            timeout: request.timeout,
            workdir: request.workdir,
            instance: request.instance,
            replaces: false,
            begun: None,
            message: Some(request.message),
        }
    }

    /// The message for Python; it is given away.
    pub(super) fn message(&mut self, workdir: &str) -> Vec<u8> {
        let mut message = self.message.take().unwrap_or_else(Line::new);
        message.field("n", &self.number);
        message.field("workdir", &workdir);
        self.begun = Some(Instant::now());
        message.end().into_bytes()
    }

    /// How long it has taken since it was sent.
    pub(super) fn seconds(&self) -> f64 {
        self.begun
            .map_or(0.0, |begun| begun.elapsed().as_secs_f64())
    }

    /// The name of an instance that must be there.
    pub(super) fn needs(&self) -> Option<&str> {
        let instance = self.instance.as_ref().filter(|instance| !instance.create)?;
        instance.id.as_deref()
    }

    /// The name that a new instance gets, if the request has one.
    pub(super) fn makes(&self) -> Option<&str> {
        let instance = self.instance.as_ref().filter(|instance| instance.create)?;
        instance.id.as_deref()
    }
}
