//! What a program has printed, and how it ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// What a program left behind.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, as text.
    pub stderr: String,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
}

impl Exit {
    /// Whether it ended with code 0.
    pub(crate) fn success(self) -> bool {
        self == Exit::Code(0)
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or(0)),
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(out, "ended with exit code {code}"),
            Exit::Signal(9) => write!(out, "was killed by signal 9 (out of memory?)"),
            Exit::Signal(11) => write!(out, "was killed by signal 11 (segmentation fault)"),
            Exit::Signal(signal) => write!(out, "was killed by signal {signal}"),
        }
    }
}

/// A program could not be started, or could not be spoken with.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot run `{program}`")]
pub struct Error {
    /// The program's path.
    pub program: String,
    /// The system's error.
    #[source]
    pub source: std::io::Error,
}
