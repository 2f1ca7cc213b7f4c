//! What is asked of a project's environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    /// The project's directory, by an absolute path.
    pub(crate) directory: PathBuf,
    /// The environment; the only one if `None`.
    pub(crate) name: Option<&'a str>,
    /// The root that the user has named.
    pub(crate) root: Option<&'a Path>,
    /// This machine's type.
    pub(crate) target: &'a str,
    /// In a root of its own, which is removed at the end.
    pub(crate) fresh: bool,
    /// Keep that root.
    pub(crate) keep: bool,
    /// Use the environment of a plain project again in the next call.
    pub(crate) reuse: bool,
    /// For directories that are removed at the end.
    pub(crate) temporary: PathBuf,
    /// All variables of the caller.
    pub(crate) variables: BTreeMap<OsString, OsString>,
    /// Prints one line.
    pub(crate) print: fn(&str),
}
