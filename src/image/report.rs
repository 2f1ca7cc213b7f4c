//! What is reported of an image that was made.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::contents::Base;
use super::{Image, Packed};
use crate::digest::Digest;
use crate::name::{EnvironmentName, ModelId};
use crate::report::{bytes, counted, line};

/// An image that was made.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    image: PathBuf,
    sha256: Digest,
    bytes: u64,
    id: String,
    target: String,
    environments: Vec<Environment>,
    models: Vec<ModelId>,
    unpacked: Unpacked,
}

#[derive(Debug, Serialize)]
struct Unpacked {
    files: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Environment {
    name: EnvironmentName,
    id: String,
    tree: Digest,
    python: Base,
}

impl Report {
    /// The report about this file.
    pub(crate) fn of(path: &Path, image: &Image, packed: Packed) -> Self {
        let contents = &image.contents;
        let environments = contents.environments.iter();
        let environments = environments.map(|(name, environment)| Environment {
            name: name.clone(),
            id: environment.id.clone(),
            tree: environment.tree,
            python: environment.python.clone(),
        });
        Self {
            image: path.to_owned(),
            sha256: packed.sha256,
            bytes: packed.size,
            id: contents.id(),
            target: contents.target.clone(),
            environments: environments.collect(),
            models: contents.catalogue.models.keys().cloned().collect(),
            unpacked: Unpacked {
                files: image.totals.files,
                bytes: image.totals.bytes,
            },
        }
    }
}

impl Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.environments.iter().map(|e| e.name.as_str());
        let text = format!(
            "`{}`: {}, {}, for {}: {}, {} packed to {}",
            self.image.display(),
            names.collect::<Vec<_>>().join(", "),
            counted(self.models.len(), "model"),
            self.target,
            counted(
                usize::try_from(self.unpacked.files).unwrap_or(usize::MAX),
                "file"
            ),
            bytes(self.unpacked.bytes),
            bytes(self.bytes),
        );
        line(out, text)?;
        line(out, format_args!("sha256 {}", self.sha256))
    }
}
