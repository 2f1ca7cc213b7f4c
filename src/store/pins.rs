//! `pins/<env>@<id>`: generations that `gc` keeps. The file is empty; its owner and its time show who pinned it, and when.
//! A person may make and remove such files by hand. Removes nothing but pins.

use std::path::PathBuf;

use super::Root;
use crate::files;
use crate::name::EnvironmentName;

/// A pinned generation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin {
    /// Of which environment.
    pub environment: EnvironmentName,
    /// Which generation.
    pub id: String,
}

impl Pin {
    fn path(&self, root: &Root) -> PathBuf {
        root.pins().join(self.to_string())
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}@{}", self.environment, self.id)
    }
}

/// All pins of a root; files with other names pin nothing.
pub(crate) fn read(root: &Root) -> files::Result<Vec<Pin>> {
    let pin = |name: &String| {
        let (environment, id) = name.rsplit_once('@')?;
        Some(Pin {
            environment: environment.parse().ok()?,
            id: id.to_owned(),
        })
    };
    Ok(files::names(&root.pins())?.iter().filter_map(pin).collect())
}

/// Pins a generation; one that is pinned stays so.
pub(crate) fn add(root: &Root, pin: &Pin) -> files::Result<()> {
    files::create_directories(&root.pins())?;
    let path = pin.path(root);
    if files::exists(&path) {
        return Ok(());
    }
    files::write_atomically(&path, b"")
}

/// Takes a pin away, if it is there.
pub(crate) fn remove(root: &Root, pin: &Pin) -> files::Result<()> {
    files::remove_if_present(&pin.path(root))
}
