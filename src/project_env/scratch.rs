//! Directories for an environment of a project that are removed at the end.

use std::path::{Path, PathBuf};

use super::{Error, Request};
use crate::files;
use crate::store::Root;

/// Begins their names.
const PREFIX: &str = "rootstock-bundle-";

/// A directory that is removed when this is dropped.
pub(super) struct Scratch {
    path: PathBuf,
    keep: bool,
    print: fn(&str),
}

/// Removes the directory that a root is in, if it is such a directory: for a process that was interrupted.
pub(crate) fn remove(root: &Path, temporary: &Path) {
    let Some(place) = root.parent() else { return };
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with(PREFIX) && place.parent() == Some(temporary) {
        let _ = files::remove_tree(place);
    }
}

impl Scratch {
    pub(super) fn new(request: &Request) -> Result<Self, Error> {
        files::remove_abandoned(&request.temporary, &[PREFIX]);
        let made = if request.keep {
            files::lasting_directory(&request.temporary, PREFIX)
        } else {
            files::temporary_directory(&request.temporary, PREFIX).map(tempfile::TempDir::keep)
        };
        let path = made.map_err(Error::Files)?;
        if request.keep {
            (request.print)(&format!("kept: {}", path.display()));
        }
        Ok(Self {
            path,
            keep: request.keep,
            print: request.print,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A root in it, which shares the store of another one where that can be written.
    pub(super) fn root(&self, other: Option<&Root>) -> Result<Root, Error> {
        let root = Root::at(&self.path.join("root"), None);
        files::create_directories(root.path()).map_err(Error::Files)?;
        let store = other
            .map(Root::store)
            .filter(|store| files::ownership::may_write(store).is_ok());
        if let Some(store) = store {
            files::symlink(&store, &root.store()).map_err(Error::Files)?;
        }
        Ok(root)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = files::remove_tree(&self.path)
        {
            (self.print)(&format!("warning: {}", error.text()));
        }
    }
}
