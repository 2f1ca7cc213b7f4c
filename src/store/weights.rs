//! Weight files in a root's cache: what is there. Fetches nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::files;

use super::Root;

/// What is known of a weight file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its size in bytes.
    pub size: u64,
    /// Its digest, if it was computed.
    pub sha256: Option<Digest>,
}

/// Where a weight file lies.
pub(crate) fn path(root: &Root, below_cache: &str) -> PathBuf {
    root.cache().join(below_cache)
}

/// Where a weight file is to lie, in a directory that is there now. The cache may be one that others write in: it is an
/// error that a link leads out of it.
pub(crate) fn destination(root: &Root, below_cache: &str) -> files::Result<PathBuf> {
    files::room_below(root.cache(), below_cache)
}

/// What is there of these files, by their paths below the cache. Their contents are read only if `deep`: weights have
/// gigabytes, and a sync that has nothing to do takes milliseconds.
pub(crate) fn read<'p>(
    root: &Root,
    paths: impl Iterator<Item = &'p str>,
    deep: bool,
) -> files::Result<BTreeMap<String, Found>> {
    let mut found = BTreeMap::new();
    for below in paths {
        let path = path(root, below);
        match files::size(&path) {
            Ok(size) => {
                let sha256 = if deep { Some(digest(&path)?) } else { None };
                found.insert(below.to_owned(), Found { size, sha256 });
            }
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Whether a weight file is there; a link that leads nowhere is not.
pub(crate) fn is_there(path: &Path) -> bool {
    files::size(path).is_ok()
}

/// What these small files of the cache say, by their paths below it; those that are missing are left out.
pub(crate) fn read_texts<'p>(
    root: &Root,
    paths: impl Iterator<Item = &'p str>,
) -> files::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for below in paths {
        if let Some(text) = files::read_text_if_present(&path(root, below))? {
            found.insert(below.to_owned(), text);
        }
    }
    Ok(found)
}

/// The digest of a weight file, wherever it lies.
pub(crate) fn digest(path: &Path) -> files::Result<Digest> {
    use files::Context as _;
    Ok(Digest::of_reader(files::open(path)?)
        .context("read", path)?
        .0)
}
