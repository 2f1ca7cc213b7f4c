//! What a command under another Python is asked with.

use std::path::{Path, PathBuf};

use crate::build;
use crate::manifest::Manifest;
use crate::name::EnvironmentName;

use crate::overlay::Placement;

use crate::runtime::Variables;
use crate::store::Root;

/// What is asked for.
pub(crate) struct Request<'a> {
    /// The caller.
    pub(crate) caller: &'a (dyn Caller + Sync),
    /// The project's manifest; there may be none.
    pub(crate) manifest: &'a Path,
    /// The root with the environment.
    pub(crate) root: &'a Root,
    /// The environment's name.
    pub(crate) name: EnvironmentName,
    /// The Python's program, by a path.
    pub(crate) python: PathBuf,
    /// Where its packages go on the search path of the Python.
    pub(crate) placement: Placement,
    /// Only these packages, and what they require; all if empty.
    pub(crate) packages: &'a [String],
    /// Whether the command may only run with the packages.
    pub(crate) require_overlay: bool,
    /// The file for the record of each Python.
    pub(crate) record: Option<&'a Path>,
    /// All variables of the caller.
    pub(crate) variables: Variables,
    /// How many threads build.
    pub(crate) jobs: usize,
}

/// What only the caller knows: options, variables, where messages go.
pub(crate) trait Caller {
    /// The root of this manifest under its policy.
    fn root(&self, manifest: &Manifest) -> Option<Root>;

    /// What building in this root takes.
    fn context<'a>(
        &'a self,
        manifest: &'a Manifest,
        root: &'a Root,
    ) -> Result<build::Context<'a>, String>;

    /// Prints one line.
    fn print(&self, text: &str);
}
