//! What was decided: every file of every environment, for every target, with the digests that hold it together.
//!
//! The text of `rootstock.lock` is specified in [`file`]; whether it still answers a manifest is [`drift`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::PackageName;

use crate::digest::Digest;
use crate::name::{EnvironmentName, IndexName};
use crate::target::Target;

pub mod beside;
pub(crate) mod changes;
pub mod drift;
pub mod file;
mod question;
mod record;
mod report;
mod interned;
mod model;
mod python;

pub use crate::manifest::Bytecode;
pub use interned::InternedPackage;
pub use model::{LockedModel, LockedWeight};
pub use python::{LockedArchive, LockedPython, PythonSource};
pub use question::question;
pub use record::RecordedTree;
pub use report::{Diff, Failed, Report};

/// A whole lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Every environment, sorted by name.
    pub environments: Vec<LockedEnvironment>,
    /// Every model, sorted by id.
    pub models: Vec<LockedModel>,
}

/// One environment: what was asked, and the answer for each target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedEnvironment {
    /// Its name.
    pub name: EnvironmentName,
    /// Its source file.
    pub source: LockedSource,
    /// Variables its workers run with, placeholders unexpanded.
    pub variables: BTreeMap<String, String>,
    /// Variables they inherit beside the usual ones: names, or beginnings of names with a `*` behind them.
    pub keep: BTreeSet<String>,
    /// What can be called in it, `MODULE:NAME`, as its manifest documents it.
    pub functions: BTreeSet<String>,
    /// Which modules of its packages are compiled.
    pub bytecode: Bytecode,
    /// What was asked of the resolver, in normal form.
    pub question: Question,
    /// The resolver that answered, with its version: `uv 0.13.9`.
    pub resolver: String,
    /// Digest of question and resolver, see [`LockedEnvironment::asked`].
    pub inputs: Digest,
    /// The answers, sorted by target name.
    pub targets: Vec<LockedTarget>,
}

/// The file with `setup()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedSource {
    /// Its path relative to the manifest, with `/`.
    pub path: String,
    /// Digest of its bytes.
    pub sha256: Digest,
}

/// What was asked of the resolver, in normal form: each key with its values, both sorted. Two manifests that differ
/// only in order, spelling or comments ask the same question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question(pub BTreeMap<String, Vec<String>>);

impl Question {
    /// The values of a key; none if it was not asked.
    pub fn values(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }
}

/// The answer for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedTarget {
    /// The machine it is for.
    pub target: Target,
    /// The interpreter it is for.
    pub python: LockedPython,
    /// Every package, sorted by name.
    pub packages: Vec<InternedPackage>,
    /// For each source distribution among them, every package that building it takes, sorted by name.
    pub builds: BTreeMap<PackageName, Vec<InternedPackage>>,
    /// Digest of the answer, see [`LockedEnvironment::answer`].
    pub digest: Digest,
    /// The tree that was built from this answer, by the generation's id: one for each interpreter on which it was
    /// recorded. Not part of the answer.
    pub trees: BTreeMap<String, RecordedTree>,
}

impl LockedTarget {
    /// Every package of it, those that only building takes too.
    pub fn files(&self) -> impl Iterator<Item = &InternedPackage> {
        self.packages.iter().chain(self.builds.values().flatten())
    }
}

/// How a package is distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// A built distribution (`.whl`).
    Wheel,
    /// A source distribution, built by `sync`.
    Source,
}

impl Distribution {
    /// That of a file of this name.
    pub fn of(file: &str) -> Self {
        if extension(file).is_some_and(|e| e.eq_ignore_ascii_case("whl")) {
            Distribution::Wheel
        } else {
            Distribution::Source
        }
    }
}

fn extension(file: &str) -> Option<&str> {
    file.rsplit_once('.').map(|(_, extension)| extension)
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// Its normalised name (PEP 503).
    pub name: PackageName,
    /// Its version (PEP 440).
    pub version: Version,
    /// Where the file comes from.
    pub origin: Origin,
    /// The name of the file; a directory or a repository is locked as the archive that is made of it (`.tar`).
    pub file: String,
    /// Its size in bytes, where the index has it.
    pub size: Option<u64>,
    /// Its digest.
    pub sha256: Digest,
}

/// Where a package's file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An index; `None` is the default index.
    Index(Option<IndexName>),
    /// An address.
    Url {
        /// The address, without credentials and fragment.
        url: String,
        /// Where in the archive the project is.
        subdirectory: Option<String>,
    },
    /// A commit of a repository, as an archive of its files.
    Git {
        /// The repository's address.
        url: String,
        /// The commit, in full.
        commit: String,
        /// Where in it the project is.
        subdirectory: Option<String>,
    },
    /// A file, or a directory as an archive of its files.
    Path {
        /// The path relative to the manifest: `./libs/a`.
        path: String,
        /// Where in it the project is.
        subdirectory: Option<String>,
    },
}

impl Origin {
    /// The index, if the file comes from one that is not the default index.
    pub fn index(&self) -> Option<&IndexName> {
        match self {
            Origin::Index(index) => index.as_ref(),
            _ => None,
        }
    }

    /// Where in its files the project is, if not at their top.
    pub fn subdirectory(&self) -> Option<&str> {
        match self {
            Origin::Index(_) => None,
            Origin::Url { subdirectory, .. }
            | Origin::Path { subdirectory, .. }
            | Origin::Git { subdirectory, .. } => subdirectory.as_deref(),
        }
    }
}

/// For people, and the end of a package's line in the answer.
impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Index(None) => write!(out, "the default index"),
            Origin::Index(Some(index)) => write!(out, "index {index}"),
            Origin::Url { url, .. } => write!(out, "url {url}"),
            Origin::Path { path, .. } => write!(out, "path {path}"),
            Origin::Git { url, commit, .. } => write!(out, "git {url} {commit}"),
        }?;
        match self.subdirectory() {
            Some(subdirectory) => write!(out, " {subdirectory}"),
            None => Ok(()),
        }
    }
}

impl LockedPackage {
    /// Wheel or source, by the file's name.
    pub fn distribution(&self) -> Distribution {
        Distribution::of(&self.file)
    }

    /// Whether it is locked as the archive of a directory's or a repository's files.
    pub fn is_tree(&self) -> bool {
        extension(&self.file) == Some("tar")
    }
}

impl LockedEnvironment {
    /// The question, and who answered it, as a canonical text. Its digest is `inputs`.
    pub fn asked(&self) -> String {
        let mut text = format!("rootstock question 1\nresolver {}\n", self.resolver);
        for (key, values) in &self.question.0 {
            for value in values {
                let _ = writeln!(text, "{key} {value}");
            }
        }
        text
    }

    /// The answer for a target as a canonical text: everything that decides a build, one line each. Its digest is the
    /// environment's digest; `status` and a person can read what was hashed.
    pub fn answer(&self, target: &LockedTarget) -> String {
        let LockedTarget {
            target: Target {
                architecture,
                glibc,
            },
            python,
            packages,
            builds,
            digest: _,
            trees: _,
        } = target;
        let LockedPython {
            implementation,
            version,
            source,
            soabi,
        } = python;
        let mut text = String::from("rootstock answer 1\n");
        let _ = writeln!(text, "target linux-{} glibc {glibc}", architecture.as_str());
        let _ = write!(text, "python {implementation} {version} {soabi} ");
        let _ = match source {
            PythonSource::System => writeln!(text, "system"),
            PythonSource::Managed(LockedArchive { build, url, sha256 }) => {
                let build = build.as_deref().unwrap_or("-");
                writeln!(text, "managed {build} {url} {sha256}")
            }
        };
        let _ = writeln!(text, "source {}", self.source.sha256);
        if self.bytecode != Bytecode::default() {
            let _ = writeln!(text, "bytecode {}", self.bytecode.as_str());
        }
        for package in packages {
            text.push_str(package.answer());
        }
        for (name, requirements) in builds {
            let _ = writeln!(text, "build {name}");
            for package in requirements {
                text.push_str(package.answer());
            }
        }
        text
    }

    /// The versions of Python that the answers are for.
    pub fn requires_python(&self) -> Option<VersionSpecifiers> {
        let [specifiers] = self.question.values("requires-python") else {
            return None;
        };
        specifiers.parse().ok()
    }

    /// The answer for this target, if the lock has one.
    pub fn target(&self, name: &str) -> Option<&LockedTarget> {
        self.targets.iter().find(|t| t.target.name() == name)
    }
}

impl Lock {
    /// The environment of this name.
    pub fn environment(&self, name: &EnvironmentName) -> Option<&LockedEnvironment> {
        self.environments.iter().find(|e| e.name == *name)
    }
}
