//! From the answers of single environments to the whole lock: what has none stays as it was before.

use std::collections::BTreeMap;

use super::Failure;
use crate::lock::{Lock, LockedEnvironment, LockedModel};
use crate::manifest::Manifest;
use crate::name::EnvironmentName;

/// What could be decided.
#[derive(Debug)]
pub struct Resolved {
    /// The lock.
    pub lock: Lock,
    /// What it does not answer, and why. Of these it has what the old lock had.
    pub failures: Vec<Failure>,
}

/// The answers by environment.
pub(super) type Answers<'a> = BTreeMap<&'a EnvironmentName, Result<LockedEnvironment, Failure>>;

/// The whole lock, its models from `models`.
pub(super) fn lock(
    manifest: &Manifest,
    old: Option<&Lock>,
    only: Option<&[EnvironmentName]>,
    answers: Answers,
    models: impl FnOnce(&[LockedEnvironment], &mut Vec<Failure>) -> Vec<LockedModel>,
) -> Resolved {
    let (mut environments, mut failures) = (Vec::new(), Vec::new());
    let as_before = |name: &EnvironmentName, environments: &mut Vec<LockedEnvironment>| {
        environments.extend(old.and_then(|old| old.environment(name)).cloned());
    };
    for (name, answer) in answers {
        match answer {
            Ok(mut environment) => {
                if let Some(old) = old.and_then(|old| old.environment(name)) {
                    environment.keep_recorded(old);
                }
                environments.push(environment);
            }
            Err(failure) => {
                failures.push(failure);
                as_before(name, &mut environments);
            }
        }
    }
    if let Some(only) = only {
        let others = old.iter().flat_map(|old| &old.environments);
        for other in others.filter(|other| !only.contains(&other.name)) {
            as_before(&other.name, &mut environments);
        }
    }
    environments.sort_by(|a, b| a.name.cmp(&b.name));
    let mut models = models(&environments, &mut failures);
    if let Some(only) = only {
        // A model that the manifest no longer has goes with its environment.
        let known = |model: &&LockedModel| models.iter().any(|known| known.id == model.id);
        let declared = |model: &LockedModel| manifest.models.iter().any(|m| m.id == model.id);
        let others = old.iter().flat_map(|old| &old.models);
        let stay: Vec<LockedModel> = others
            .filter(|model| !known(model))
            .filter(|model| declared(model) || !only.contains(&model.environment))
            .cloned()
            .collect();
        models.extend(stay);
    }
    models.sort_by(|a, b| a.id.cmp(&b.id));
    Resolved {
        lock: Lock {
            environments,
            models,
        },
        failures,
    }
}
