//! How a command gets an environment's packages: PYTHONPATH begins with a private directory whose `sitecustomize` module each
//! Python imports when it starts, and `ROOTSTOCK_OVERLAY` is the JSON of [`Start`], which that module carries out.
//!
//! The directory is in the user's cache under the digest of the module: it has no settings, so all commands share it, and
//! nothing has to be removed afterwards.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Built, Chosen, Record, Variables};
use crate::digest::Digest;
use crate::files;

const MODULE: &str = include_str!("sitecustomize.py");
/// What the module reads.
pub(crate) const VARIABLE: &str = "ROOTSTOCK_OVERLAY";
const PYTHONPATH: &str = "PYTHONPATH";

/// What the module does.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Start {
    /// What it writes, but for what only the process itself knows.
    pub(crate) record: Record,
    /// The implementation that the packages are for.
    pub(crate) implementation: String,
    /// The ABI that they are for.
    pub(crate) soabi: String,
    /// Where they are.
    pub(crate) site_packages: Option<PathBuf>,
    /// Those of them that can be imported; all if `None`.
    pub(crate) chosen: Option<Chosen>,
    /// The `sys.prefix` of the Python whose own packages were compared; any if `None`.
    pub(crate) prefix: Option<String>,
    /// The file for the record.
    pub(crate) file: Option<PathBuf>,
    /// A file that is no longer empty when the module has run.
    pub(crate) seen: Option<PathBuf>,
}

/// The module cannot be put in place.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// It cannot be written.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// A path that it needs cannot be handed over.
    #[error("`{}` cannot be handed to Python: {why}", path.display())]
    #[diagnostic(help("use another path for the root, or for your cache with XDG_CACHE_HOME"))]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Start {
    /// One that adds no packages.
    pub(crate) fn of(record: Record) -> Self {
        Self {
            record,
            implementation: String::new(),
            soabi: String::new(),
            site_packages: None,
            chosen: None,
            prefix: None,
            file: None,
            seen: None,
        }
    }

    /// Makes it one of this generation.
    pub(crate) fn set(&mut self, built: &Built) {
        let identity = &built.stamp.python.identity;
        self.implementation.clone_from(&identity.implementation);
        self.soabi.clone_from(&identity.soabi);
        self.record.generation = Some(built.stamp.id.clone());
        self.record.digest = Some(built.stamp.digest);
    }

    fn text(&self) -> Result<String, Error> {
        let paths = [&self.site_packages, &self.file, &self.seen];
        let is_text = |path: &&PathBuf| path.to_str().is_some();
        match paths.into_iter().flatten().find(|path| !is_text(path)) {
            Some(path) => Err(Error::Path {
                path: path.clone(),
                why: "it is not UTF-8",
            }),
            None => Ok(serde_json::to_string(self).expect("texts and numbers are JSON")),
        }
    }
}

/// Variables without what another `rootstock run` has put there.
pub(crate) fn without(variables: &Variables) -> Variables {
    let mut variables = variables.clone();
    variables.remove(OsStr::new(VARIABLE));
    variables
}

/// The command's variables: these, and what the module needs.
pub(crate) fn variables(
    start: &Start,
    cache: &Path,
    inherited: &Variables,
) -> Result<Variables, Error> {
    let directory = cache.join("overlay").join(Digest::of(MODULE).short(16));
    let module = directory.join("sitecustomize.py");
    if !files::read(&module).is_ok_and(|there| there == MODULE.as_bytes()) {
        files::create_directories(&directory)?;
        files::write_atomically(&module, MODULE.as_bytes())?;
    }
    if directory.as_os_str().as_encoded_bytes().contains(&b':') {
        return Err(Error::Path {
            path: directory,
            why: "PYTHONPATH has colons between its parts",
        });
    }
    let mut path = directory.into_os_string();
    let before = inherited.get(OsStr::new(PYTHONPATH));
    if let Some(before) = before.filter(|before| !before.is_empty()) {
        path.push(":");
        path.push(before);
    }
    let text = start.text()?;
    let mut variables = inherited.clone();
    variables.insert(PYTHONPATH.into(), path);
    variables.insert(VARIABLE.into(), OsString::from(text));
    Ok(variables)
}
