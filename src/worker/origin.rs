//! The origin of a model's numbers, to be stored with them: environment, generation and digests of the weights.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::files;
use crate::runtime::Selected;
use crate::store::{Catalogue, Root, prefetched, weights};

/// The origin of a number.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Origin {
    environment: String,
    /// The generation's id.
    generation: String,
    /// The sha256 of each weight file, by its path below the cache or the path of a user's own file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    weights_sha256: BTreeMap<String, String>,
}

impl Origin {
    /// The origin of a selected model. Reads no large file except a user's own weights.
    pub(crate) fn of(root: &Root, selected: &Selected) -> files::Result<Self> {
        let id = selected.generation.file_name().unwrap_or_default();
        Ok(Self {
            environment: selected.environment.to_string(),
            generation: id.to_string_lossy().into_owned(),
            weights_sha256: match &selected.weights {
                Some(path) => {
                    let digest = weights::digest(path)?.to_string();
                    BTreeMap::from([(path.display().to_string(), digest)])
                }
                None => digests(root, selected)?,
            },
        })
    }
}

/// Digests of the files that the lock names, or of those that `setup()` has fetched.
fn digests(root: &Root, selected: &Selected) -> files::Result<BTreeMap<String, String>> {
    let Ok(Some(catalogue)) = Catalogue::read(&root.models()) else {
        return Ok(BTreeMap::new());
    };
    let mut models = catalogue.models.iter().filter(|(_, model)| {
        model.environment == selected.environment && model.argument == selected.argument
    });
    let Some((id, model)) = models.next() else {
        return Ok(BTreeMap::new());
    };
    let locked = model.weights.iter();
    let mut digests: BTreeMap<_, _> = locked
        .map(|weight| (weight.path.clone(), weight.sha256.to_string()))
        .collect();
    if let Some(left) = prefetched::read(root, id, false)? {
        let left = left.record.files.into_iter();
        digests.extend(left.map(|file| (file.path, file.sha256.to_string())));
    }
    Ok(digests)
}
