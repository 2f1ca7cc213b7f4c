//! Everything below a directory, and how much of the disk it takes. Links are never followed.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Context, Error, Result};

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Path below the walked directory.
    pub path: PathBuf,
    /// What it is, links not followed.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Its group's number.
    pub group: u32,
    /// Size in bytes of a file.
    pub size: u64,
}

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, wherever it leads.
    Link,
    /// A socket, device or pipe.
    Other,
}

/// What a type of file is here.
pub(super) fn kind(found: fs::FileType) -> Kind {
    match found {
        found if found.is_dir() => Kind::Directory,
        found if found.is_symlink() => Kind::Link,
        found if found.is_file() => Kind::File,
        _ => Kind::Other,
    }
}

/// Everything below a directory (not itself), parents before children, sorted by path; links are not followed.
pub(crate) fn walk(directory: &Path) -> Result<Vec<Entry>> {
    walk_some(directory, &|_| true)
}

/// As [`walk`], without the entries, and all below them, that are not wanted; asked is for the path below.
pub(crate) fn walk_some(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<Entry>> {
    walk_and(directory, wanted, &|_| false)
}

/// As [`walk_some`], without what is in directories that are closed to us.
pub(crate) fn walk_open(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<Entry>> {
    walk_and(directory, wanted, &Error::is_refused)
}

fn walk_and(
    directory: &Path,
    wanted: &dyn Fn(&Path) -> bool,
    skips: &dyn Fn(&Error) -> bool,
) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        let here = directory.join(&below);
        let entries = match fs::read_dir(&here).context("list", &here) {
            Ok(entries) => entries,
            // What is below may go while we look; the directory itself has to be there.
            Err(error) if error.is_missing() && !below.as_os_str().is_empty() => continue,
            Err(error) if skips(&error) => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry.context("list", &here)?;
            let metadata = match entry.metadata().context("examine", &entry.path()) {
                Ok(metadata) => metadata,
                Err(error) if error.is_missing() || skips(&error) => continue,
                Err(error) => return Err(error),
            };
            let path = below.join(entry.file_name());
            if !wanted(&path) {
                continue;
            }
            let kind = kind(metadata.file_type());
            if kind == Kind::Directory {
                pending.push(path.clone());
            }
            found.push(Entry {
                path,
                kind,
                mode: metadata.permissions().mode() & 0o7777,
                group: metadata.gid(),
                size: metadata.len(),
            });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// How many bytes of the disk each of these directories takes; a file with several names counts where it is met first.
pub(crate) fn disk_use(directories: &[PathBuf]) -> Result<Vec<u64>> {
    let mut met = HashSet::new();
    let one = |directory: &PathBuf| {
        let mut bytes = 0;
        for entry in walk_open(directory, &|_| true)? {
            let path = directory.join(&entry.path);
            let metadata = fs::symlink_metadata(&path).context("examine", &path)?;
            if metadata.nlink() < 2
                || metadata.is_dir()
                || met.insert((metadata.dev(), metadata.ino()))
            {
                // POSIX: blocks are counted in units of 512 bytes, whatever the filesystem's own are.
                bytes += metadata.blocks() * 512;
            }
        }
        Ok(bytes)
    };
    directories.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_before_children_and_links_are_not_followed() {
        let temporary = tempfile::tempdir().unwrap();
        let path = |name: &str| temporary.path().join(name);
        fs::create_dir_all(path("b/c")).unwrap();
        fs::write(path("b/c/file"), "12345").unwrap();
        super::super::symlink(Path::new("b"), &path("a")).unwrap();
        let found = walk(temporary.path()).unwrap();
        let entries: Vec<(&str, Kind)> = found
            .iter()
            .map(|entry| (entry.path.to_str().unwrap(), entry.kind))
            .collect();
        assert_eq!(
            entries,
            [
                ("a", Kind::Link),
                ("b", Kind::Directory),
                ("b/c", Kind::Directory),
                ("b/c/file", Kind::File)
            ]
        );
        assert_eq!(found[3].size, 5);
    }

    #[test]
    fn a_file_with_two_names_takes_its_room_once() {
        let temporary = tempfile::tempdir().unwrap();
        let path = |name: &str| temporary.path().join(name);
        for directory in ["a", "b"] {
            fs::create_dir(path(directory)).unwrap();
        }
        fs::write(path("a/file"), vec![1; 100_000]).unwrap();
        fs::hard_link(path("a/file"), path("b/file")).unwrap();
        let sizes = disk_use(&[path("a"), path("b")]).unwrap();
        assert!(sizes[0] >= 100_000, "{sizes:?}");
        assert!(sizes[1] < 100_000, "{sizes:?}");
    }
}
