//! The reasons why a project's environment is not there.

use std::path::PathBuf;

use miette::Diagnostic;

use crate::call::project;
use crate::files;
use crate::lock::{beside, file};
use crate::manifest::{self, Manifest, UnknownNames};
use crate::name::EnvironmentName;
use crate::report::listed;
use crate::resolve::Failures;
use crate::store::catalogue;
use crate::sync;

/// The environment of a project cannot be made.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(crate) enum Error {
    /// The lock has drifted.
    #[error("the project's lock `{}` is not current", lock.display())]
    #[diagnostic(help("run `rootstock lock --manifest {}`", files::quoted(manifest)))]
    NotCurrent {
        /// The lock.
        lock: PathBuf,
        /// Its manifest.
        manifest: PathBuf,
    },
    /// The lock cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lock(file::Error),
    /// It is no project.
    #[error("{}: {}", .0, .0.source)]
    #[diagnostic(help(
        "a bundle is a directory with `rootstock.toml` and its lock, or with `{}`",
        project::FILE
    ))]
    NoProject(files::Error),
    /// The project file cannot be carried out.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Project(project::Error),
    /// The manifest is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Manifest(#[from] manifest::Error),
    /// The manifest has no environment of a name.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unknown(#[from] UnknownNames),
    /// The manifest has several environments, or none.
    #[error("`{}` has not one environment", manifest.display())]
    #[diagnostic(help("{names}"))]
    Several {
        /// The manifest.
        manifest: PathBuf,
        /// Those it has, as a sentence.
        names: String,
    },
    /// The requirements have no solution.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unresolved(Failures),
    /// The root cannot be looked at or changed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sync(sync::Error),
    /// The root's catalogue cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Catalogue(catalogue::Error),
    /// A file cannot be read or written.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(files::Error),
    /// Building failed; the problems were printed.
    #[error("environment `{0}` cannot be made")]
    NotMade(EnvironmentName),
}

impl Error {
    /// That the lock of a manifest cannot be used. Prints the differences.
    pub(super) fn of_lock(error: beside::Error, manifest: &Manifest, print: fn(&str)) -> Self {
        match error {
            beside::Error::Drifted(report) => {
                report.to_string().trim_end().lines().for_each(print);
                Error::NotCurrent {
                    lock: beside::path(&manifest.path),
                    manifest: manifest.path.clone(),
                }
            }
            beside::Error::Unreadable(error) => Error::Lock(error),
        }
    }

    pub(super) fn several(manifest: &Manifest) -> Self {
        let all = manifest.environments.iter();
        let names = all.map(|environment| environment.name.to_string());
        Error::Several {
            manifest: manifest.path.clone(),
            names: listed(
                "name the one to use in front of the function; there are",
                names,
            ),
        }
    }
}
