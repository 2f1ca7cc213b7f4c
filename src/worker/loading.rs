//! Starting an environment's Python and loading a model in it.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ipi_client::{Exception, System};
use rustix::event::PollFlags;
use serde::{Deserialize, Serialize};

use super::answer::StepError;
use super::handover::HandOver;
use super::outcome::Error;
use super::python::Child;
use super::signals::Signals;
use super::wait::{Wake, wait};
use super::{Options, PROGRAM, Species, connect};
use crate::runtime::{Selected, Variables};
use crate::store::inside;

/// A Python that has loaded a model.
pub(super) struct PythonProcess {
    pub(super) hand_over: HandOver,
    pub(super) child: Child,
    /// The atoms, where they are known.
    pub(super) system: Option<System>,
}

/// The order: what Python loads.
#[derive(Debug, Serialize)]
struct Order<'a> {
    task: &'static str,
    launcher: u32,
    source: PathBuf,
    argument: &'a str,
    setup: &'a serde_json::Map<String, serde_json::Value>,
    weights: Option<&'a PathBuf>,
    device: &'a str,
    rank: u32,
    template: Option<&'a PathBuf>,
    system: Option<&'a System>,
    info: &'a serde_json::Map<String, serde_json::Value>,
    stress: bool,
}

/// Python's first message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ready {
    /// The device, if Python has chosen it.
    #[serde(default)]
    device: Option<String>,
    /// The atoms, where they are known.
    system: Option<System>,
}

/// Loads the same model as often as necessary.
pub(super) struct Loader<'a> {
    pub(super) selected: &'a Selected,
    pub(super) options: &'a Options,
    pub(super) variables: &'a Variables,
    /// This task's rank on its node.
    pub(super) rank: u32,
    pub(super) signals: &'a Signals,
    pub(super) print: &'a (dyn Fn(&str) + Sync),
    /// Set when a model was loaded for the first time, or could not be.
    pub(super) is_loaded: &'a AtomicBool,
    /// The content of the template, read once: every further Python gets the same, even if the file has changed.
    pub(super) template: RefCell<Option<System>>,
}

impl Loader<'_> {
    /// Starts Python, which waits for its order; its output has to be read.
    pub(super) fn start(&self) -> Result<(HandOver, Child, ChildStdout, ChildStderr), Error> {
        let (hand_over, stdin) = HandOver::new().map_err(Error::System)?;
        let (child, stdout, stderr) =
            Child::start(self.selected, self.variables, stdin, PROGRAM.len())?;
        Ok((hand_over, child, stdout, stderr))
    }

    /// Sends the order and waits until the model is loaded.
    pub(super) fn load(&self, hand_over: HandOver, child: Child) -> Result<PythonProcess, Error> {
        let known = self.template.borrow().clone();
        let species = known.map_or_else(|| self.options.species.clone(), Species::Given);
        let python = self.load_species(hand_over, child, &species);
        if let Ok(python) = &python {
            self.template.borrow_mut().clone_from(&python.system);
        }
        self.is_loaded.store(true, Ordering::Relaxed);
        python
    }

    fn load_species(
        &self,
        mut hand_over: HandOver,
        child: Child,
        species: &Species,
    ) -> Result<PythonProcess, Error> {
        // If Python ends before it has read its order, waiting for its answer reports that.
        let _ = hand_over.send_order(PROGRAM, &self.order(species));
        self.wait(&hand_over)?;
        match hand_over.receive_ready::<Ready>() {
            Ok(Ready { system, device }) => {
                if let Some(device) = device {
                    let rank = self.rank;
                    (self.print)(&format!(
                        "rootstock: device {device} (local rank {rank} of this node)"
                    ));
                }
                Ok(PythonProcess {
                    hand_over,
                    child,
                    system,
                })
            }
            Err(StepError::Raised(exception)) => Err(self.setup_error(exception)),
            Err(StepError::Gone(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(Error::died(error.to_string()))
            }
            Err(_) => Err(Error::died(child.cause())),
        }
    }

    fn setup_error(&self, exception: Exception) -> Error {
        Error::Setup {
            environment: self.selected.environment.to_string(),
            exception,
        }
    }

    fn order<'b>(&'b self, species: &'b Species) -> Order<'b> {
        let Self {
            selected, options, ..
        } = self;
        Order {
            task: "serve",
            launcher: std::process::id(),
            source: selected.generation.join(inside::SOURCE),
            argument: &selected.argument,
            setup: &selected.setup,
            weights: selected.weights.as_ref(),
            device: &options.device,
            rank: self.rank,
            template: match species {
                Species::Template(path) => Some(path),
                _ => None,
            },
            system: match species {
                Species::Given(system) => Some(system),
                _ => None,
            },
            info: &options.info,
            stress: options.stress,
        }
    }

    /// Waits for Python's first message, and reports that it still loads.
    fn wait(&self, hand_over: &HandOver) -> Result<(), Error> {
        let Options {
            startup_timeout,
            heartbeat,
            ..
        } = self.options;
        let begin = Instant::now();
        let deadline = begin + *startup_timeout;
        loop {
            let beat = deadline.min(Instant::now() + *heartbeat);
            let socket = hand_over.socket();
            match wait(socket, PollFlags::IN, Some(beat), Some(self.signals)) {
                Wake::Ready | Wake::Other => return Ok(()),
                Wake::TimedOut if beat < deadline => (self.print)(&format!(
                    "rootstock: still loading the model, for {:.0} s now",
                    begin.elapsed().as_secs_f64()
                )),
                Wake::TimedOut => return Err(Error::Startup(startup_timeout.as_secs())),
                Wake::Stopped => return Err(connect::Error::Stopped.into()),
            }
        }
    }
}
