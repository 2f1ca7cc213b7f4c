//! A bundle: everything that a `sync` would download, in a directory that can be carried to where there is no network.
//! Downloads nothing.
//!
//! ```text
//! {bundle}/
//! ├── rootstock-bundle.json           written last: what is in it (see `Index`)
//! ├── rootstock.toml  rootstock.lock  environments/…
//! ├── store/archives/<sha256>         files of packages, archives with interpreters, each once
//! ├── cache/<path>                    weights, and what `setup()` of a model without weights left
//! └── prefetched/<model>.json         the records of the latter
//! ```
//!
//! Files lie where a root has them, so that what fills a root fills a bundle. They are not trusted: the digest of a
//! file that is taken from a bundle is compared with that of the lock.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::prefetched::{self, Record};
use super::{Root, weights};
use crate::digest::Digest;
use crate::files;
use crate::name::{EnvironmentName, ModelId};

/// The name of the index.
pub const INDEX: &str = "rootstock-bundle.json";

/// The schema this version writes and reads.
pub const SCHEMA: u32 = 1;

/// What a bundle has: `rootstock-bundle.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Version of this format.
    pub schema: u32,
    /// The machine types it is for.
    pub targets: Vec<String>,
    /// The environments it is for.
    pub environments: Vec<EnvironmentName>,
    /// Every file that a `sync` takes from it, sorted by path.
    pub files: Vec<Entry>,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it is, below the bundle.
    pub path: String,
    /// What it is: the published name of a package's file, an interpreter, a weight file.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// A directory cannot be used as a bundle.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It has no index.
    #[error("`{}` is not a bundle: it has no `{INDEX}`", .0.display())]
    #[diagnostic(help(
        "make one with `rootstock bundle -o DIR`; it writes that file last, when everything else is there"
    ))]
    None(PathBuf),
    /// Its index cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    #[diagnostic(help("make the bundle again with `rootstock bundle -o DIR`"))]
    Broken {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A later rootstock made it.
    #[error("`{}` was made by a newer rootstock (schema {schema}, this one knows {SCHEMA})", path.display())]
    #[diagnostic(help("use the rootstock that made it or a newer one"))]
    Newer {
        /// The bundle.
        path: PathBuf,
        /// Its schema.
        schema: u32,
    },
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// The part that every version of the index has.
#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

/// A finished bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    root: Root,
    /// What it lists.
    pub index: Index,
}

impl Bundle {
    /// The bundle in this directory.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let index = path.join(INDEX);
        let Some(text) = files::read_text_if_present(&index)? else {
            return Err(Error::None(path.to_owned()));
        };
        let broken = |source| Error::Broken {
            path: index.clone(),
            source,
        };
        let Schema { schema } = strict_json::from_str(&text).map_err(broken)?;
        if schema > SCHEMA {
            let path = path.to_owned();
            return Err(Error::Newer { path, schema });
        }
        Ok(Self {
            root: as_root(path),
            index: strict_json::from_str(&text).map_err(broken)?,
        })
    }

    /// The file of a package, or the archive with an interpreter, of this digest, if it is there.
    pub fn archive(&self, sha256: &Digest) -> Option<PathBuf> {
        let path = self.root.archive(sha256);
        files::exists(&path).then_some(path)
    }

    /// What a model's `setup()` left elsewhere when it was called for this key, if every file of it is there.
    pub fn prefetched(&self, model: &ModelId, key: &Digest) -> files::Result<Option<Record>> {
        let there = prefetched::read(&self.root, model, false)?;
        let answers = there.filter(|there| there.record.key == *key && there.gone().is_none());
        Ok(answers.map(|there| there.record))
    }

    /// Its directory, which has the shape of a root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The weight file of this path below the cache, if it is there.
    pub fn weight(&self, path: &str) -> Option<PathBuf> {
        let path = weights::path(&self.root, path);
        files::exists(&path).then_some(path)
    }
}

/// The directory as a root to fill: a bundle has the shape of one.
pub fn as_root(path: &Path) -> Root {
    Root::at(path, None)
}

impl Index {
    /// The index as it is written.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("an index has only plain fields");
        text.push('\n');
        text
    }
}
