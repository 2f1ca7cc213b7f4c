//! What has to be known of a root before a plan can be made, as the lock has it. No input, no output.

use std::collections::BTreeMap;

use super::{Request, prefetched_of};
use crate::hub;
use crate::lock::{Lock, LockedModel, LockedWeight};
use crate::name::EnvironmentName;
use crate::store::Needs;

/// What has to be looked at in a root to plan for this request.
pub fn needs(lock: &Lock, request: &Request) -> Needs {
    let prefetched = prefetched_of(lock, request.prefetch);
    Needs {
        environments: request.environments.to_vec(),
        prefetched: prefetched.map(|model| model.id.clone()).collect(),
        ..cache_needs(lock, request.environments)
    }
}

/// What has to be looked at in a cache alone, for models of these environments.
pub fn cache_needs(lock: &Lock, chosen: &[EnvironmentName]) -> Needs {
    let weights = weights_of(lock, chosen).into_iter();
    Needs {
        weights: weights.map(|(_, weight)| weight.path.clone()).collect(),
        references: references_of(lock, chosen).into_keys().collect(),
        ..Needs::default()
    }
}

/// The weight files of the models of chosen environments, each once.
pub fn weights_of<'a>(
    lock: &'a Lock,
    chosen: &[EnvironmentName],
) -> Vec<(&'a LockedModel, &'a LockedWeight)> {
    let models = lock
        .models
        .iter()
        .filter(|model| chosen.contains(&model.environment));
    let mut files: Vec<(&LockedModel, &LockedWeight)> = Vec::new();
    for (model, weight) in
        models.flat_map(|model| model.weights.iter().map(move |weight| (model, weight)))
    {
        if files.iter().all(|(_, known)| known.path != weight.path) {
            files.push((model, weight));
        }
    }
    files
}

/// What has to stand in a cache for the hub's library to find the weight files of chosen environments by a revision: by
/// path, the commit.
///
/// A library that is asked for no revision looks for `main`. So a repository of which the lock knows only one commit has
/// that one there; where it knows several, `main` is the manifest's revision, or nothing: an error is better than the
/// wrong model.
pub fn references_of(lock: &Lock, chosen: &[EnvironmentName]) -> BTreeMap<String, String> {
    let mut references = BTreeMap::new();
    let mut commits: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut wanted: Vec<String> = Vec::new();
    for model in &lock.models {
        for weight in &model.weights {
            let (Ok(asked), Some(file)) = (weight.url.parse::<hub::File>(), weight.hub_file())
            else {
                continue;
            };
            // One that goes elsewhere is not looked for there.
            if file.snapshot() != weight.path {
                continue;
            }
            let commit = weight.commit.as_deref().unwrap_or_default();
            if asked.commit().is_none() {
                references.insert(file.reference(asked.revision()), commit.to_owned());
            }
            if chosen.contains(&model.environment) {
                wanted.push(file.reference(""));
            }
            let known = commits.entry(file.reference("main")).or_default();
            if !known.contains(&commit) {
                known.push(commit);
            }
        }
    }
    for (main, commits) in commits {
        if let [commit] = commits[..] {
            references.entry(main).or_insert_with(|| commit.to_owned());
        }
    }
    references.retain(|path, _| wanted.iter().any(|below| path.starts_with(below)));
    references
}
