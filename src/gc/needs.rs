//! What generations need: wheels, bytecode, managed interpreters. If one cannot be read, it may need anything:
//! then everything is needed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::generations;
use crate::digest::Digest;
use crate::files;
use crate::store::installed::{self, Generation};
use crate::store::stamp::{Found, Stamp};
use crate::store::tree::Item;
use crate::store::{Root, Tree, inside};

/// What some generations need.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// The `RECORD` files of their wheels.
    records: BTreeSet<Digest>,
    /// The beginnings of the digests of their interpreters' identities.
    interpreters: BTreeSet<String>,
    /// Ids of managed interpreters.
    pythons: BTreeSet<String>,
    /// The first that cannot be read.
    pub(super) unknown: Option<PathBuf>,
}

impl Needs {
    /// What these need.
    pub(super) fn of(generations: &[PathBuf]) -> Self {
        let mut needs = Self::default();
        for path in generations {
            let tree = files::read_text_if_present(&path.join(inside::TREE));
            let tree = tree.ok().flatten().and_then(|text| Tree::parse(&text).ok());
            // What cannot be read may need anything.
            let (Ok(Found::Stamp(stamp)), Some(tree)) = (Stamp::read(path), tree) else {
                needs.unknown.get_or_insert(path.clone());
                continue;
            };
            needs.pythons.extend(stamp.managed);
            needs
                .interpreters
                .insert(stamp.python.identity.digest().short(16));
            let records = tree.0.into_iter().filter_map(|(path, item)| match item {
                Item::File { sha256, .. } if path.ends_with(".dist-info/RECORD") => Some(sha256),
                _ => None,
            });
            needs.records.extend(records);
        }
        needs
    }

    /// Whether one of them has this wheel, by the digest of its `RECORD`.
    pub(super) fn wheel(&self, record: Option<&Digest>) -> bool {
        record.is_some_and(|record| self.records.contains(record))
    }

    /// Whether one of them stands on this interpreter.
    pub(super) fn interpreter(&self, interpreter: &str) -> bool {
        self.interpreters.contains(interpreter)
    }

    /// Whether one of them stands on this managed interpreter.
    pub(super) fn python(&self, id: &str) -> bool {
        self.pythons.contains(id)
    }
}

/// The managed interpreters that all generations of a root stand on; `None` if a stamp cannot be read.
pub(super) fn pythons(root: &Root) -> files::Result<Option<Vec<String>>> {
    let mut ids = Vec::new();
    for (_, installed) in installed::read(root, &generations::environments(root)?) {
        if installed.unreadable.is_some() {
            return Ok(None);
        }
        for generation in installed.generations.into_values() {
            match generation {
                Generation::Complete(complete) => ids.extend(complete.stamp.managed),
                Generation::Newer(_) | Generation::Incomplete | Generation::Unreadable(_) => {
                    return Ok(None);
                }
            }
        }
    }
    Ok(Some(ids))
}
