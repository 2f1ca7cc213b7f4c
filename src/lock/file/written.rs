//! A lock as it stands in its text, nothing of it verified.

use std::collections::{BTreeMap, BTreeSet};

use pep508_rs::PackageName;
use serde::Deserialize;

use super::line;
use crate::digest::Digest;
use crate::name::{EnvironmentName, IndexName, ModelId};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Written {
    /// Always there; not in every piece of the text.
    pub(super) version: Option<u64>,
    #[serde(default)]
    pub(super) environment: Vec<WrittenEnvironment>,
    #[serde(default)]
    pub(super) models: BTreeMap<ModelId, WrittenModel>,
    #[serde(default)]
    pub(super) pythons: BTreeMap<String, WrittenArchive>,
    #[serde(default)]
    pub(super) files: BTreeMap<String, WrittenFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WrittenEnvironment {
    pub(super) name: EnvironmentName,
    pub(super) source: String,
    pub(super) source_sha256: Digest,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) keep: BTreeSet<String>,
    pub(super) resolver: String,
    pub(super) inputs: Digest,
    pub(super) question: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) target: Vec<WrittenTarget>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WrittenTarget {
    pub(super) name: String,
    pub(super) glibc: String,
    pub(super) implementation: String,
    pub(super) python: pep440_rs::Version,
    pub(super) python_source: WrittenSource,
    pub(super) soabi: String,
    pub(super) archive: Option<String>,
    pub(super) digest: Digest,
    pub(super) packages: Vec<String>,
    #[serde(default)]
    pub(super) build: BTreeMap<PackageName, Vec<String>>,
    #[serde(default)]
    pub(super) trees: BTreeMap<String, WrittenTree>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTree {
    pub(super) python: String,
    pub(super) tree: Digest,
    pub(super) digest: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WrittenSource {
    System,
    Managed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenArchive {
    pub(super) build: Option<String>,
    pub(super) url: String,
    pub(super) sha256: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenModel {
    pub(super) environment: EnvironmentName,
    pub(super) argument: String,
    #[serde(default)]
    pub(super) setup: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    pub(super) weights: Vec<WrittenWeight>,
    pub(super) digest: Option<Digest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenWeight {
    pub(super) url: String,
    pub(super) commit: Option<String>,
    pub(super) path: String,
    pub(super) size: Option<u64>,
    pub(super) sha256: Digest,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenFile {
    pub(super) index: Option<IndexName>,
    pub(super) url: Option<String>,
    pub(super) git: Option<String>,
    pub(super) commit: Option<String>,
    pub(super) subdirectory: Option<String>,
    pub(super) path: Option<String>,
    pub(super) file: String,
    pub(super) size: Option<u64>,
    pub(super) sha256: Digest,
}

#[derive(Deserialize)]
pub(super) struct Format {
    pub(super) version: u64,
}

/// `None` if the text cannot be cut, or a piece is not what it should be.
pub(super) fn in_pieces(text: &str) -> Option<Written> {
    const ENVIRONMENT: &str = "\n[[environment]]\n";
    const FILES: &str = "\n[files]\n";
    let (mut tables, files) = text.split_at(text.find(FILES)? + FILES.len());
    let mut whole = Written::default();
    while !tables.is_empty() {
        let next = tables.get(1..)?.find(ENVIRONMENT).map(|at| at + 1);
        let (piece, rest) = tables.split_at(next.unwrap_or(tables.len()));
        whole.extend(environments(piece)?)?;
        tables = rest;
    }
    for text in files.lines() {
        let (reference, file) = line::read(text)?;
        let before = whole.files.insert(reference.to_owned(), file);
        before.is_none().then_some(())?;
    }
    whole.version.map(|_| whole)
}

/// A piece without `[files]`, the lists of packages in it read by their lines.
fn environments(piece: &str) -> Option<Written> {
    let (tables, lists) = line::lists(piece)?;
    let mut written: Written = toml::from_str(&tables).ok()?;
    let mut lists = lists.into_iter();
    for target in written.environment.iter_mut().flat_map(|e| &mut e.target) {
        target.packages = lists.next()?;
    }
    lists.next().is_none().then_some(written)
}

impl Written {
    /// Reads the text as TOML: piece by piece, which takes a fraction of the memory and of the time, and reads the same.
    pub(super) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        match in_pieces(text) {
            Some(written) => Ok(written),
            // What is wrong with a text, and where, is found in it as a whole.
            None => toml::from_str(text),
        }
    }

    /// Takes over what another piece of the text says; `None` if both say it.
    fn extend(&mut self, other: Written) -> Option<()> {
        let Written {
            version,
            environment,
            models,
            pythons,
            files: _,
        } = other;
        let once = (self.version.is_none() || version.is_none())
            && (self.models.is_empty() || models.is_empty())
            && (self.pythons.is_empty() || pythons.is_empty());
        self.version = self.version.or(version);
        self.environment.extend(environment);
        self.models.extend(models);
        self.pythons.extend(pythons);
        once.then_some(())
    }
}
