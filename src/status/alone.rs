//! The state of a root without manifest and lock: what is built, and which models it has. Reads only.

use std::collections::BTreeSet;

use super::{EnvironmentStatus, ModelStatus, Report, measure};
use crate::files;
use crate::name::{EnvironmentName, ModelId};
use crate::store::catalogue::CatalogueModel;
use crate::store::claims::{self, Claim};
use crate::store::installed::{Generation, Installed};
use crate::store::verified::{self, Verified};
use crate::store::{Catalogue, Depth, Needs, Root, look, weights};

/// The state of a root. With `sizes` it reads every directory of the root's store.
pub fn read(
    root: &Root,
    catalogue: &Catalogue,
    origin: &str,
    sizes: bool,
) -> Result<Report, look::Error> {
    let linked = files::names(&root.environments()).unwrap_or_default();
    let linked = linked.iter().filter_map(|name| name.parse().ok());
    let known = catalogue.environments.keys().cloned();
    let of_models = catalogue
        .models
        .values()
        .map(|model| model.environment.clone());
    let names: BTreeSet<EnvironmentName> = linked.chain(known).chain(of_models).collect();
    let needs = Needs {
        environments: names.iter().cloned().collect(),
        ..Needs::default()
    };
    let disk = look::look(root, &needs, Depth::Quick)?;
    let claims = claims::all(root);
    let environments = names.into_iter().map(|name| {
        let mut status = environment(root, &name, &disk.environments[&name]);
        let is_ours = |claim: &&Claim| claim.environment == name;
        status.building = claims.iter().filter(is_ours).cloned().collect();
        status
    });
    let environments: Vec<EnvironmentStatus> = environments.collect();
    Ok(Report {
        root: root.path().to_owned(),
        origin: origin.to_owned(),
        drifted: None,
        models: models(root, catalogue, &environments),
        environments,
        bytes: sizes.then(|| measure(root)).transpose()?,
    })
}

fn environment(root: &Root, name: &EnvironmentName, installed: &Installed) -> EnvironmentStatus {
    let (state, reason, current) = match installed.current() {
        Some(Generation::Complete(complete)) => match &complete.damage {
            None => ("built", None, Some(complete.stamp.clone())),
            Some(damage) => ("broken", Some(damage.clone()), Some(complete.stamp.clone())),
        },
        Some(Generation::Newer(schema)) => {
            let reason = format!("a newer rootstock built it (schema {schema})");
            ("foreign", Some(reason), None)
        }
        Some(Generation::Unreadable(reason)) => ("broken", Some(reason.clone()), None),
        Some(Generation::Incomplete) => ("incomplete", None, None),
        None => ("missing", installed.unreadable.clone(), None),
    };
    EnvironmentStatus {
        state,
        reason,
        optional: false,
        path: current
            .as_ref()
            .map(|stamp| root.generation(name, &stamp.id)),
        functions: BTreeSet::new(),
        current,
        building: Vec::new(),
        name: name.clone(),
    }
}

fn models(
    root: &Root,
    catalogue: &Catalogue,
    environments: &[EnvironmentStatus],
) -> Vec<ModelStatus> {
    let models = catalogue.models.iter().map(|(id, model)| {
        let environment = environments.iter().find(|e| e.name == model.environment);
        let state = environment.map_or("missing", |environment| environment.state);
        let mut paths = model.weights.iter().map(|weight| &weight.path);
        let absent = paths.find(|path| !weights::is_there(&weights::path(root, path)));
        let reason = absent.filter(|_| state == "built");
        let reason = reason.map(|path| format!("its weights `{path}` are not there"));
        ModelStatus {
            id: id.clone(),
            environment: model.environment.clone(),
            argument: model.argument.clone(),
            state: if reason.is_some() { "missing" } else { state },
            reason,
            about: model.about.clone(),
            verified: verified(root, id, model, environment),
        }
    });
    models.collect()
}

/// Comparisons of its current generation with its recorded numbers.
fn verified(
    root: &Root,
    id: &ModelId,
    model: &CatalogueModel,
    environment: Option<&EnvironmentStatus>,
) -> Vec<Verified> {
    let stamp = environment.and_then(|environment| environment.current.as_ref());
    let (Some(reference), Some(stamp)) = (&model.reference, stamp) else {
        return Vec::new();
    };
    let mut verified = verified::read(root, id);
    verified.retain(|one| one.generation == stamp.id && one.reference == reference.sha256);
    verified
}
