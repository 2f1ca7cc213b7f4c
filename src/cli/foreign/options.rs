//! The options of a command under another Python.

use std::path::PathBuf;

use crate::overlay::Placement;

/// Options of a command under another Python.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run the command under this Python, with the environment's packages where they fit it: one of the same ABI has those of
    /// the environment, one of a series in `also-python` those that are locked for that series. PYTHONPATH is all that
    /// changes of your variables. `python` is then this one, and other commands are looked for beside it first.
    #[arg(long, value_name = "PYTHON", conflicts_with_all = ["clean", "keep", "print"])]
    pub(crate) python: Option<PathBuf>,
    /// Where the environment's packages are on the search path: `auto`, before that Python's own if it has none of them, else
    /// behind, and not at all if its own do not fit; `append`, `prepend`; `skip`, not at all.
    #[arg(
        long,
        value_name = "WHERE",
        requires = "python",
        default_value = "auto",
        hide_default_value = true
    )]
    pub(super) overlay: Where,
    /// Of the environment's packages only these, and what they require.
    #[arg(
        long,
        value_name = "PACKAGE",
        requires = "python",
        value_delimiter = ','
    )]
    pub(super) packages: Vec<String>,
    /// Do not start the command without the environment's packages: exit 4.
    #[arg(long, requires = "python")]
    pub(super) require_overlay: bool,
    /// Append one line of JSON to this file for each Python that the command starts: which it is, as it says itself, and which
    /// packages it has.
    #[arg(long, value_name = "FILE", requires = "python")]
    pub(super) record: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Where {
    Auto,
    Append,
    Prepend,
    Skip,
}

impl From<Where> for Placement {
    fn from(place: Where) -> Self {
        match place {
            Where::Auto => Placement::Auto,
            Where::Append => Placement::Append,
            Where::Prepend => Placement::Prepend,
            Where::Skip => Placement::Skip,
        }
    }
}
