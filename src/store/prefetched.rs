//! `prefetched/<model>.json`: what a model's `setup()` left in the cache when `sync` called it, and whether that is
//! still there. One file for each model, so that two syncs never overwrite each other's. Calls nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Root;
use super::weights::{self, Found};
use crate::digest::Digest;
use crate::files;
use crate::name::ModelId;

/// The schema this version writes and reads.
pub(crate) const SCHEMA: u32 = 1;

/// What a call of `setup()` left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format.
    pub schema: u32,
    /// Digest of all that decides what `setup()` does.
    pub key: Digest,
    /// The files, sorted by path. None if the packages carry all the model needs.
    pub files: Vec<CachedFile>,
}

/// A file in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedFile {
    /// Where it lies below the cache, with `/`.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// A record, and what is there of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefetched {
    /// The record.
    pub record: Record,
    /// Its files that are there, by path.
    pub found: BTreeMap<String, Found>,
}

impl Prefetched {
    /// The first of its files that is not there.
    pub(crate) fn gone(&self) -> Option<&str> {
        let files = self.record.files.iter().map(|file| file.path.as_str());
        files
            .into_iter()
            .find(|path| !self.found.contains_key(*path))
    }
}

/// Where a model's record lies.
pub(crate) fn path(root: &Root, model: &ModelId) -> PathBuf {
    let name = format!("{model}.json");
    root.prefetched().join(name)
}

/// The record of a model with what is there of its files, which are read only if `deep`. A record that cannot be read,
/// or was written by a later rootstock, is none: `setup()` is called again.
pub(crate) fn read(root: &Root, model: &ModelId, deep: bool) -> files::Result<Option<Prefetched>> {
    let text = match files::read_text_if_present(&path(root, model)) {
        Err(error) if error.is_unfit() => None,
        text => text?,
    };
    let Some(text) = text else {
        return Ok(None);
    };
    let Ok(record) = strict_json::from_str::<Record>(&text) else {
        return Ok(None);
    };
    if record.schema != SCHEMA {
        return Ok(None);
    }
    let paths = record.files.iter().map(|file| file.path.as_str());
    let found = weights::read(root, paths, deep)?;
    Ok(Some(Prefetched { record, found }))
}

/// Writes the record of a model.
pub(crate) fn write(root: &Root, model: &ModelId, record: &Record) -> files::Result<()> {
    let path = path(root, model);
    files::create_directories(path.parent().unwrap_or(root.path()))?;
    let mut text = serde_json::to_string_pretty(record).expect("a record has only plain fields");
    text.push('\n');
    files::write_atomically(&path, text.as_bytes())
}
