//! What a bundle has and what could not be had, for programs (`Serialize`) and for people (`Display`).

use std::fmt::{self, Formatter};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Filled;
use crate::name::{EnvironmentName, ModelId};
use crate::report::{Problem, bytes, counted, line};
use crate::store::bundle::Entry;

/// What a bundle has.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its directory.
    pub bundle: PathBuf,
    /// The machine types it is for.
    pub targets: Vec<String>,
    /// The environments it is for.
    pub environments: Vec<EnvironmentName>,
    /// Its files, sorted by path.
    pub files: Vec<Entry>,
    /// The size of all files.
    pub bytes: u64,
}

impl Filled {
    /// The report of a bundle in this directory; `None` if something failed.
    pub fn report(&self, directory: &Path) -> Option<Report> {
        let index = self.index.as_ref()?;
        Some(Report {
            bundle: directory.to_owned(),
            targets: index.targets.clone(),
            environments: index.environments.clone(),
            files: index.files.clone(),
            bytes: index.files.iter().map(|entry| entry.size).sum(),
        })
    }

    /// What could not be had: a cause that several files have in common stands there once.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.failures.iter().map(Problem::from).collect();
        problems.sort();
        problems.dedup();
        problems
    }

    /// What is not in the bundle although nothing failed.
    pub fn warning(&self) -> Option<String> {
        let names: Vec<&str> = self.not_loaded.iter().map(ModelId::as_str).collect();
        (!names.is_empty()).then(|| {
            format!(
                "what these models fetch by themselves is not in the bundle, because no `rootstock sync` into this \
                 manifest's root has loaded them yet: {}",
                names.join(", ")
            )
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        line(
            out,
            format_args!(
                "`{}`: {}, {}, for {}",
                self.bundle.display(),
                counted(self.files.len(), "file"),
                bytes(self.bytes),
                self.targets.join(", ")
            ),
        )
    }
}
