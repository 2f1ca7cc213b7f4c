//! Models on their way into the lock: their weight files with size, digest and, of the hub, commit. What is locked
//! already stays; downloads nothing itself.

use super::{Context, Failure, Moving, Upgrade, downloads};
use crate::digest::Digest;
use crate::hub;
use crate::lock::{Lock, LockedEnvironment, LockedModel, LockedWeight};
use crate::manifest::{Manifest, Model, Weight};
use crate::name::EnvironmentName;

/// What was found out about a weight file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredWeight {
    /// The commit, of a file of the hub.
    pub commit: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Its digest.
    pub sha256: Digest,
}

/// The models of a manifest that run in these environments, as they are locked: those of which nothing can be found out
/// stay as they were.
pub(super) fn models(
    manifest: &Manifest,
    old: Option<&Lock>,
    only: Option<&[EnvironmentName]>,
    upgrade: &Upgrade,
    context: &Context,
    environments: &[LockedEnvironment],
    failures: &mut Vec<Failure>,
) -> Vec<LockedModel> {
    let mut models = Vec::new();
    let runs = |model: &&Model| {
        let name = &model.environment;
        only.is_none_or(|only| only.contains(name)) && environments.iter().any(|e| e.name == *name)
    };
    for Model {
        id,
        environment,
        argument,
        setup,
        weights,
        about,
        reference,
    } in manifest.models.iter().filter(runs)
    {
        let before = old.and_then(|old| old.models.iter().find(|m| m.id == *id));
        // The digest of a file that is already locked stays: a remote file that changes is an error, not a new digest.
        let locked = before.filter(|_| *upgrade.of(environment) != Moving::All);
        let locked = locked.map_or(&[][..], |locked| &locked.weights);
        let weights = weights
            .iter()
            .map(|weight| self::weight(weight, locked, context))
            .collect::<Result<_, _>>();
        match weights {
            Ok(weights) => models.push(LockedModel {
                id: id.clone(),
                environment: environment.clone(),
                argument: argument.clone(),
                setup: setup.clone(),
                weights,
                about: about.clone(),
                // `rootstock lock --check` reports whether it still belongs to the model.
                reference: before
                    .and_then(|before| before.reference.clone())
                    .filter(|record| reference.as_ref().is_some_and(|r| r.path == record.path)),
            }),
            Err(reason) => {
                failures.push(Failure::Weights {
                    model: id.clone(),
                    reason,
                });
                models.extend(before.cloned());
            }
        }
    }
    models
}

fn weight(
    asked: &Weight,
    locked: &[LockedWeight],
    context: &Context,
) -> Result<LockedWeight, String> {
    let Weight {
        url,
        path,
        sha256,
        size,
    } = asked;
    let known = |there: &&LockedWeight| {
        there.url == *url
            && sha256.is_none_or(|s| s == there.sha256)
            && size.is_none_or(|s| Some(s) == there.size)
    };
    let of_the_hub: Option<hub::File> = url.parse().ok();
    let pinned = of_the_hub.as_ref().and_then(hub::File::commit);
    let found = if let Some(there) = locked.iter().find(known) {
        MeasuredWeight {
            commit: there.commit.clone(),
            size: there.size,
            sha256: there.sha256,
        }
    } else {
        match sha256 {
            Some(sha256) if of_the_hub.is_some() == pinned.is_some() => MeasuredWeight {
                commit: pinned.map(str::to_owned),
                size: *size,
                sha256: *sha256,
            },
            _ => downloads::weight(asked, context)?,
        }
    };
    if let (Some(size), Some(found)) = (size, found.size)
        && *size != found
    {
        return Err(format!(
            "`{url}` has {found} bytes, not {size} as in the manifest"
        ));
    }
    if let Some(sha256) = sha256.filter(|sha256| *sha256 != found.sha256) {
        return Err(format!(
            "`{url}` has the sha256 {}, not {sha256} as in the manifest",
            found.sha256
        ));
    }
    let file = of_the_hub.zip(found.commit.as_deref());
    let snapshot = file.map(|(file, commit)| file.at(commit).snapshot());
    Ok(LockedWeight {
        url: url.clone(),
        path: path
            .clone()
            .or(snapshot)
            .ok_or_else(|| format!("`{url}` has no path below the cache"))?,
        commit: found.commit,
        size: found.size,
        sha256: found.sha256,
    })
}
