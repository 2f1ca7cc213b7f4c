//! The only place that touches the filesystem. Every error names the action and the path.
//!
//! Nothing here knows what a file means, and nothing here locks: no lock works on every cluster filesystem.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

mod failed;
pub(crate) mod abilities;
pub(crate) mod acl;
mod beside;
pub(crate) mod reclaim;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod inside;
pub mod link;
pub mod maker;
mod pointer;
mod reading;
mod reproducible;
pub(crate) mod shared;
mod signature;
pub(crate) mod space;
mod quoted;
pub(crate) mod ownership;
pub(crate) mod proc;
pub(crate) mod times;
pub(crate) mod trust;
pub(crate) mod walk;

pub(crate) use beside::{
    Beside, copy, lasting_directory, new_file, point, remove_abandoned, temporary_directory,
    write_atomically, write_new,
};
pub(crate) use failed::Context;

pub use failed::{Error, Result};
pub(crate) use inside::{check_below, room_below};
pub(crate) use pointer::{first_pointer, is_pointer};
pub(crate) use quoted::quoted;
pub(crate) use reading::{
    check_regular, holds, in_project, open, open_examined, read, read_of_project, read_text,
    read_text_if_present, read_text_of_project, read_text_of_project_if_present,
};
pub(crate) use reproducible::{TIME as REPRODUCIBLE_TIME, make_reproducible};
pub(crate) use shared::SharedFile;
pub(crate) use signature::{Signature, signature};
/// An open file.
pub(crate) use std::fs::File;
pub(crate) use walk::{Entry, Kind, disk_use, walk, walk_open, walk_some};

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error {
            action,
            path: path.to_owned(),
            source,
        })
    }
}

/// Creates a file that must not exist yet, with this mode (less the umask).
pub(crate) fn create_new(path: &Path, mode: u32) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .context("create", path)
}

/// Opens a file to add to its end, creating it if need be; a link is not followed.
pub(crate) fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .context("add to", path)
}

/// Adds a line to the end of a file of the user's, creating it if need be.
pub(crate) fn append_line(path: &Path, line: &str) -> Result<()> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    let written = opened.and_then(|mut file| io::Write::write_all(&mut file, line.as_bytes()));
    written.context("add to", path)
}

/// Writes a new file of our own making; overwrites what is there. Not atomic: for directories that are not published yet.
pub(crate) fn write(path: &Path, contents: &[u8]) -> Result<()> {
    fs::write(path, contents).context("write", path)
}

/// Creates a directory and its parents.
pub(crate) fn create_directories(path: &Path) -> Result<()> {
    fs::create_dir_all(path).context("create", path)
}

/// Creates one directory, which must not exist.
pub(crate) fn create_directory(path: &Path) -> Result<()> {
    fs::create_dir(path).context("create", path)
}

/// Renames; replaces a file or a symbolic link, never a directory with something in it.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).context("rename", from)
}

/// Makes a symbolic link.
pub(crate) fn symlink(target: &Path, link: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, link).context("create the link", link)
}

/// Where a symbolic link points, as written; `None` if there is no such link, or something else has its name.
pub(crate) fn link_target(link: &Path) -> Result<Option<PathBuf>> {
    match fs::read_link(link) {
        Ok(target) => Ok(Some(target)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    // POSIX's answer for anything but a link.
                    | io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).context("read the link", link),
    }
}

/// The real path of something that exists, all links resolved.
pub(crate) fn real_path(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).context("find", path)
}

/// The same path from the top of the filesystem, nothing resolved.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).context("find", path)
}

/// Whether anything is there; a link that leads nowhere is something.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Whether a directory is there, links followed.
pub(crate) fn is_directory(path: &Path) -> bool {
    path.is_dir()
}

/// Whether a directory is there, links not followed.
pub(crate) fn is_really_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.is_dir())
}

/// Whether a regular file is there, links not followed.
pub(crate) fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.is_file())
}

/// Whether a file is there that has no other name, links not followed.
pub(crate) fn is_file_of_its_own(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.is_file() && there.nlink() == 1)
}

/// Whether something is there that is no directory; links are followed.
pub(crate) fn is_no_directory(path: &Path) -> bool {
    exists(path) && !path.is_dir()
}

/// Whether an executable file is there, links followed.
pub(crate) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// The size of a file in bytes, links followed.
pub(crate) fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).context("examine", path)?.len())
}

/// The permission bits of what was examined.
pub(crate) fn mode_of(found: &fs::Metadata) -> u32 {
    found.permissions().mode() & 0o7777
}

/// Sets the permission bits of a file or directory.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).context("set the mode of", path)
}

/// Sets the permission bits of an open file.
pub(crate) fn set_mode_of(file: &File, path: &Path, mode: u32) -> Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
        .context("set the mode of", path)
}

/// Sets the time of last change of an open file, in seconds since 1970.
pub(crate) fn set_modified(file: &File, path: &Path, seconds: u64) -> Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_times(fs::FileTimes::new().set_modified(time).set_accessed(time))
        .context("set the time of", path)
}

/// Removes a file or a symbolic link; nothing there is fine.
pub(crate) fn remove_if_present(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("remove", path),
        _ => Ok(()),
    }
}

/// Removes a directory and all in it, also where directories are read-only; nothing there is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(error).context("remove", path),
    }
    // Published generations are read-only, and a directory without the write bit keeps its entries.
    for entry in walk(path)? {
        if entry.kind == Kind::Directory {
            set_mode(&path.join(&entry.path), 0o755)?;
        }
    }
    set_mode(path, 0o755)?;
    fs::remove_dir_all(path).context("remove", path)
}

/// Removes a directory that has nothing in it; any other stays.
pub(crate) fn remove_if_empty(path: &Path) {
    let _ = fs::remove_dir(path);
}

/// Whether this can be listed and has nothing in it.
pub(crate) fn is_empty(directory: &Path) -> bool {
    list(directory).is_ok_and(|names| names.is_empty())
}

/// The names in a directory that are UTF-8, as all are that this program gives, sorted; none if there is no such directory.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>> {
    let names = list(directory)?.into_iter();
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

/// The entries of a directory whose names are UTF-8, sorted by name, with what they are themselves: links are not followed.
pub(crate) fn entries(directory: &Path) -> Result<Vec<(String, Kind)>> {
    let mut found = Vec::new();
    for entry in entries_of(directory)? {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // Most filesystems list it with the name.
        let kind = entry.file_type().context("examine", &entry.path())?;
        found.push((name, walk::kind(kind)));
    }
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

fn list(directory: &Path) -> Result<Vec<OsString>> {
    let entries = entries_of(directory)?.into_iter();
    Ok(entries.map(|entry| entry.file_name()).collect())
}

/// Nothing where there is no such directory.
fn entries_of(directory: &Path) -> Result<Vec<fs::DirEntry>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).context("list", directory),
    };
    let entries = entries.collect::<io::Result<Vec<_>>>();
    entries.context("list", directory)
}

/// Flushes all that was written to the filesystem holding `path`: one call instead of one per file.
pub(crate) fn flush_filesystem(path: &Path) -> Result<()> {
    let directory = open(path)?;
    rustix::fs::syncfs(&directory)
        .map_err(io::Error::from)
        .context("flush", path)
}

/// Flushes a directory's own entries, so that a rename in it survives a power cut.
pub(crate) fn flush_directory(path: &Path) -> Result<()> {
    open(path)?.sync_all().context("flush", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_action_and_path() {
        let error = read_text(Path::new("/does/not/exist")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read `/does/not/exist`");
        assert!(error.is_missing());
    }

    #[test]
    fn a_read_only_tree_can_be_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let tree = temporary.path().join("tree");
        create_directories(&tree.join("a/b")).unwrap();
        write(&tree.join("a/b/file"), b"x").unwrap();
        for path in ["a/b", "a", ""] {
            set_mode(&tree.join(path), 0o555).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!exists(&tree));
    }
}
