//! What is made under a temporary name first, beside its place: files, directories and links. No two of them ever have
//! one name: it has boot, process namespace and process of its maker (see [`maker`]), so that two hosts with one
//! filesystem differ, and ends in characters drawn at random; a name that is there already is not taken, another one is
//! drawn.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Context, Result, maker, names, ownership, remove_tree};

/// Draws names that begin with `prefix` and go on with our own.
fn named<T>(prefix: &str, make: impl FnOnce(&mut tempfile::Builder<'_, '_>) -> T) -> T {
    let prefix = format!("{prefix}{}-", maker::this_process());
    make(tempfile::Builder::new().prefix(&prefix))
}

/// Creates an empty file of a new name that begins with `prefix`, and returns its path.
pub(crate) fn new_file(directory: &Path, prefix: &str) -> Result<PathBuf> {
    let file = named(prefix, |names| names.tempfile_in(directory));
    let file = file.context("create a file in", directory)?;
    let (_, path) = file
        .keep()
        .map_err(|e| e.error)
        .context("create a file in", directory)?;
    Ok(path)
}

/// A new, empty, private directory below `parent` whose name begins with `prefix`, removed when dropped unless kept.
pub(crate) fn temporary_directory(parent: &Path, prefix: &str) -> Result<tempfile::TempDir> {
    named(prefix, |names| names.tempdir_in(parent)).context("create a directory in", parent)
}

/// The same for one that stays: [`remove_abandoned`] does not take it for one that a killed process has left.
pub(crate) fn lasting_directory(parent: &Path, prefix: &str) -> Result<PathBuf> {
    let made = tempfile::Builder::new().prefix(prefix).tempdir_in(parent);
    made.map(tempfile::TempDir::keep)
        .context("create a directory in", parent)
}

/// Removes this user's directories of these prefixes whose makers are gone. Others may have made some of the same names; what cannot be
/// removed only takes space.
pub(crate) fn remove_abandoned(parent: &Path, prefixes: &[&str]) {
    let is_ours = |path: &Path| {
        let owner = fs::symlink_metadata(path).map(|at| (at.is_dir(), at.uid()));
        owner.is_ok_and(|owner| owner == (true, ownership::effective_uid()))
    };
    for name in names(parent).unwrap_or_default() {
        let begins = prefixes.iter().any(|prefix| name.starts_with(prefix));
        let path = parent.join(&name);
        if begins && maker::in_name(&name).is_some_and(maker::is_gone) && is_ours(&path) {
            let _ = remove_tree(&path);
        }
    }
}

/// Replaces a file whole or not at all: written beside it, flushed to disk, renamed over it.
/// A reader sees the old or the new text, never a part. The file's mode is kept, `0644` (less the umask) if new.
pub(crate) fn write_atomically(path: &Path, contents: &[u8]) -> Result<()> {
    let directory = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let there = fs::metadata(path).ok().filter(fs::Metadata::is_file);
    let mode = there.map_or(0o644, |m| m.permissions().mode() & 0o7777);
    let mut beside = written_beside(directory, mode)?;
    beside.write_all(contents).context("write", path)?;
    beside.as_file().sync_all().context("flush", path)?;
    beside
        .persist(path)
        .map_err(|e| e.error)
        .context("replace", path)?;
    Ok(())
}

/// Writes a file whole, unless something is there already: whether it is ours.
pub(crate) fn write_new(path: &Path, contents: &[u8]) -> Result<bool> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut beside = written_beside(directory, 0o644)?;
    beside.write_all(contents).context("write", path)?;
    match beside.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error).context("write", path),
    }
}

/// A file that is written beside its place and gets its name when it is whole; removed when dropped before.
#[derive(Debug)]
pub(crate) struct Beside {
    file: tempfile::NamedTempFile,
    to: PathBuf,
}

impl Beside {
    /// An empty file beside this place.
    pub(crate) fn new(to: &Path) -> Result<Self> {
        let directory = to.parent().filter(|p| !p.as_os_str().is_empty());
        Ok(Self {
            file: written_beside(directory.unwrap_or(Path::new(".")), 0o644)?,
            to: to.to_owned(),
        })
    }

    /// The file, open for writing.
    pub(crate) fn file(&self) -> &super::File {
        self.file.as_file()
    }

    /// Flushes it to disk and gives it its name; what has that name is replaced.
    pub(crate) fn publish(self) -> Result<()> {
        self.file.as_file().sync_all().context("flush", &self.to)?;
        let persisted = self.file.persist(&self.to).map_err(|e| e.error);
        persisted.context("replace", &self.to).map(|_| ())
    }
}

/// Copies a file's bytes over what is there, whole or not at all.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = super::open(from)?;
    let mut beside = written_beside(to.parent().unwrap_or(Path::new(".")), 0o644)?;
    io::copy(&mut source, &mut beside).context("copy", from)?;
    beside
        .persist(to)
        .map_err(|e| e.error)
        .context("replace", to)?;
    Ok(())
}

fn written_beside(directory: &Path, mode: u32) -> Result<tempfile::NamedTempFile> {
    let file = named(".rootstock-", |names| {
        let names = names.permissions(Permissions::from_mode(mode));
        names.tempfile_in(directory)
    });
    file.context("write in", directory)
}

/// Makes `link` a symbolic link to `target`, replacing an older link by rename: readers see the old or the new.
pub(crate) fn point(link: &Path, target: &Path) -> Result<()> {
    let directory = link.parent().unwrap_or(Path::new("."));
    let stem = link.file_name().unwrap_or_default().to_string_lossy();
    let beside = named(&format!(".{stem}-"), |names| {
        names.make_in(directory, |path| std::os::unix::fs::symlink(target, path))
    });
    let beside = beside.context("create the link", link)?;
    beside
        .persist(link)
        .map_err(|e| e.error)
        .context("replace", link)
}

#[cfg(test)]
mod tests {
    use super::super::{link_target, names};
    use super::*;

    #[test]
    fn a_link_is_replaced_in_one_step() {
        let temporary = tempfile::tempdir().unwrap();
        let link = temporary.path().join("current");
        point(&link, Path::new("one")).unwrap();
        point(&link, Path::new("two")).unwrap();
        assert_eq!(link_target(&link).unwrap().unwrap(), Path::new("two"));
        assert_eq!(names(temporary.path()).unwrap(), ["current"]);
    }

    #[test]
    fn links_that_are_replaced_at_once_never_meet() {
        let temporary = tempfile::tempdir().unwrap();
        let link = temporary.path().join("current");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        point(&link, Path::new("one")).unwrap();
                    }
                });
            }
        });
        assert_eq!(names(temporary.path()).unwrap(), ["current"]);
    }
}
