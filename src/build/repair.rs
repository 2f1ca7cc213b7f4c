//! Reading what is built to the end, so that a plan knows what to build anew. Builds nothing itself.

use std::collections::BTreeMap;

use crate::files;
use crate::name::EnvironmentName;
use crate::store::installed::{Generation, Installed};
use crate::store::managed::{self, State};
use crate::store::{Reading, Root, trash};

use super::{publish, shelf};

/// Reads the store and the managed interpreters, and moves to the trash what is damaged: who needs it makes it anew.
pub fn clear(root: &Root, reading: &Reading) -> files::Result<()> {
    let damaged = shelf::damaged(root, reading)?.into_iter();
    let mut directories: Vec<_> = damaged.map(|damage| damage.directory).collect();
    directories.dedup();
    for directory in directories {
        trash::discard(root, &directory, "shelf")?;
    }
    for name in files::names(&root.pythons())? {
        let home = root.pythons().join(&name);
        // Names with a dot are staging.
        if !name.starts_with('.') && !is_whole(root, &home, reading) {
            trash::discard(root, &home, "python")?;
        }
    }
    Ok(())
}

/// One that cannot be read is not.
fn is_whole(root: &Root, python: &std::path::Path, reading: &Reading) -> bool {
    let Ok(Some(stamp)) = managed::Stamp::read(python) else {
        return false;
    };
    managed::state(root, python, &stamp.archive, reading).is_ok_and(|state| state == State::Whole)
}

/// Reads every generation of these environments, and marks those as damaged of which a byte has changed.
pub fn mark(
    root: &Root,
    environments: &mut BTreeMap<EnvironmentName, Installed>,
    reading: &Reading,
) {
    for (name, installed) in environments {
        for (id, generation) in &mut installed.generations {
            let Generation::Complete(complete) = generation else {
                continue;
            };
            let path = root.generation(name, id);
            if complete.damage.is_some() {
                continue;
            }
            match publish::is_intact(root, &path, &complete.stamp, reading) {
                Ok(true) => {}
                Ok(false) => {
                    complete.damage = Some("its files are not those that were built".into());
                }
                // `gc` has taken it away meanwhile, or it cannot be read: what needs it is built anew.
                Err(error) => complete.damage = Some(error.text()),
            }
        }
    }
}
