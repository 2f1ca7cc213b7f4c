//! A lock as it stands in its text, nothing of it verified.

use std::collections::{BTreeMap, BTreeSet};

use pep508_rs::PackageName;
use serde::Deserialize;

use crate::about::{About, Dtype};
use crate::digest::Digest;
use crate::name::{EnvironmentName, IndexName, ModelId};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Written {
    pub(super) version: u64,
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
    #[serde(default)]
    pub(super) functions: BTreeSet<String>,
    pub(super) bytecode: Option<WrittenBytecode>,
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

/// The default is not written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WrittenBytecode {
    All,
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
    #[serde(default)]
    pub(super) about: About,
    pub(super) reference: Option<WrittenRecord>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenRecord {
    pub(super) path: String,
    pub(super) sha256: Digest,
    pub(super) target: String,
    pub(super) answer: Digest,
    pub(super) generation: String,
    pub(super) model: Digest,
    pub(super) weights: Digest,
    pub(super) dtype: Dtype,
    pub(super) conditions: BTreeMap<String, String>,
    pub(super) digest: Digest,
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

#[derive(Deserialize)]
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
