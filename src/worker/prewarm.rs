//! Reading ahead what a model's Python is about to load: on a network filesystem its libraries come in small pieces, one
//! after another, each when it is touched. Only an advice to the system, file by file: nothing is read here, nothing waits,
//! and what is in memory already is left alone.

use std::io::IoSliceMut;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, fadvise};
use rustix::io::{ReadWriteFlags, preadv2};

use crate::files::{self, space};
use crate::store::{Tree, inside};

/// Whether to read ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prewarm {
    /// Not at all.
    Never,
    /// On a network filesystem.
    Auto,
    /// On any.
    Always,
}

impl Prewarm {
    /// Whether it is for a filesystem, which is asked for only where it matters.
    fn is_for(self, is_network: impl FnOnce() -> bool) -> bool {
        match self {
            Prewarm::Never => false,
            Prewarm::Auto => is_network(),
            Prewarm::Always => true,
        }
    }

    /// Whether it is for an environment.
    pub(super) fn is_for_environment(self, generation: &Path) -> bool {
        self.is_for(|| space::of(generation).is_ok_and(|space| space.network))
    }
}

/// Advises the system of an environment's libraries, in the order of its tree, and of these files, until `enough`; how many
/// of them were not in memory.
pub(super) fn read_ahead(generation: &Path, weights: &[PathBuf], enough: &AtomicBool) -> usize {
    // Without a tree, or with one that cannot be read, there is nothing to advise: a worker does not depend on it.
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

/// Whether it was not in memory, and will be.
fn advise(path: &Path) -> bool {
    files::open(path)
        .is_ok_and(|file| is_cold(&file) && fadvise(&file, 0, None, Advice::WillNeed).is_ok())
}

/// Whether the beginning of a file is not in memory, or nobody knows.
fn is_cold(file: &files::File) -> bool {
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    preadv2(file, &mut parts, 0, ReadWriteFlags::NOWAIT).is_err()
}

/// `libtorch.so`, `libgomp.so.1`.
fn is_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('.').skip(1).any(|part| part == "so")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_filesystem_decides_where_nobody_else_does() {
        let never_asked = || panic!("nobody needs to know");
        assert!(!Prewarm::Never.is_for(never_asked));
        assert!(Prewarm::Always.is_for(never_asked));
        assert!(Prewarm::Auto.is_for(|| true));
        assert!(!Prewarm::Auto.is_for(|| false));
    }

    #[test]
    fn libraries_are_known_by_their_names() {
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
    fn what_is_in_memory_is_left_alone_and_nothing_is_done_once_it_is_enough() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("weights");
        let mut file = files::create_new(&path, 0o644).unwrap();
        file.write_all(&[1; 4096]).unwrap();
        // What was just written is in memory.
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
        // Not every filesystem lets go of it.
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        if is_cold(&files::open(&path).unwrap()) {
            assert_eq!((ahead(true), ahead(false)), (0, 1));
        }
    }
}
