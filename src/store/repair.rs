//! Moves what is damaged out of the way, so that it is made again when it is needed.

use std::path::Path;

use crate::files;

use super::managed::{self, State};
use super::{Root, Verifier, trash, wheels};

/// Reads the wheel store and the managed interpreters, and moves to the trash what is damaged. Uses the rayon pool it is
/// called in.
pub(crate) fn discard_damaged(root: &Root, verifier: &Verifier) -> files::Result<()> {
    let damaged = wheels::damaged(root, verifier)?.into_iter();
    let mut directories: Vec<_> = damaged.map(|damage| damage.directory).collect();
    directories.dedup();
    for directory in directories {
        trash::discard(root, &directory, "wheel")?;
    }
    for name in files::names(&root.pythons())? {
        let home = root.pythons().join(&name);
        // Names with a dot are staging.
        if !name.starts_with('.') && !is_whole(root, &home, verifier) {
            trash::discard(root, &home, "python")?;
        }
    }
    Ok(())
}

/// Whether every byte of a managed interpreter is there. One that cannot be read is not whole.
fn is_whole(root: &Root, python: &Path, verifier: &Verifier) -> bool {
    let Ok(Some(stamp)) = managed::Stamp::read(python) else {
        return false;
    };
    managed::state(root, python, &stamp.archive, verifier).is_ok_and(|state| state == State::Whole)
}
