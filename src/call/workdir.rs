//! Directories of this run alone: the working directory of a request, and the caches of compiled code of a fresh process. Empty at
//! first and removed at the end; one that is still empty serves the next request. What a killed `rootstock` has left is removed
//! by the next one.

use std::path::{Path, PathBuf};

use crate::files;

/// Begins the names of private directories.
const PREFIX: &str = "rootstock-call-";

/// Where the requests of one process work.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    private: Option<PathBuf>,
}

/// Where private directories are made, and whether they stay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Temporary<'a> {
    pub(super) directory: &'a Path,
    pub(super) keep: bool,
}

impl Temporary<'_> {
    fn make(self) -> files::Result<PathBuf> {
        if self.keep {
            return files::lasting_directory(self.directory, PREFIX);
        }
        Ok(files::temporary_directory(self.directory, PREFIX)?.keep())
    }
}

/// Removes what killed processes of this user have left there.
pub(super) fn sweep(temporary: &Path) {
    files::remove_abandoned(temporary, &[PREFIX]);
}

impl Scratch {
    /// An empty private directory.
    pub(super) fn empty(&mut self, temporary: Temporary) -> files::Result<&Path> {
        let is_usable = |path: &PathBuf| files::is_really_directory(path) && files::is_empty(path);
        if !self.private.as_ref().is_some_and(is_usable) {
            self.remove();
            self.private = Some(temporary.make()?);
        }
        Ok(self.private.as_deref().expect("it was just made"))
    }

    /// Removes the private directory, unless it is still empty: then it can be used again.
    pub(super) fn clean(&mut self) {
        if self
            .private
            .as_ref()
            .is_some_and(|path| !files::is_empty(path))
        {
            self.remove();
        }
    }

    /// Gives the private directory up; it stays on disk.
    pub(super) fn keep(&mut self) -> Option<PathBuf> {
        self.private.take()
    }

    /// Removes the private directory with everything in it.
    pub(super) fn remove(&mut self) {
        if let Some(path) = self.private.take() {
            // A function may have removed it, or have put something there that cannot be removed.
            let _ = files::remove_tree(&path);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}
