//! What models without weights have fetched themselves, on its way into a bundle: `sync` into a root has recorded it, or
//! has not.

use super::{Error, Failure, Request, entry};
use crate::build::Context;
use crate::digest::Digest;
use crate::lock::LockedModel;
use crate::name::{EnvironmentName, ModelId};
use crate::plan::{self, NoTarget};
use crate::store::bundle::Entry;
use crate::store::prefetched::{self, Record};
use crate::sync::prefetch;

/// Carries what is on record; the models of which nothing is are the answer.
pub(super) fn fill(
    request: &Request,
    context: &Context,
    entries: &mut Vec<Entry>,
    failures: &mut Vec<Failure>,
) -> Result<Vec<ModelId>, Error> {
    let mut not_loaded = Vec::new();
    for model in plan::prefetched_of(request.lock, &may_prefetch(request)) {
        let keys = keys(request, &model)?;
        let record = match request.loaded_in {
            Some(root) => prefetched::read(root, &model.id, false)?,
            None => None,
        };
        let record = record.map(|there| there.record);
        let record = record.filter(|record| keys.contains(&record.key));
        let (Some(root), Some(record)) = (request.loaded_in, record) else {
            not_loaded.push(model.id.clone());
            continue;
        };
        let places = (root, context.root);
        match prefetch::carry(&model.id, &record, places, &context.variables) {
            Ok(()) => list(&model.id, &record, context, entries)?,
            Err(source) => failures.push(Failure::Prefetched {
                model: model.id.clone(),
                source,
            }),
        }
    }
    Ok(not_loaded)
}

fn list(
    model: &ModelId,
    record: &Record,
    context: &Context,
    entries: &mut Vec<Entry>,
) -> Result<(), Error> {
    for file in &record.files {
        let name = format!("left by {model}");
        entries.push(entry(context.root, &file.path, &name)?);
    }
    Ok(())
}

/// The environments whose models may be loaded.
fn may_prefetch(request: &Request) -> Vec<EnvironmentName> {
    let environments = request.manifest.environments.iter();
    let allowed = environments.filter(|environment| environment.prefetch);
    allowed
        .map(|environment| environment.name.clone())
        .filter(|name| request.environments.contains(name))
        .collect()
}

/// The keys of a model's records, one for each machine type.
fn keys(request: &Request, model: &LockedModel) -> Result<Vec<Digest>, NoTarget> {
    let Some(environment) = request.lock.environment(&model.environment) else {
        return Ok(Vec::new());
    };
    let key = |name: &String| {
        let target = plan::target(environment, name)?;
        Ok(plan::prefetch_key(environment, target, model))
    };
    request.targets.iter().map(key).collect()
}
