//! Moving a directory of the root out of the way. Whoever still runs from it keeps its open files; `gc` empties the
//! trash.

use std::path::{Path, PathBuf};

use crate::files::{self, maker};
use crate::store::Root;

/// Keeps a text in the trash for somebody to look at, and says where.
pub(super) fn keep(root: &Root, label: &str, name: &str, text: &str) -> files::Result<PathBuf> {
    files::create_directories(&root.trash())?;
    let prefix = format!("{label}-{}-", maker::this_process());
    let path = files::temporary_directory(&root.trash(), &prefix)?
        .keep()
        .join(name);
    files::write(&path, text.as_bytes())?;
    Ok(path)
}

/// Moves a directory to the trash; one that somebody else took away is gone as well. The label tells people what it
/// was.
pub(super) fn discard(root: &Root, directory: &Path, label: &str) -> files::Result<()> {
    files::create_directories(&root.trash())?;
    // The parent is another one, and a directory's entry for its parent can only be changed by who may write in it.
    let moved = files::set_mode(directory, 0o755).and_then(|()| {
        let prefix = format!("{label}-{}-", maker::this_process());
        let to = files::temporary_directory(&root.trash(), &prefix)?.keep();
        files::rename(directory, &to)
    });
    match moved {
        Err(error) if error.is_missing() => Ok(()),
        other => other,
    }
}
