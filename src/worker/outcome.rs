//! How a worker ends.

use std::fmt;

use ipi_client::{End, Exception, Failure, dialect};

use super::connect;
use super::signals::{Signals, StopSignal};
use crate::process::{self, threads::NoThread};

/// A regular end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Served {
    /// How the server ended it.
    pub end: End,
    /// How many frames were computed.
    pub steps: u64,
}

/// How a server ended, as the end of a sentence about it.
pub(super) fn how(end: End) -> &'static str {
    match end {
        End::Exit => "sent EXIT",
        End::Closed => "closed the connection",
        End::Gone => "closed the connection before it read an answer",
    }
}

impl fmt::Display for Served {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} after {} steps", how(self.end), self.steps)
    }
}

/// A worker failed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// Python could not be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// No thread to read Python's output.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Threads(#[from] NoThread),
    /// No socket pair, pipe or memory.
    #[error("cannot prepare the hand-over to Python")]
    System(#[source] std::io::Error),
    /// The model could not be loaded.
    #[error("the model could not be loaded in environment `{environment}`: {}", exception.error)]
    Setup {
        /// The environment's name.
        environment: String,
        /// The exception.
        exception: Exception,
    },
    /// Loading took too long.
    #[error("the model is not loaded after {0} s")]
    #[diagnostic(help("allow more time with `--startup-timeout`, or read its output above"))]
    Startup(u64),
    /// The server was not reached.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Connect(#[from] connect::Error),
    /// Python ended.
    #[error("{cause}")]
    #[diagnostic(help("its last output is above; the server was sent nothing for this step"))]
    Died {
        /// How it ended.
        cause: String,
        /// The end of its output.
        output: String,
    },
    /// The server was silent for too long.
    #[error("the server has sent nothing for {0} s")]
    #[diagnostic(help(
        "`--idle-timeout` ended this worker, and the connection was closed cleanly; look whether the server still runs"
    ))]
    Idle(f64),
    /// A stop signal was received.
    #[error("ended by {0}")]
    #[diagnostic(help("no further message was sent; the connection was closed cleanly"))]
    Stopped(StopSignal),
    /// The conversation with the server failed.
    #[error(transparent)]
    #[diagnostic(help("{}", advice(.0)))]
    Session(ipi_client::Error),
}

impl Error {
    /// The end of Python that this describes, without its output.
    pub(super) fn died(cause: String) -> Self {
        Error::Died {
            cause,
            output: String::new(),
        }
    }

    /// If a stop signal was received, it is the reason of any error up to now. A server that sees the end may send one later.
    pub(super) fn unless_stopped(self, signals: &Signals) -> Self {
        signals.received().map_or(self, Error::Stopped)
    }

    /// A model that could not go on.
    pub(super) fn failed(failure: Failure) -> Self {
        match failure {
            Failure::Died(cause) => Self::died(cause),
            failure => Error::Session(ipi_client::Error::Failed(failure)),
        }
    }

    /// A traceback, or the end of Python's output, if it adds anything.
    pub(crate) fn details(&self) -> Option<&str> {
        let text = match self {
            Error::Setup { exception, .. }
            | Error::Session(ipi_client::Error::Failed(Failure::Raised(exception))) => {
                &exception.traceback
            }
            Error::Died { output, .. } => output,
            _ => return None,
        };
        Some(text.trim_end()).filter(|text| !text.is_empty())
    }
}

/// What to do about a conversation that failed.
fn advice(error: &ipi_client::Error) -> &'static str {
    use ipi_client::Error;
    match error {
        Error::Wire(_) | Error::Order => "is there an i-PI server at the other end of this socket?",
        Error::NotFinite(_) => {
            "look at the server's own output: the simulation may have diverged, with too long a time step for one"
        }
        Error::Init(dialect::Error::Batch(_)) => {
            "without `batch_size` i-PI evaluates structures one by one"
        }
        Error::Init(_) => "`rootstock worker --help` lists what a server can send",
        Error::Segments(_) => {
            "`--shm` is for an i-PI with <ffsocket mode='shm'> on this machine, run by the same user"
        }
        Error::Write(_) => "the server has ended, or the connection to it is broken",
        Error::NoSpecies => "name them with `--template FILE`, or with `--species` and `--pbc`",
        Error::Atoms { .. } => {
            "give the worker the structure that the server simulates, atoms in the same order"
        }
        Error::NoStress => {
            "with `--no-stress` the virial is sent as zero: for runs that use neither stress nor pressure"
        }
        Error::Failed(_) => {
            "the server was sent nothing for this step, and the connection was closed"
        }
    }
}
