//! Which models' `setup()` has to be called once so that what it downloads is in the cache. Calls nothing.

use std::borrow::Cow;

use super::{NoTarget, Request, target};
use crate::about::About;
use crate::digest::Digest;
use crate::lock::{Lock, LockedEnvironment, LockedModel, LockedTarget};
use crate::name::EnvironmentName;
use crate::store::Disk;
use crate::store::prefetched::{CachedFile, Prefetched};

/// A model whose `setup()` has to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefetchStep<'a> {
    /// The model; or an environment without models, as the model of its name.
    pub model: Cow<'a, LockedModel>,
    /// Digest of all that decides what `setup()` does.
    pub key: Digest,
    /// Why that is needed.
    pub because: PrefetchReason,
    /// What it left the last time that the same was called: it must leave the same again.
    pub expected: Option<Vec<CachedFile>>,
}

impl PrefetchStep<'_> {
    /// Whether it is an environment without models that is loaded.
    pub fn is_environment(&self) -> bool {
        self.model.argument.is_empty() && self.model.id.as_str() == self.model.environment.as_str()
    }
}

/// Why a model's `setup()` has to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrefetchReason {
    /// It never was.
    Never,
    /// Its environment, argument or variables are others now.
    Outdated,
    /// A file it left is not there any more.
    Missing(String),
    /// A file it left is another one now.
    Changed(String),
}

impl std::fmt::Display for PrefetchReason {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PrefetchReason::Never => out.write_str("its `setup()` was not called yet"),
            PrefetchReason::Outdated => out.write_str("its environment or arguments have changed"),
            PrefetchReason::Missing(path) => write!(out, "`{path}` is not there any more"),
            PrefetchReason::Changed(path) => write!(out, "`{path}` has changed"),
        }
    }
}

/// What chosen environments load that the manifest names no weights for: their models, or, where an environment has none,
/// itself with an empty argument, as a worker would load it by the environment's name.
pub fn prefetched_of<'a>(
    lock: &'a Lock,
    environments: &[EnvironmentName],
) -> impl Iterator<Item = Cow<'a, LockedModel>> {
    let wanted = |model: &&LockedModel| {
        model.weights.is_empty() && environments.contains(&model.environment)
    };
    let models = lock.models.iter().filter(wanted).map(Cow::Borrowed);
    let without_models = lock.environments.iter().filter(|environment| {
        let named = |model: &LockedModel| {
            model.environment == environment.name || model.id.as_str() == environment.name.as_str()
        };
        environments.contains(&environment.name) && !lock.models.iter().any(named)
    });
    let themselves = without_models.filter_map(|environment| {
        Some(Cow::Owned(LockedModel {
            id: environment.name.as_str().parse().ok()?,
            environment: environment.name.clone(),
            argument: String::new(),
            setup: serde_json::Map::new(),
            weights: Vec::new(),
            about: About::default(),
            reference: None,
        }))
    });
    models.chain(themselves)
}

/// Those whose `setup()` has to be called.
pub(super) fn steps<'a>(
    lock: &'a Lock,
    request: &Request,
    disk: &Disk,
) -> Result<Vec<PrefetchStep<'a>>, NoTarget> {
    let mut steps = Vec::new();
    for model in prefetched_of(lock, request.prefetch) {
        let Some(environment) = lock.environment(&model.environment) else {
            continue;
        };
        let key = prefetch_key(environment, target(environment, request.target)?, &model);
        let there = disk.prefetched.get(&model.id);
        if let Some(because) = prefetch_reason(&key, there) {
            let same = there.filter(|there| there.record.key == key);
            steps.push(PrefetchStep {
                model,
                key,
                because,
                expected: same.map(|there| there.record.files.clone()),
            });
        }
    }
    Ok(steps)
}

/// Why a model's `setup()` has to be called, given what is on record of it; `None` if it need not be.
pub fn prefetch_reason(key: &Digest, there: Option<&Prefetched>) -> Option<PrefetchReason> {
    let Some(Prefetched { record, found }) = there else {
        return Some(PrefetchReason::Never);
    };
    if record.key != *key {
        return Some(PrefetchReason::Outdated);
    }
    record.files.iter().find_map(|file| {
        let path = || file.path.clone();
        match found.get(&file.path) {
            None => Some(PrefetchReason::Missing(path())),
            Some(found) => {
                let same = found.size == file.size
                    && found.sha256.is_none_or(|sha256| sha256 == file.sha256);
                (!same).then(|| PrefetchReason::Changed(path()))
            }
        }
    })
}

/// Digest of everything that decides what a call of `setup()` does, as far as we know.
pub fn prefetch_key(
    environment: &LockedEnvironment,
    target: &LockedTarget,
    model: &LockedModel,
) -> Digest {
    let setup = serde_json::to_string(&model.setup).expect("JSON is JSON");
    let variables = serde_json::to_string(&environment.variables).expect("texts are JSON");
    Digest::of(format!(
        "rootstock prefetch 1\nenvironment {}\nargument {}\nsetup {setup}\nvariables {variables}\n",
        target.digest, model.argument
    ))
}
