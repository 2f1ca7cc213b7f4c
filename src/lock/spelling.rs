//! How a package is spelled, in a lock and in an answer, each package once: most files of a lock stand in many of its
//! environments, and printing versions is what reading and writing a lock would otherwise spend its time on.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{LockedPackage, Origin};
use crate::digest::Digest;
use crate::name::IndexName;

/// The spellings of the packages seen so far.
#[derive(Debug, Default)]
pub(super) struct Spelling {
    // Two packages of one digest are rare, but nothing forbids them.
    known: HashMap<Digest, Vec<(LockedPackage, Spelled)>>,
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
    let size = size.map_or_else(|| "-".to_owned(), |size| size.to_string());
    let mut answer = format!("package {name} {version} {index} {file} {size} {sha256}");
    if !matches!(origin, Origin::Index(_)) {
        let _ = write!(answer, " {origin}");
    }
    answer.push('\n');
    Spelled {
        reference: format!("{name} {version} {}", sha256.short(12)),
        answer,
    }
}
