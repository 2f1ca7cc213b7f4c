//! What shows whether a file was changed or replaced, without reading it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Context, Result};

/// Size, time and number of a file; another file, or other contents, have another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signature {
    /// Its bytes.
    pub size: u64,
    /// When its contents were last changed, in nanoseconds.
    pub mtime_ns: i64,
    /// Its number on its filesystem.
    pub inode: u64,
}

/// The signature of the file or directory that a path leads to.
pub(crate) fn signature(path: &Path) -> Result<Signature> {
    let there = std::fs::metadata(path).context("examine", path)?;
    let seconds = there.mtime().saturating_mul(1_000_000_000);
    Ok(Signature {
        size: there.len(),
        mtime_ns: seconds.saturating_add(there.mtime_nsec()),
        inode: there.ino(),
    })
}
