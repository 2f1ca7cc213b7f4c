//! The interpreter that an answer is for.

use pep440_rs::Version;

use crate::digest::Digest;

/// Where an interpreter comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PythonSource {
    /// One that is installed on the machine.
    System,
    /// This archive.
    Managed(LockedArchive),
}

/// An archive with an interpreter, as the project python-build-standalone publishes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedArchive {
    /// The day it was built, where its name has it: the same version of Python is built again and again, with other
    /// libraries in it.
    pub build: Option<String>,
    /// Where its publisher has it; a mirror has it elsewhere.
    pub url: String,
    /// Its digest.
    pub sha256: Digest,
}

/// The interpreter an answer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPython {
    /// `cpython`.
    pub implementation: String,
    /// Of a system's interpreter, the version to the granularity the manifest asks for (`3.11` or `3.11.7`); of a
    /// managed one, the exact version.
    pub version: Version,
    /// Where it comes from.
    pub source: PythonSource,
    /// The ABI of its extension modules.
    pub soabi: String,
}

impl LockedPython {
    /// Major and minor version.
    pub fn series(&self) -> (u64, u64) {
        let release = self.version.release();
        (release[0], release.get(1).copied().unwrap_or(0))
    }

    /// Whether this is a version that was asked for: a managed 3.11.7 answers `3.11`, a system's does not, because
    /// every 3.11 would.
    pub fn answers(&self, asked: &Version) -> bool {
        match self.source {
            PythonSource::System => self.version == *asked,
            PythonSource::Managed(_) => self.version.release().starts_with(asked.release()),
        }
    }

    /// What its program is usually called: `python3.11`.
    pub fn program(&self) -> String {
        match self.version.release() {
            [major, minor, ..] => format!("python{major}.{minor}"),
            _ => "python3".to_owned(),
        }
    }

    /// The archive of a managed one.
    pub fn archive(&self) -> Option<&LockedArchive> {
        match &self.source {
            PythonSource::System => None,
            PythonSource::Managed(archive) => Some(archive),
        }
    }

    /// For people: `3.11`, or version and build of a managed one, `3.11.18+20261110`.
    pub fn label(&self) -> String {
        match self.archive().and_then(|archive| archive.build.as_ref()) {
            Some(build) => format!("{}+{build}", self.version),
            None => self.version.to_string(),
        }
    }

    /// How a target refers to its archive in the lock: implementation, version and the first digits of the digest.
    pub fn reference(&self, archive: &LockedArchive) -> String {
        format!(
            "{} {} {}",
            self.implementation,
            self.version,
            archive.sha256.short(12)
        )
    }
}
