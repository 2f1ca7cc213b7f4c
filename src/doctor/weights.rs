//! The weights that the models of a root need, as its catalogue has them.

use rayon::prelude::*;

use crate::files;
use crate::name::ModelId;
use crate::store::prefetched::{self, CachedFile};
use crate::store::{
    Catalogue, CatalogueModel, CatalogueWeight, Root, Verifier, catalogue, weights,
};

use super::Finding;

/// Examines every weight file; its bytes, if they are to be read.
pub(super) fn examine(root: &Root, deep: Option<&Verifier>) -> Vec<Finding> {
    let broken = |message: String| {
        vec![Finding {
            code: "catalogue-broken",
            path: root.models(),
            message,
            fix: "rootstock sync".into(),
        }]
    };
    let catalogue = match Catalogue::read(&root.models()) {
        Ok(Some(catalogue)) => catalogue,
        Ok(None) => return broken("it is missing: no worker finds its model".into()),
        Err(catalogue::Error::Files(error)) => return broken(error.text()),
        Err(error) => return broken(error.to_string()),
    };
    // Models of environments that were never built here need nothing yet.
    let built = |model: &CatalogueModel| files::exists(&root.current(&model.environment));
    let named = catalogue.models.iter().filter(|(_, model)| built(model));
    let named =
        named.flat_map(|(id, model)| model.weights.iter().map(move |w| (id.clone(), w.clone())));
    let mut needed: Vec<(ModelId, CatalogueWeight)> = named.collect();
    // What a model without weights has fetched itself, or an environment that has no models.
    let models = catalogue.models.iter();
    let ids = models
        .filter(|(_, m)| m.weights.is_empty())
        .map(|(id, _)| id);
    let environments = catalogue.environments.keys();
    let themselves: Vec<ModelId> = environments
        .filter_map(|name| name.as_str().parse().ok())
        .filter(|id| !catalogue.models.contains_key(id))
        .collect();
    for id in ids.chain(&themselves) {
        let there = prefetched::read(root, id, false).ok().flatten();
        let left = there.into_iter().flat_map(|there| there.record.files);
        needed.extend(left.map(|CachedFile { path, size, sha256 }| {
            let size = Some(size);
            (id.clone(), CatalogueWeight { path, size, sha256 })
        }));
    }
    let found: Vec<Option<Finding>> = needed
        .par_iter()
        .map(|(model, weight)| {
            let path = weights::path(root, &weight.path);
            let fix = "rootstock sync --repair";
            match wrong(&path, weight, deep) {
                Ok(None) => None,
                Ok(Some((code, message))) => Some(Finding {
                    code,
                    path,
                    message: format!("model {model}: {message}"),
                    fix: fix.into(),
                }),
                Err(error) => Some(Finding::unreadable(&error, fix)),
            }
        })
        .collect();
    found.into_iter().flatten().collect()
}

fn wrong(
    path: &std::path::Path,
    weight: &CatalogueWeight,
    deep: Option<&Verifier>,
) -> files::Result<Option<(&'static str, String)>> {
    let size = match files::size(path) {
        Ok(size) => size,
        Err(error) if error.is_missing() => {
            return Ok(Some(("weight-missing", "its weights are not there".into())));
        }
        Err(error) => return Err(error),
    };
    if let Some(locked) = weight.size.filter(|locked| *locked != size) {
        let message = format!("its weights have {size} bytes, not {locked}");
        return Ok(Some(("weight-changed", message)));
    }
    let Some(verifier) = deep else {
        return Ok(None);
    };
    let sha256 = verifier.digest(path)?;
    let message = format!(
        "its weights have the sha256 {sha256}, not {}",
        weight.sha256
    );
    Ok((sha256 != weight.sha256).then_some(("weight-changed", message)))
}
