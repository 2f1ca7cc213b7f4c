//! The state of a model: that of its environment, and whether its files are there. Reads only.

use super::Line;
use crate::cli::place;
use crate::lock::{Lock, LockedModel};
use crate::manifest::{Manifest, Model};
use crate::plan::{self, PrefetchReason};
use crate::store::{Root, prefetched, weights};

/// A model is in the state of its environment, and missing if that is fresh but a file that it needs is not there.
pub(super) fn state(
    lines: &[Line],
    model: &Model,
    manifest: &Manifest,
    lock: Option<&Lock>,
    root: &Root,
) -> (&'static str, Option<String>) {
    let line = lines.iter().find(|line| *line.name == model.environment);
    let state = line.map_or("missing", |line| line.state);
    if state != "fresh" {
        return (state, None);
    }
    let Some(lock) = lock else {
        return (state, None);
    };
    let locked = lock.models.iter().find(|locked| locked.id == model.id);
    let reason = locked.and_then(|locked| {
        absent(locked, root).or_else(|| not_loaded(locked, manifest, lock, root))
    });
    match reason {
        Some(reason) => ("missing", Some(reason)),
        None => (state, None),
    }
}

/// The first of its weights that is not there in its size.
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

/// Why `sync` has to load a model that has no weights in the lock, where the manifest lets it.
fn not_loaded(
    model: &LockedModel,
    manifest: &Manifest,
    lock: &Lock,
    root: &Root,
) -> Option<String> {
    let loads = |environment: &crate::manifest::Environment| environment.prefetch;
    if !model.weights.is_empty() || !manifest.environment(&model.environment).is_some_and(loads) {
        return None;
    }
    let environment = lock.environment(&model.environment)?;
    let target = plan::target(environment, place::target().ok()?).ok()?;
    let key = plan::prefetch_key(environment, target, model);
    // A record that cannot be read is none.
    let there = prefetched::read(root, &model.id, false).ok().flatten();
    Some(match plan::prefetch_reason(&key, there.as_ref())? {
        PrefetchReason::Missing(path) => {
            format!("`{path}`, which it needs, is not there any more")
        }
        PrefetchReason::Changed(path) => format!("`{path}`, which it needs, has changed"),
        reason @ (PrefetchReason::Never | PrefetchReason::Outdated) => {
            format!("{reason}; `rootstock sync` does that")
        }
    })
}
