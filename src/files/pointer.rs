//! Pointers of Git LFS: short texts that stand in a repository for the files themselves, which are kept elsewhere.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

use super::{Context, Kind, Result, open, size, walk_some};

/// What every pointer begins with (the specification of Git LFS, version 1).
const BEGINNING: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";

/// No pointer has as many bytes.
const LONGEST: u64 = 1024;

/// Whether this file is a pointer and not what it is called.
pub(crate) fn is_pointer(path: &Path) -> Result<bool> {
    if size(path)? >= LONGEST {
        return Ok(false);
    }
    let mut text = Vec::new();
    open(path)?
        .take(LONGEST)
        .read_to_end(&mut text)
        .context("read", path)?;
    let rest = text.strip_prefix(BEGINNING);
    Ok(rest.is_some_and(|rest| rest.windows(11).any(|word| word == b"oid sha256:")))
}

/// The first file below a directory that is a pointer, relative to it.
pub(crate) fn first_pointer(directory: &Path) -> Result<Option<String>> {
    let mut entries = walk_some(directory, &|below| {
        below.file_name() != Some(OsStr::new(".git"))
    })?;
    entries.retain(|entry| entry.kind == Kind::File && entry.size < LONGEST);
    for entry in entries {
        if is_pointer(&directory.join(&entry.path))? {
            return Ok(Some(entry.path.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}
