//! A locked package with its lines in a lock and in an answer. Most packages of a lock are in many of its environments:
//! each is kept once and shared, and its lines are written once.

use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::Arc;

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
        let (version, digits) = (version.to_string(), sha256.digits());
        let index = origin.index().map_or("-", IndexName::as_str);
        let size = size.map_or_else(|| "-".to_owned(), |size| size.to_string());
        let words = [
            "package",
            name.as_ref(),
            &version,
            index,
            file,
            &size,
            &digits,
        ];
        let mut answer = words.join(" ");
        if !matches!(origin, Origin::Index(_)) {
            let _ = write!(answer, " {origin}");
        }
        answer.push('\n');
        let reference = [name.as_ref(), &version, &digits[..12]].join(" ");
        Self(Arc::new(Interned {
            package,
            reference,
            answer,
        }))
    }
}
