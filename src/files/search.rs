//! Programs on a search path such as PATH.

use std::ffi::OsStr;
use std::path::PathBuf;

/// Every place of this name on a search path, in its order; an empty path has none.
pub fn candidates(name: impl AsRef<OsStr>, search_path: &OsStr) -> impl Iterator<Item = PathBuf> {
    let name = name.as_ref();
    let directories = std::env::split_paths(search_path);
    let places = directories.filter(|directory| !directory.as_os_str().is_empty());
    places
        .map(|directory| directory.join(name))
        .collect::<Vec<_>>()
        .into_iter()
}
