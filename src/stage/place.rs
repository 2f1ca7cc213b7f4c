//! The directory that stages lie in: this user's own on a disk of the node.

use std::path::{Path, PathBuf};

use super::Error;
use crate::files::trust::{Trust, own_directory};
use crate::files::{self, ownership};

const STAGING: &str = ".staging-";

/// A directory that only this user can use.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    directory: PathBuf,
}

impl Place {
    /// The one below this directory, whose name comes from `origin`.
    pub(crate) fn below(base: &Path, origin: &str) -> Result<PathBuf, Error> {
        if !base.is_absolute() || !files::is_directory(base) {
            return Err(Error::NoDirectory {
                path: base.to_owned(),
                origin: origin.to_owned(),
            });
        }
        let user = format!("rootstock-{}", ownership::effective_uid());
        Ok(base.join(user).join("stages"))
    }

    /// Makes the directory, for this user alone.
    pub(crate) fn make(directory: &Path, trust: &Trust) -> Result<Self, Error> {
        for directory in [directory.parent().unwrap_or(directory), directory] {
            own_directory(directory, trust).map_err(|error| {
                if error.is_not_private() {
                    let why = error.source.to_string();
                    let path = error.path;
                    Error::NotPrivate { path, why }
                } else {
                    error.into()
                }
            })?;
        }
        // Interpreters report real paths.
        let directory = files::real_path(directory)?;
        let plain = |path: &str| !path.contains(char::is_control);
        if !directory.to_str().is_some_and(plain) {
            return Err(Error::Unprintable(directory));
        }
        Ok(Self { directory })
    }

    /// Where stages lie.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// A stage that is not visible yet; removed when dropped.
pub(super) struct Staging(PathBuf);

impl Staging {
    pub(super) fn new(place: &Place) -> files::Result<Self> {
        let made = files::temporary_directory(&place.directory, STAGING)?;
        Ok(Self(made.keep()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Where it was published its old name is gone; what cannot be removed is swept another time.
        let _ = files::remove_tree(&self.0);
    }
}
