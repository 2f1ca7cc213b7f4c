//! How a package is spelled, in a lock and in an answer, each package once: most files of a lock stand in many of its
//! environments, and printing versions is what reading and writing a lock would otherwise spend its time on.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, Hasher};

use super::{LockedPackage, Origin};
use crate::digest::Digest;
use crate::name::IndexName;

/// The spellings of the packages seen so far.
#[derive(Debug, Default)]
pub(super) struct Spelling {
    // Two packages of one digest are rare, but nothing forbids them.
    known: HashMap<Digest, Vec<(LockedPackage, Spelled)>, BuildHasherDefault<LastBytes>>,
}

/// A package in words.
#[derive(Debug)]
pub(super) struct Spelled {
    /// How an environment refers to it in the lock: name, version and the first digits of the digest.
    pub(super) reference: String,
    /// Its line in an answer.
    pub(super) answer: String,
}

impl Spelling {
    /// How this package is spelled.
    pub(super) fn of(&mut self, package: &LockedPackage) -> &Spelled {
        let same = self.known.entry(package.sha256).or_default();
        let at = same
            .iter()
            .position(|(known, _)| known == package)
            .unwrap_or_else(|| {
                same.push((package.clone(), spelled(package)));
                same.len() - 1
            });
        &same[at].1
    }

    /// How this package is spelled, if it was spelled before.
    pub(super) fn known(&self, package: &LockedPackage) -> Option<&Spelled> {
        let same = self.known.get(&package.sha256)?;
        let found = same.iter().find(|(known, _)| known == package);
        found.map(|(_, spelled)| spelled)
    }
}

/// A hash of what is a digest already: some of its bytes.
#[derive(Debug, Default)]
struct LastBytes(u64);

impl Hasher for LastBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn spelled(package: &LockedPackage) -> Spelled {
    let LockedPackage {
        name,
        version,
        origin,
        file,
        size,
        sha256,
    } = package;
    let version = version.to_string();
    let index = origin.index().map_or("-", IndexName::as_str);
    let mut answer = String::with_capacity(file.len() + 160);
    let _ = write!(answer, "package {name} {version} {index} {file} ");
    let _ = match size {
        Some(size) => write!(answer, "{size} {sha256}"),
        None => write!(answer, "- {sha256}"),
    };
    if !matches!(origin, Origin::Index(_)) {
        let _ = write!(answer, " {origin}");
    }
    answer.push('\n');
    Spelled {
        reference: format!("{name} {version} {}", sha256.short(12)),
        answer,
    }
}
