//! A directory for readers of any archive, and what must hold around it.

use std::path::{Path, PathBuf};

use super::{is_directory, names, read_text, walk, write};

/// A directory to unpack into, below one in which nothing else may change.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        let scratch = Self(tempfile::tempdir().expect("there is room for a directory"));
        write(&scratch.0.path().join("canary"), CANARY.as_bytes()).expect("it is new");
        scratch
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file to read.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        write(&path, bytes).expect("it is new");
        path
    }

    /// Nothing but these has come to be, and no link below them leads out of its own.
    pub(crate) fn assert_nothing_but(&self, expected: &[&str]) {
        for name in names(self.0.path()).expect("it is ours") {
            assert!(
                name == "canary" || expected.contains(&name.as_str()),
                "{name} was written"
            );
            let below = self.path(&name);
            if is_directory(&below) {
                assert_no_link_leads_out(&below);
            }
        }
        let canary = read_text(&self.path("canary")).expect("it is still there");
        assert_eq!(canary, CANARY);
    }
}

const CANARY: &str = "nothing changes me";

fn assert_no_link_leads_out(directory: &Path) {
    let top = directory.canonicalize().expect("it is there");
    for entry in walk(directory).expect("it is ours") {
        let path = directory.join(&entry.path);
        if let Ok(target) = path.canonicalize() {
            assert!(target.starts_with(&top), "{} leads out", path.display());
        }
    }
}
