//! Why a structure was not evaluated, and why a run ends.

use serde::{Deserialize, Serialize};

use crate::files;
use crate::pool::{End, StartError};
use crate::process::Exit;

/// Why a structure has no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The class of an exception, or one word for what happened: `killed`, `exited`, `timeout`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is wrong.
    pub message: String,
    /// Where it was raised; empty if there is no such place.
    #[serde(default)]
    pub traceback: String,
    /// What to do; may be empty.
    #[serde(default)]
    pub hint: String,
}

impl Failure {
    pub(super) fn new(kind: &str, message: impl Into<String>, hint: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            message: message.into(),
            traceback: String::new(),
            hint: hint.to_owned(),
        }
    }

    /// That of a structure, or a model, during which its process has ended; `output` is what it has printed last.
    pub(super) fn of_end(end: &End, timeout: Option<f64>, output: &str) -> Self {
        let mut failure = match end {
            End::Raised(_) => Self::new("exited", "Python could not start", ""),
            End::Killed { signal, .. } => {
                let hint = match signal {
                    11 => "a segmentation fault in compiled code",
                    _ => "",
                };
                Self::new(
                    "killed",
                    format!("its process {}", Exit::Signal(*signal)),
                    hint,
                )
            }
            End::Exited { code, .. } => {
                Self::new("exited", format!("its process {}", Exit::Code(*code)), "")
            }
            End::Closed | End::Invalid => Self::new(
                "exited",
                "its process has broken the connection to `rootstock`",
                "",
            ),
            End::TimedOut { trace, .. } => {
                let seconds = timeout.unwrap_or_default();
                let mut failure = Self::new("timeout", format!("no result after {seconds} s"), "");
                trace.clone_into(&mut failure.traceback);
                failure
            }
        };
        if failure.traceback.is_empty() {
            output.clone_into(&mut failure.traceback);
        }
        failure
    }
}

/// Why a run could not begin, or go on.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// The structures cannot be read.
    #[error("cannot read structures of `{path}`{place}: {message}")]
    #[diagnostic(help("{help}"))]
    Input {
        path: String,
        place: String,
        message: String,
        help: String,
    },
    /// The model cannot be loaded.
    #[error("cannot load the model `{model}`: {}", .failure.message)]
    #[diagnostic(help("{help}"))]
    Load {
        model: String,
        failure: Box<Failure>,
        help: String,
    },
    /// Something was asked for that cannot be done.
    #[error("{message}")]
    #[diagnostic(help("{help}"))]
    Usage { message: String, help: String },
    /// One process after another dies.
    #[error("{count} processes in a row have ended without a result: {}", .last.message)]
    #[diagnostic(help(
        "the traceback above is the last one's; try one structure with `rootstock worker` or `rootstock call`, and correct the model or \
         give the job more memory"
    ))]
    Deaths { count: u32, last: Box<Failure> },
    /// The environment's Python cannot be started.
    #[error("{source}")]
    #[diagnostic(help("repair the environment: `rootstock sync --repair {environment}`"))]
    Start {
        environment: String,
        source: StartError,
    },
    /// A file.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// Something of the system.
    #[error("cannot evaluate: {0}")]
    System(#[from] std::io::Error),
}

impl Error {
    /// What to print before the message.
    pub(crate) fn details(&self) -> Option<&str> {
        let (Error::Load { failure, .. } | Error::Deaths { last: failure, .. }) = self else {
            return None;
        };
        Some(failure.traceback.trim_end()).filter(|text| !text.is_empty())
    }
}
