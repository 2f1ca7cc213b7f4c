//! Moving a directory of the root out of the way. A process that still runs from it keeps its open files; `gc` empties the
//! trash.

use std::path::{Path, PathBuf};

use super::Root;
use crate::files;

/// How the name begins of what was put aside beside its place.
pub(crate) const ASIDE: &str = ".trash-";

/// Writes a text into the trash for people to look at; returns its path.
pub(crate) fn keep(root: &Root, label: &str, name: &str, text: &str) -> files::Result<PathBuf> {
    files::create_directories(&root.trash())?;
    let prefix = format!("{label}-");
    let path = files::temporary_directory(&root.trash(), &prefix)?
        .keep()
        .join(name);
    files::write(&path, text.as_bytes())?;
    Ok(path)
}

/// Moves a directory to the trash and returns its new path; `None` if it is gone. The label shows people what it was. One
/// that another maintainer has published is put aside where it is, with a name that begins with [`ASIDE`]: only its owner
/// may move it to another directory.
pub(crate) fn discard(
    root: &Root,
    directory: &Path,
    label: &str,
) -> files::Result<Option<PathBuf>> {
    if !files::exists(directory) {
        return Ok(None);
    }
    files::create_directories(&root.trash())?;
    let prefix = format!("{label}-");
    // The parent is another one, and a directory's entry for its parent can only be changed by who may write in it.
    let opened = if files::is_really_directory(directory) {
        files::set_mode(directory, 0o755)
    } else {
        Ok(())
    };
    let moved = match opened {
        Err(error) if error.is_refused() => {
            let parent = directory.parent().unwrap_or(root.path());
            rename(directory, parent, &format!("{ASIDE}{prefix}"))
        }
        Err(error) => Err(error),
        Ok(()) => rename(directory, &root.trash(), &prefix),
    };
    match moved {
        Err(error) if error.is_missing() => Ok(None),
        moved => moved.map(Some),
    }
}

fn rename(directory: &Path, into: &Path, prefix: &str) -> files::Result<PathBuf> {
    let mut to = files::temporary_directory(into, prefix)?.keep();
    // A file, or a link, that has the name of a directory goes into one.
    if !files::is_really_directory(directory) {
        to.push(directory.file_name().unwrap_or_default());
    }
    files::rename(directory, &to)?;
    Ok(to)
}
