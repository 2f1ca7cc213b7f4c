//! The state of every environment and model of a manifest, compared with a root. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use crate::files;
use crate::lock::drift;

use crate::name::EnvironmentName;
use crate::plan;
use crate::store::claims::{self, Claim};
use crate::store::installed::{Generation, Installed};
use crate::store::{Depth, Needs, Root, look};

mod subject;
mod alone;
mod models;
mod report;

pub use alone::read as read_alone;
pub use report::{EnvironmentStatus, ModelStatus, Report, Sizes};
pub use subject::Subject;

/// Compares a manifest and its lock with a root. With `sizes` it reads every directory of the root's store.
pub fn read(subject: &Subject, sizes: bool) -> Result<Report, look::Error> {
    let names = names(subject);
    let needs = Needs {
        environments: names.clone(),
        ..Needs::default()
    };
    let disk = look::look(subject.root, &needs, Depth::Quick)?;
    let claims = claims::all(subject.root);
    let environments = names.into_iter().map(|name| {
        let mut status = environment(subject, name, &disk.environments);
        let is_ours = |claim: &&Claim| claim.environment == status.name;
        status.building = claims.iter().filter(is_ours).cloned().collect();
        status
    });
    let environments: Vec<EnvironmentStatus> = environments.collect();
    let models = subject.manifest.models.iter();
    let models = models.map(|model| models::status(subject, &environments, model));
    Ok(Report {
        root: subject.root.path().to_owned(),
        origin: subject.origin.to_owned(),
        drifted: Some(
            subject
                .lock
                .is_none_or(|lock| !drift::findings(subject.manifest, lock).is_empty()),
        ),
        models: models.collect(),
        environments,
        bytes: sizes.then(|| measure(subject.root)).transpose()?,
    })
}

/// Every environment of the manifest, and those of earlier manifests that are still linked.
fn names(subject: &Subject) -> Vec<EnvironmentName> {
    // Where the links cannot be listed, the status of each environment reports it.
    let linked = files::names(&subject.root.environments()).unwrap_or_default();
    let linked = linked.iter().filter_map(|name| name.parse().ok());
    let environments = subject.manifest.environments.iter();
    let known = environments.map(|environment| environment.name.clone());
    let mut names: Vec<EnvironmentName> = known.chain(linked).collect();
    names.sort();
    names.dedup();
    names
}

fn environment(
    subject: &Subject,
    name: EnvironmentName,
    disk: &BTreeMap<EnvironmentName, Installed>,
) -> EnvironmentStatus {
    let installed = &disk[&name];
    let (state, reason) = state(subject, &name, installed);
    let declared = subject.manifest.environment(&name);
    let current = match installed.current() {
        Some(Generation::Complete(complete)) => Some(complete.stamp.clone()),
        _ => None,
    };
    EnvironmentStatus {
        state,
        reason,
        optional: declared.is_some_and(|environment| environment.optional),
        path: current
            .as_ref()
            .map(|stamp| subject.root.generation(&name, &stamp.id)),
        functions: declared.map_or_else(BTreeSet::new, |environment| environment.functions.clone()),
        current,
        building: Vec::new(),
        name,
    }
}

fn state(
    subject: &Subject,
    name: &EnvironmentName,
    installed: &Installed,
) -> (&'static str, Option<String>) {
    let Some(locked) = subject.lock.and_then(|lock| lock.environment(name)) else {
        return ("unlocked", None);
    };
    match plan::target(locked, subject.target) {
        Err(none) => ("foreign", Some(none.to_string())),
        Ok(target) => match plan::reason(locked, target, installed) {
            None => ("fresh", None),
            Some(reason) => (reason.state(), Some(reason.to_string())),
        },
    }
}

/// The size of each part of the root; a file with several names is counted once.
fn measure(root: &Root) -> files::Result<Sizes> {
    let parts = [
        // First: generations share files with the store, and they count there.
        ("store", root.store()),
        ("generations", root.all_generations()),
        ("cache", root.cache().to_owned()),
        ("trash", root.trash()),
    ];
    let present = parts.into_iter().filter(|(_, path)| files::exists(path));
    let (names, paths): (Vec<_>, Vec<_>) = present.unzip();
    let sizes = files::disk_use(&paths)?;
    Ok(Sizes(names.into_iter().zip(sizes).collect()))
}
