//! Trees that were seen built from an answer: what `rootstock lock --record` writes, and when it is forgotten. What a
//! generation is, is not known here: it is a name.

use super::{LockedEnvironment, LockedTarget};
use crate::digest::Digest;

/// The tree of a generation, as it was when it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedTree {
    /// The exact version of the interpreter it stands on, for people: the generation's id depends on it.
    pub python: String,
    /// The tree digest.
    pub tree: Digest,
}

impl RecordedTree {
    /// What is written beside it: ties the tree to the generation's id and to the digest of the answer.
    pub fn digest(&self, id: &str, answer: &Digest) -> Digest {
        let Self { python, tree } = self;
        Digest::of(format!(
            "rootstock record 1\nanswer {answer}\n{id} {python} {tree}\n"
        ))
    }
}

impl LockedTarget {
    /// The tree that the generation of this id must have; `None` if it was not recorded.
    pub fn recorded(&self, id: &str) -> Option<&Digest> {
        self.trees.get(id).map(|record| &record.tree)
    }
}

impl LockedEnvironment {
    /// Takes over what was recorded for answers that are still the same; of others the trees are other ones.
    pub fn keep_recorded(&mut self, old: &LockedEnvironment) {
        for target in &mut self.targets {
            let there = old.target(target.target.name());
            target.trees = there
                .filter(|there| there.digest == target.digest)
                .map_or_else(Default::default, |there| there.trees.clone());
        }
    }
}
