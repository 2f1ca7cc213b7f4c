//! `models.json`: what each model id means in a root, so that workers need neither manifest nor lock.
//!
//! Written by `sync` as a whole, by rename; derived from the lock alone. It names no generation: a worker resolves the
//! environment's link itself, once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::about::About;
use crate::digest::Digest;
use crate::files;
use crate::name::{EnvironmentName, ModelId};
use crate::numbers::Record;

/// The schema this version writes and reads.
pub(crate) const SCHEMA: u32 = 1;

/// Models and environments of a root.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Catalogue {
    /// Version of this format.
    pub schema: u32,
    /// Where the root's cache is, if not in the root: a command that is given only the root finds it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// Environments by name.
    pub environments: BTreeMap<EnvironmentName, CatalogueEnvironment>,
    /// Models by id.
    pub models: BTreeMap<ModelId, CatalogueModel>,
}

/// What workers of an environment need beside its directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CatalogueEnvironment {
    /// Variables its workers run with; may hold `{root}`, `{cache}`, `{env}` and `{user-cache}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Variables they inherit beside the usual ones: names, or beginnings of names with a `*` behind them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keep: BTreeSet<String>,
    /// What can be called in it, `MODULE:NAME`, as its manifest documents it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub functions: BTreeSet<String>,
}

/// What a model id means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueModel {
    /// The environment it runs in.
    pub environment: EnvironmentName,
    /// The argument of `setup`.
    pub argument: String,
    /// Extra keyword arguments of `setup`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub setup: serde_json::Map<String, serde_json::Value>,
    /// Files of the cache it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<CatalogueWeight>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "About::is_empty")]
    pub about: About,
    /// To what its recorded numbers belong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Record>,
}

/// A file of the cache, as the lock has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueWeight {
    /// Where it lies below the cache, with `/`.
    pub path: String,
    /// Its size in bytes, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its digest.
    pub sha256: Digest,
}

/// The catalogue of a root could not be read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// The file itself.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// Its content.
    #[error("`{path}` is not a catalogue of models: {source}")]
    #[diagnostic(help(
        "an older rootstock has written it, or it was edited: run `rootstock sync`, which writes it again"
    ))]
    Broken {
        /// The path of the file, as text.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A later rootstock wrote it.
    #[diagnostic(help("use the rootstock that wrote it or a newer one"))]
    #[error("`{path}` was written by a newer rootstock (schema {schema}, this one knows {SCHEMA})")]
    Newer {
        /// The path of the file, as text.
        path: String,
        /// Its schema.
        schema: u32,
    },
}

/// The part that every version of the file has.
#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

impl Catalogue {
    /// The catalogue in this file; `None` if nothing was synced here yet.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let Some(text) = files::read_text_if_present(path)? else {
            return Ok(None);
        };
        let path = path.display().to_string();
        let broken = |source| Error::Broken {
            path: path.clone(),
            source,
        };
        let Schema { schema } = strict_json::from_str(&text).map_err(broken)?;
        if schema > SCHEMA {
            return Err(Error::Newer { path, schema });
        }
        Ok(Some(strict_json::from_str(&text).map_err(broken)?))
    }

    /// The catalogue as it is written.
    pub(crate) fn text(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("a catalogue has only plain fields");
        text.push('\n');
        text
    }
}
