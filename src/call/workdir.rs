//! The working directory of a request: the user's, or a private one that is empty at first and removed at the end. One that is
//! still empty serves the next request.

use std::path::{Path, PathBuf};

use crate::files::{self, Context as _};

/// Begins the names of private directories.
const PREFIX: &str = "rootstock-call-";

/// Where the requests of one process work.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    private: Option<PathBuf>,
}

impl Scratch {
    /// An empty private directory.
    pub(super) fn empty(&mut self, temporary: &Path) -> files::Result<&Path> {
        let is_usable = |path: &PathBuf| {
            files::is_really_directory(path)
                && files::names(path).is_ok_and(|names| names.is_empty())
        };
        if !self.private.as_ref().is_some_and(is_usable) {
            self.remove();
            let made = tempfile::Builder::new()
                .prefix(PREFIX)
                .tempdir_in(temporary);
            self.private = Some(made.context("create a directory in", temporary)?.keep());
        }
        Ok(self.private.as_deref().expect("it was just made"))
    }

    /// Removes the private directory, unless it is still empty: then it can be used again.
    pub(super) fn clean(&mut self) {
        let is_used = |path: &PathBuf| files::names(path).map_or(true, |names| !names.is_empty());
        if self.private.as_ref().is_some_and(is_used) {
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
