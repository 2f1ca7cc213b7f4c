//! The reasons why a Python does not get an environment's packages, each with what to do.

use std::path::PathBuf;

use crate::files;
use crate::name::EnvironmentName;
use crate::report::chain;

/// Why a Python has not the environment's packages.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Unavailable {
    /// It is no Python.
    #[error("`{}` is no Python, or did not say which within 5 s", .0.display())]
    #[diagnostic(help("name the program itself: `--python /opt/python/bin/python3.12`"))]
    Unknown(PathBuf),
    /// Nothing is locked for it.
    #[error("environment `{environment}` is not locked for {python}")]
    #[diagnostic(help("{help}"))]
    NotLocked {
        /// The environment's name.
        environment: EnvironmentName,
        /// What the Python is.
        python: String,
        /// Advice, as a sentence.
        help: String,
    },
    /// What is locked for it is not built.
    #[error("environment `{environment}` is not built for {soabi}: {reason}")]
    #[diagnostic(help("{help}"))]
    NotBuilt {
        /// The environment's name.
        environment: EnvironmentName,
        /// The ABI of the Python.
        soabi: String,
        /// Why not.
        reason: String,
        /// Advice, as a sentence.
        help: String,
    },
    /// Its own packages do not fit.
    #[error("what `{}` has does not fit environment `{environment}`: {}", python.display(), unmet.join("; "))]
    #[diagnostic(help(
        "change it there, add only some packages with `--packages`, or let the environment's win with `--overlay prepend`"
    ))]
    Unmet {
        /// The Python.
        python: PathBuf,
        /// The environment's name.
        environment: EnvironmentName,
        /// What does not fit.
        unmet: Vec<String>,
    },
    /// Files cannot be read or written.
    #[error("cannot use the environment's packages: {0}")]
    #[diagnostic(help(
        "see `rootstock doctor`; your cache is ${{XDG_CACHE_HOME:-~/.cache}}/rootstock"
    ))]
    Files(String),
}

impl From<files::Error> for Unavailable {
    fn from(error: files::Error) -> Self {
        Unavailable::Files(chain(&error))
    }
}
