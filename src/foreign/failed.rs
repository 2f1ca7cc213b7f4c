//! The reasons why a command under another Python is not run.

use std::path::PathBuf;

use crate::files;
use crate::manifest;
use crate::overlay::contents::Unknown;
use crate::overlay::{Unavailable, start};
use crate::process;
use crate::runtime::{Unusable, program};

/// The command was not run, or what it was run with cannot be recorded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// The packages are required, and the Python does not get them.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unavailable(#[from] Unavailable),
    /// The Python is the environment's own, and that environment cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unusable(#[from] Unusable),
    /// There is no such command.
    #[error(transparent)]
    #[diagnostic(transparent)]
    NotFound(#[from] program::Error),
    /// It cannot be started.
    #[error(transparent)]
    NotStarted(#[from] process::Error),
    /// What Python needs cannot be put in place.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Start(#[from] start::Error),
    /// A file cannot be read or written.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// `[runtime]` of the manifest is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Manifest(#[from] manifest::Error),
    /// The environment has no package of a name.
    #[error("{unknown}")]
    #[diagnostic(help("{help}"))]
    Package {
        /// The name.
        unknown: Unknown,
        /// The names that it has.
        help: String,
    },
    /// The record's file is a directory, or would be in none.
    #[error("the record `{}` cannot be written", .0.display())]
    #[diagnostic(help("name a file in a directory that exists"))]
    Record(PathBuf),
    /// The packages are both left out and required.
    #[error("`--overlay skip` and `--require-overlay` contradict each other")]
    #[diagnostic(help("leave one of them out"))]
    Contradiction,
}
