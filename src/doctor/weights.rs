//! The weights that the models of a root need, as its catalogue has them.

use std::path::Path;

use rayon::prelude::*;

use crate::files;
use crate::name::ModelId;
use crate::store::prefetched::{self, CachedFile};
use crate::store::{
    Catalogue, CatalogueModel, CatalogueWeight, Root, Verifier, catalogue, weights,
};

use super::finding::{Code, Finding};

/// Examines every weight file; its bytes too, if they are to be read.
pub(super) fn examine(root: &Root, deep: Option<&Verifier>) -> Vec<Finding> {
    let broken = |message: String| {
        vec![Finding::new(
            Code::CatalogueBroken,
            root.models(),
            message,
            "rootstock sync",
        )]
    };
    let catalogue = match Catalogue::read(&root.models()) {
        Ok(Some(catalogue)) => catalogue,
        Ok(None) => return broken("it is missing: no worker finds its model".into()),
        Err(catalogue::Error::Files(error)) => return broken(error.text()),
        Err(error) => return broken(error.to_string()),
    };
    let mut needed = named(root, &catalogue);
    needed.extend(fetched(root, &catalogue));
    let found = needed
        .par_iter()
        .map(|(model, weight)| finding(root, model, weight, deep));
    found.flatten().collect()
}

/// The files that the catalogue names. Models of environments that were never built here need nothing yet.
fn named(root: &Root, catalogue: &Catalogue) -> Vec<(ModelId, CatalogueWeight)> {
    let built = |model: &CatalogueModel| files::exists(&root.current(&model.environment));
    let models = catalogue.models.iter().filter(|(_, model)| built(model));
    models
        .flat_map(|(id, model)| model.weights.iter().map(move |w| (id.clone(), w.clone())))
        .collect()
}

/// The files that models without weights, or environments without models, have fetched by themselves.
fn fetched(root: &Root, catalogue: &Catalogue) -> Vec<(ModelId, CatalogueWeight)> {
    let models = catalogue.models.iter();
    let models = models.filter(|(_, model)| model.weights.is_empty());
    let environments = catalogue.environments.keys();
    let environments = environments
        .filter_map(|name| name.as_str().parse().ok())
        .filter(|id| !catalogue.models.contains_key(id));
    let ids = models.map(|(id, _)| id.clone()).chain(environments);
    ids.flat_map(|id: ModelId| {
        let there = prefetched::read(root, &id, false).ok().flatten();
        let left = there.into_iter().flat_map(|there| there.record.files);
        left.map(move |CachedFile { path, size, sha256 }| {
            let size = Some(size);
            (id.clone(), CatalogueWeight { path, size, sha256 })
        })
    })
    .collect()
}

fn finding(
    root: &Root,
    model: &ModelId,
    weight: &CatalogueWeight,
    deep: Option<&Verifier>,
) -> Option<Finding> {
    let path = weights::path(root, &weight.path);
    let fix = "rootstock sync --repair";
    match wrong(&path, weight, deep) {
        Ok(None) => None,
        Ok(Some((code, message))) => Some(Finding::new(
            code,
            path,
            format!("model {model}: {message}"),
            fix,
        )),
        Err(error) => Some(Finding::unreadable(&error, fix)),
    }
}

fn wrong(
    path: &Path,
    weight: &CatalogueWeight,
    deep: Option<&Verifier>,
) -> files::Result<Option<(Code, String)>> {
    let size = match files::size(path) {
        Ok(size) => size,
        Err(error) if error.is_missing() => {
            return Ok(Some((
                Code::WeightMissing,
                "its weights are missing".into(),
            )));
        }
        Err(error) => return Err(error),
    };
    if let Some(locked) = weight.size.filter(|locked| *locked != size) {
        let message = format!("its weights have {size} bytes, not {locked}");
        return Ok(Some((Code::WeightChanged, message)));
    }
    let Some(verifier) = deep else {
        return Ok(None);
    };
    let sha256 = verifier.digest(path)?;
    let message = format!(
        "its weights have the sha256 {sha256}, not {}",
        weight.sha256
    );
    Ok((sha256 != weight.sha256).then_some((Code::WeightChanged, message)))
}
