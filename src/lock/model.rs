//! A model of a lock: what its id means, its weights, what it is for.

use std::fmt::Write as _;

use crate::about::About;
use crate::digest::Digest;
use crate::hub;
use crate::name::{EnvironmentName, ModelId};
use crate::numbers::{self, Record};

/// What a model id means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedModel {
    /// What users type.
    pub id: ModelId,
    /// The environment it runs in.
    pub environment: EnvironmentName,
    /// The argument of `setup`.
    pub argument: String,
    /// Extra keyword arguments of `setup`.
    pub setup: serde_json::Map<String, serde_json::Value>,
    /// Files it needs in the cache, as the manifest orders them.
    pub weights: Vec<LockedWeight>,
    /// What it is for.
    pub about: About,
    /// To what its recorded numbers belong, if there are any.
    pub reference: Option<Record>,
}

/// A weight file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedWeight {
    /// Where it is, from the manifest.
    pub url: String,
    /// Of a file of the hub, the commit that its revision meant.
    pub commit: Option<String>,
    /// Where it goes below the cache, with `/`.
    pub path: String,
    /// Its size in bytes, where it is known.
    pub size: Option<u64>,
    /// Its digest.
    pub sha256: Digest,
}

impl LockedWeight {
    /// The file of the hub at its commit, if it is one.
    pub fn hub_file(&self) -> Option<hub::File> {
        let file: hub::File = self.url.parse().ok()?;
        Some(file.at(self.commit.as_deref()?))
    }
}

impl LockedModel {
    /// The digest of all that decides what it computes beside its environment.
    pub fn identity(&self) -> Digest {
        let weights = self.weights.iter();
        let weights = weights.map(|weight| (weight.path.as_str(), &weight.sha256));
        numbers::identity(&self.argument, &self.setup, weights)
    }

    /// The digest of its weights: one line each, in order.
    pub fn digest(&self) -> Digest {
        let mut text = String::from("rootstock weights 1\n");
        for LockedWeight {
            url,
            commit,
            path,
            size,
            sha256,
        } in &self.weights
        {
            let size = size.map_or_else(|| "-".to_owned(), |size| size.to_string());
            let _ = write!(text, "weight {sha256} {size} {url} {path}");
            if let Some(commit) = commit {
                let _ = write!(text, " {commit}");
            }
            text.push('\n');
        }
        Digest::of(text)
    }
}
