//! Models and their weights: the manifest's entries against the locked ones.

use super::{Code, Findings, Subject};
use crate::about::About;
use crate::hub;
use crate::lock::{Lock, LockedWeight};
use crate::manifest::{Manifest, Weight};

/// Every difference between the models of a manifest and those of a lock.
pub(super) fn models(found: &mut Findings, manifest: &Manifest, lock: &Lock) {
    for model in &manifest.models {
        found.subject = Subject::Model(model.id.clone());
        let Some(locked) = lock.models.iter().find(|locked| locked.id == model.id) else {
            found.add(
                Code::ModelAdded,
                "is in the manifest, but not in the lock",
                None,
                None,
            );
            continue;
        };
        if locked.environment != model.environment {
            let (was, now) = (
                locked.environment.to_string(),
                model.environment.to_string(),
            );
            found.add(
                Code::ModelChanged,
                format!("its environment was {was} and is {now}"),
                Some(was),
                Some(now),
            );
        }
        if locked.argument != model.argument {
            let (was, now) = (locked.argument.clone(), model.argument.clone());
            found.add(
                Code::ModelChanged,
                format!("its argument was `{was}` and is `{now}`"),
                Some(was),
                Some(now),
            );
        }
        if locked.setup != model.setup {
            let text = |setup| serde_json::to_string(setup).ok();
            found.add(
                Code::ModelChanged,
                "its `setup` has changed",
                text(&locked.setup),
                text(&model.setup),
            );
        }
        weights(found, &model.weights, &locked.weights);
        about(found, &model.about, &locked.about);
    }
    for locked in &lock.models {
        if !manifest.models.iter().any(|model| model.id == locked.id) {
            found.subject = Subject::Model(locked.id.clone());
            found.add(
                Code::ModelRemoved,
                "is in the lock, but no longer in the manifest",
                None,
                None,
            );
        }
    }
}

/// What a model is for changes nothing that is built; users read it in the root.
fn about(found: &mut Findings, asked: &About, locked: &About) {
    if asked != locked {
        let text = |about| serde_json::to_string(about).ok();
        let (was, now) = (text(locked), text(asked));
        let what = "what the manifest says of it has changed";
        found.add(Code::AboutChanged, what, was, now);
    }
}

fn weights(found: &mut Findings, asked: &[Weight], locked: &[LockedWeight]) {
    // A file of the hub that has no path goes where its library looks for it, which only the lock knows.
    let same = |weight: &Weight, there: &LockedWeight| match &weight.path {
        Some(path) => *path == there.path,
        None => weight.url == there.url,
    };
    for weight in asked {
        let name = weight.path.as_ref().unwrap_or(&weight.url);
        let Some(there) = locked.iter().find(|there| same(weight, there)) else {
            let message = format!("its weight file `{name}` is not in the lock");
            found.add(Code::WeightsChanged, message, None, Some(name.clone()));
            continue;
        };
        let text = |value: Option<String>| value.unwrap_or_default();
        let of_the_hub: Option<hub::File> = weight.url.parse().ok();
        let pinned = of_the_hub.as_ref().and_then(hub::File::commit);
        let path = weight.path.clone();
        let path = path.or_else(|| there.hub_file().map(|file| file.snapshot()));
        let pairs = [
            ("url", Some(weight.url.clone()), Some(there.url.clone())),
            ("commit", pinned.map(str::to_owned), there.commit.clone()),
            ("path", path, Some(there.path.clone())),
            (
                "sha256",
                weight.sha256.map(String::from),
                Some(there.sha256.into()),
            ),
            (
                "size",
                weight.size.map(|size| size.to_string()),
                there.size.map(|size| size.to_string()),
            ),
        ];
        for (key, now, was) in pairs {
            // What the manifest leaves open, the lock has filled in.
            if now.is_some() && now != was {
                let message = format!(
                    "{key} of its weight file `{name}` was `{}` and is `{}`",
                    text(was.clone()),
                    text(now.clone())
                );
                found.add(Code::WeightsChanged, message, was, now);
            }
        }
        let commit = there.commit.as_deref();
        if of_the_hub.is_some() != commit.is_some_and(hub::is_commit) {
            let message = format!("its weight file `{name}` is not locked to a commit of the hub");
            found.add(Code::WeightsChanged, message, there.commit.clone(), None);
        }
    }
    for there in locked
        .iter()
        .filter(|there| !asked.iter().any(|weight| same(weight, there)))
    {
        let message = format!(
            "its weight file `{}` is no longer in the manifest",
            there.path
        );
        found.add(
            Code::WeightsChanged,
            message,
            Some(there.path.clone()),
            None,
        );
    }
}
