//! Advises the system to read ahead the files that a model's Python loads: from a network filesystem libraries arrive in
//! small pieces as they are touched. Reads nothing itself, waits for nothing, and skips files that are in memory.

use std::io::IoSliceMut;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, fadvise};
use rustix::io::{ReadWriteFlags, preadv2};

use crate::files::{self, space};
use crate::store::{Tree, inside};

/// Whether to read ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prewarm {
    /// Not at all.
    Never,
    /// On a network filesystem.
    Auto,
    /// On any.
    Always,
}

impl Prewarm {
    /// Whether to read ahead; the filesystem is examined only if that decides.
    fn is_for(self, is_network: impl FnOnce() -> bool) -> bool {
        match self {
            Prewarm::Never => false,
            Prewarm::Auto => is_network(),
            Prewarm::Always => true,
        }
    }

    /// Whether to read an environment ahead.
    pub(super) fn is_for_environment(self, generation: &Path) -> bool {
        self.is_for(|| space::of(generation).is_ok_and(|space| space.network))
    }
}

/// Reads ahead these files and an environment's libraries, in the order of its tree, until `enough` is set; returns how
/// many were not in memory.
pub(super) fn read_ahead(generation: &Path, weights: &[PathBuf], enough: &AtomicBool) -> usize {
    // Without a readable tree nothing is read ahead: a worker does not depend on it.
    let tree = files::read_text(&generation.join(inside::TREE)).ok();
    let tree = tree.and_then(|text| Tree::parse(&text).ok());
    let libraries = tree.iter().flat_map(|tree| tree.0.keys());
    let libraries = libraries.filter(|path| is_library(path));
    let libraries = libraries.map(|path| generation.join(path));
    weights
        .iter()
        .cloned()
        .chain(libraries)
        .take_while(|_| !enough.load(Ordering::Relaxed))
        .filter(|path| advise(path))
        .count()
}

/// Reads a file ahead; whether it was not in memory.
fn advise(path: &Path) -> bool {
    files::open(path)
        .is_ok_and(|file| is_cold(&file) && fadvise(&file, 0, None, Advice::WillNeed).is_ok())
}

/// Whether the beginning of a file is not in memory, or that is unknown.
fn is_cold(file: &files::File) -> bool {
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    preadv2(file, &mut parts, 0, ReadWriteFlags::NOWAIT).is_err()
}

/// Recognises `libtorch.so`, `libgomp.so.1`.
fn is_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('.').skip(1).any(|part| part == "so")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn auto_depends_on_the_filesystem() {
        let unexamined = || panic!("the filesystem was examined");
        assert!(!Prewarm::Never.is_for(unexamined));
        assert!(Prewarm::Always.is_for(unexamined));
        assert!(Prewarm::Auto.is_for(|| true));
        assert!(!Prewarm::Auto.is_for(|| false));
    }

    #[test]
    fn libraries_are_recognised_by_their_names() {
        for (path, is) in [
            ("lib/torch/lib/libtorch_cpu.so", true),
            ("lib/nvidia/libcublas.so.12", true),
            ("lib/a.so/readme.py", false),
            ("lib/also.py", false),
        ] {
            assert_eq!(is_library(path), is, "{path}");
        }
    }

    #[test]
    fn files_in_memory_are_skipped_and_enough_ends_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("weights");
        let mut file = files::create_new(&path, 0o644).unwrap();
        file.write_all(&[1; 4096]).unwrap();
        // A file that was just written is in memory.
        assert!(!is_cold(&files::open(&path).unwrap()));
        let ahead = |enough| {
            read_ahead(
                directory.path(),
                std::slice::from_ref(&path),
                &AtomicBool::new(enough),
            )
        };
        assert_eq!(ahead(false), 0);
        file.sync_all().unwrap();
        // Not every filesystem drops it.
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        if is_cold(&files::open(&path).unwrap()) {
            assert_eq!((ahead(true), ahead(false)), (0, 1));
        }
    }
}
