//! What a session needs of the code that computes, and how that code reports that it cannot.

use serde::Deserialize;

use crate::floats::Floats;
use crate::step::{Frame, Results, System};

/// Computes energies, forces and stresses for a [`Session`](crate::Session). Units are ångström and electronvolt.
///
/// Four methods are enough for i-PI, ASE and CP2K. The others have defaults; they serve FHI-aims, FHI-vibes and
/// rootstock's own clients.
pub trait Calculator {
    /// How many atoms the system has; `None` while the system is unknown.
    fn atoms(&self) -> Option<usize>;

    /// Replaces the system: a server that sends species in its INIT has sent these.
    fn set_system(&mut self, system: System) -> Result<(), Failure>;

    /// Computes all frames, at least one. Each has as many atoms as the system, and `results` is as long as `frames`.
    ///
    /// The buffers of `results` are those of the step before: reuse them.
    fn calculate(&mut self, frames: &[Frame], results: &mut [Results]) -> Result<(), Failure>;

    /// Reports something that the user should know and that does not end the session.
    fn warn(&mut self, text: &str);

    /// The stresses of single atoms times the volume, 3x3 by rows, of the frame that was computed last.
    fn stresses(&mut self, frame: &Frame, stresses: &mut Floats) -> Result<(), Failure> {
        let _ = (frame, stresses);
        let error = "stresses of single atoms are not implemented";
        Err(Exception::new("NotImplementedError", error).into())
    }

    /// From now on [`Results::extras`] should hold all further results of each frame.
    fn want_all_results(&mut self) {}

    /// All further results of the frame that was computed last, as JSON. The result of this name is computed if necessary.
    fn further_results(&mut self, name: &str) -> Result<Vec<u8>, Failure> {
        let _ = name;
        Ok(br#"{"gone": true}"#.to_vec())
    }

    /// Where the model comes from, as a JSON object.
    fn origin(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(b"{}".to_vec())
    }

    /// The client offers shared memory for steps of this many atoms.
    fn accept_memory(&mut self, atoms: usize) {
        let _ = atoms;
    }

    /// Waits until the server sends a message; answers steps in shared memory in the meantime.
    fn wait_for_message(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Why there are no results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The computation raised an exception; the calculator can go on.
    Raised(Exception),
    /// The calculator itself has ended; how, in one line.
    Died(String),
    /// The server no longer waits for the results.
    Abandoned,
}

/// An exception raised by a computation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The message, in one line.
    pub error: String,
    /// The exception's class.
    pub kind: String,
    /// The traceback; empty if it adds nothing to the message.
    pub traceback: String,
}

impl Exception {
    /// An exception without a traceback.
    pub fn new(kind: &str, error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            kind: kind.to_owned(),
            traceback: String::new(),
        }
    }

    /// The traceback, or the message where there is none.
    pub fn reason(&self) -> &str {
        if self.traceback.is_empty() {
            &self.error
        } else {
            self.traceback.trim_end()
        }
    }
}

impl From<Exception> for Failure {
    fn from(exception: Exception) -> Self {
        Failure::Raised(exception)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Raised(exception) => {
                write!(out, "the calculation failed: {}", exception.error)
            }
            Failure::Died(cause) => out.write_str(cause),
            Failure::Abandoned => out.write_str("the server no longer waits for the results"),
        }
    }
}
