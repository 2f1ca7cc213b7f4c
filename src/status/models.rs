//! The state of a model: that of its environment, and whether its files are there. Reads only.

use super::{EnvironmentStatus, ModelStatus, Subject};
use crate::lock::LockedModel;
use crate::manifest::Model;
use crate::plan::{self, PrefetchReason};
use crate::store::verified::{self, Verified};
use crate::store::{Root, prefetched, weights};

/// A model has the state of its environment, or is missing if that is fresh and one of its files is not there.
pub(super) fn status(
    subject: &Subject,
    environments: &[EnvironmentStatus],
    model: &Model,
) -> ModelStatus {
    let environment = environments.iter().find(|e| e.name == model.environment);
    let state = environment.map_or("missing", |environment| environment.state);
    let reason = (state == "fresh")
        .then(|| missing(subject, model))
        .flatten();
    ModelStatus {
        id: model.id.clone(),
        environment: model.environment.clone(),
        argument: model.argument.clone(),
        state: if reason.is_some() { "missing" } else { state },
        reason,
        about: model.about.clone(),
        verified: verified(subject, environment, model),
    }
}

/// Comparisons of its current generation with its recorded numbers.
fn verified(
    subject: &Subject,
    environment: Option<&EnvironmentStatus>,
    model: &Model,
) -> Vec<Verified> {
    let locked = subject.lock.iter().flat_map(|lock| &lock.models);
    let locked = locked.into_iter().find(|locked| locked.id == model.id);
    let record = locked.and_then(|locked| locked.reference.as_ref());
    let stamp = environment.and_then(|environment| environment.current.as_ref());
    let (Some(record), Some(stamp)) = (record, stamp) else {
        return Vec::new();
    };
    let mut verified = verified::read(subject.root, &model.id);
    verified.retain(|one| one.generation == stamp.id && one.reference == record.sha256);
    verified
}

/// The first of its files that is not there.
fn missing(subject: &Subject, model: &Model) -> Option<String> {
    let mut models = subject.lock?.models.iter();
    let locked = models.find(|locked| locked.id == model.id)?;
    absent(locked, subject.root).or_else(|| not_loaded(locked, subject))
}

/// The first of its weight files that is missing or has another size.
fn absent(model: &LockedModel, root: &Root) -> Option<String> {
    model.weights.iter().find_map(|weight| {
        let path = &weight.path;
        let found = weights::read(root, std::iter::once(path.as_str()), false).unwrap_or_default();
        match (found.get(path), weight.size) {
            (None, _) => Some(format!("its weights `{path}` are not fetched")),
            (Some(found), Some(size)) if found.size != size => {
                Some(format!("its weights `{path}` are not the locked file"))
            }
            _ => None,
        }
    })
}

/// Why `sync` has to load a model that has no weights in the lock, where the manifest allows it.
fn not_loaded(model: &LockedModel, subject: &Subject) -> Option<String> {
    let declared = subject.manifest.environment(&model.environment);
    if !model.weights.is_empty() || !declared.is_some_and(|environment| environment.prefetch) {
        return None;
    }
    let environment = subject.lock?.environment(&model.environment)?;
    let target = plan::target(environment, subject.target).ok()?;
    let key = plan::prefetch_key(environment, target, model);
    // A record that cannot be read is none.
    let there = prefetched::read(subject.root, &model.id, false)
        .ok()
        .flatten();
    Some(match plan::prefetch_reason(&key, there.as_ref())? {
        PrefetchReason::Missing(path) => {
            format!("`{path}`, which it needs, is missing")
        }
        PrefetchReason::Changed(path) => format!("`{path}`, which it needs, has changed"),
        reason @ (PrefetchReason::Never | PrefetchReason::Outdated) => {
            format!("{reason}; `rootstock sync` does that")
        }
    })
}
