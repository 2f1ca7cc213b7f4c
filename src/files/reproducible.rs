//! Mode and time of files that are the same wherever they are written.

use std::path::Path;

use super::{File, Result, set_mode_of, set_modified};

/// The time of last change of everything installed or packed: 1980-01-01, the earliest that zip archives know. Times of
/// their own would make two builds differ.
pub(crate) const TIME: u64 = 315_532_800;

/// Gives a written file its final mode and time.
pub(crate) fn make_reproducible(file: &File, path: &Path, executable: bool) -> Result<()> {
    set_mode_of(file, path, if executable { 0o555 } else { 0o444 })?;
    set_modified(file, path, TIME)
}
