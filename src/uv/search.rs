//! Where uv is looked for, and why it cannot be used.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::files;
use crate::process;

/// The versions whose command line and output this program knows. A minor version of uv may break both.
pub(crate) const SUPPORTED: &str = ">=0.13, <0.14";

/// No usable uv.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// The one that was named cannot be used.
    #[error("`{}` cannot be used: {reason}", path.display())]
    #[diagnostic(help(
        "name a uv {SUPPORTED} with `--uv` or `ROOTSTOCK_UV`, or name none: rootstock fetches its own"
    ))]
    Unusable {
        /// The program.
        path: PathBuf,
        /// The reason, as a part of a sentence.
        reason: String,
    },
    /// None was found, and none could be fetched.
    #[error("there is no uv {SUPPORTED} on PATH, and it could not be fetched: {reason}")]
    #[diagnostic(help(
        "install it (`pip install 'uv{SUPPORTED}'`) or name one with `--uv` or `ROOTSTOCK_UV`; fetching needs pip and \
         the package index"
    ))]
    Unavailable {
        /// The reason, as a part of a sentence.
        reason: String,
    },
    /// A file of ours.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// Where to look for uv and where to keep one.
#[derive(Debug)]
pub struct Search<'a> {
    /// The one that was named.
    pub named: Option<&'a Path>,
    /// The search path for programs.
    pub path: &'a OsStr,
    /// Rootstock's own cache directory.
    pub cache: &'a Path,
    /// The environment of uv, and of pip when uv must be fetched.
    pub environment: &'a BTreeMap<OsString, OsString>,
}

/// The end of a failed program's output.
pub(super) fn error_output(output: &process::Output) -> String {
    format!("it {}: {}", output.exit, process::tail(&output.stderr, 5))
}
