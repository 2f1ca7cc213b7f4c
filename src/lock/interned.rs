//! A locked package with its spelling, in a lock and in an answer. Most packages of a lock stand in many of its
//! environments, and copying them and printing their versions is what reading a lock would otherwise spend its time on:
//! so they are spelled once, and shared.

use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::Arc;

use pep440_rs::Version;

use super::{LockedPackage, Origin};
use crate::name::IndexName;

/// A locked package, shared by all that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternedPackage(Arc<Interned>);

#[derive(Debug, PartialEq, Eq)]
struct Interned {
    package: LockedPackage,
    reference: String,
    answer: String,
}

impl InternedPackage {
    /// How an environment refers to it in the lock: name, version and the first digits of the digest.
    pub fn reference(&self) -> &str {
        &self.0.reference
    }

    /// Its line in an answer.
    pub(super) fn answer(&self) -> &str {
        &self.0.answer
    }
}

impl Deref for InternedPackage {
    type Target = LockedPackage;

    fn deref(&self) -> &LockedPackage {
        &self.0.package
    }
}

impl From<LockedPackage> for InternedPackage {
    fn from(package: LockedPackage) -> Self {
        let LockedPackage {
            name,
            version,
            origin,
            file,
            size,
            sha256,
        } = &package;
        let name = name.as_ref();
        let version = text(version);
        let index = origin.index().map_or("-", IndexName::as_str);
        let size = size.map_or_else(|| "-".to_owned(), |size| size.to_string());
        let digits = sha256.digits();
        // Not formatted: a lock has hundreds of packages, and that would be the largest part of reading it.
        let mut answer = String::with_capacity(file.len() + 160);
        for word in ["package", name, &version, index, file, &size] {
            answer.push_str(word);
            answer.push(' ');
        }
        answer.push_str(&digits);
        if !matches!(origin, Origin::Index(_)) {
            let _ = write!(answer, " {origin}");
        }
        answer.push('\n');
        let reference = [name, &version, &digits[..12]].join(" ");
        Self(Arc::new(Interned {
            package,
            reference,
            answer,
        }))
    }
}

/// A version as PEP 440 writes it. Most are numbers and dots, for which the general way takes ten times as long.
fn text(version: &Version) -> String {
    let is_plain = version.epoch() == 0
        && version.pre().is_none()
        && version.post().is_none()
        && version.dev().is_none()
        && version.local().is_empty();
    if !is_plain {
        return version.to_string();
    }
    let mut text = String::with_capacity(16);
    for (at, number) in version.release().iter().enumerate() {
        let dot = if at == 0 { "" } else { "." };
        let _ = write!(text, "{dot}{number}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_written_as_pep_440_has_it() {
        for version in [
            "1",
            "1.0",
            "2026.10.5",
            "0.0.0.1",
            "1!2.0",
            "1.0a1",
            "1.0rc2",
            "1.0.post1",
            "1.0.dev3",
            "2.7.1+cu126",
            "1!1.0b2.post3.dev4+local.5",
        ] {
            let parsed: Version = version.parse().unwrap();
            assert_eq!(text(&parsed), version);
            assert_eq!(text(&parsed), parsed.to_string());
        }
    }
}
