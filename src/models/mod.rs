//! The models of a root, or of a lock, as users look for them: what they are for, whether they are built, whether their
//! numbers were verified. Reads small files only, and prints nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::about::About;
use crate::doctor::{self, Needs};
use crate::files;
use crate::lock::{Lock, LockedModel};
use crate::manifest::{Environment, Manifest};
use crate::name::{EnvironmentName, ModelId};
use crate::numbers::{self, Record};
use crate::store::verified::{self, Verified};
use crate::store::{Catalogue, Root, inside, references};

mod report;

pub(crate) use report::{Report, Style};

/// A model.
#[derive(Debug, Serialize)]
pub(crate) struct Model {
    /// Its id.
    pub id: ModelId,
    /// The environment it runs in.
    pub environment: EnvironmentName,
    /// The argument of `setup()`.
    pub argument: String,
    /// The first line of its source: what it is.
    pub summary: Option<String>,
    /// Whether its environment is built; `None` without a root.
    pub built: Option<bool>,
    /// What its environment needs of a machine.
    pub needs: Option<Needs>,
    /// The symbols of the elements it knows; empty if that was not declared.
    pub elements: Vec<&'static str>,
    /// What else was declared.
    #[serde(flatten)]
    pub about: Declared,
    /// Its locked weights.
    pub weights: Vec<Weight>,
    /// To what its recorded numbers belong.
    pub reference: Option<Record>,
    /// The recorded numbers.
    pub numbers: Vec<Numbers>,
    /// Whether its current generation computed them here, too.
    pub verified: Vec<Verified>,
}

/// What was declared of a model.
#[derive(Debug, Serialize)]
pub(crate) struct Declared {
    licence: Option<String>,
    weights_licence: Option<String>,
    citation: Option<String>,
    conservative: bool,
    dtype: Option<&'static str>,
    #[serde(skip)]
    ranges: Vec<String>,
}

/// A locked weight file.
#[derive(Debug, Serialize)]
pub(crate) struct Weight {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    size: Option<u64>,
}

/// Recorded numbers of a structure.
#[derive(Debug, Serialize)]
pub(crate) struct Numbers {
    name: String,
    atoms: usize,
    energy_ev: f64,
    largest_force_ev_per_angstrom: f64,
}

impl Declared {
    fn new(about: &About) -> Self {
        Self {
            licence: about.licence.clone(),
            weights_licence: about.weights_licence.clone(),
            citation: about.citation.clone(),
            conservative: about.conservative,
            dtype: about.dtype.map(crate::about::Dtype::as_str),
            ranges: about.elements.ranges(),
        }
    }
}

/// The models of a root. A file of numbers that is not the recorded one has none.
pub(crate) fn of_root(root: &Root, catalogue: &Catalogue) -> Vec<Model> {
    let needs = doctor::needs_of(root, catalogue.environments.keys());
    let needs: BTreeMap<EnvironmentName, Needs> = needs
        .into_iter()
        .map(|needs| (needs.environment.clone(), needs))
        .collect();
    let models = catalogue.models.iter().map(|(id, model)| {
        let generation = current(root, &model.environment);
        let mut verified = verified::read(root, id);
        let is_current = |verified: &Verified| {
            let reference = model.reference.as_ref().map(|record| record.sha256);
            Some(&verified.generation) == generation.as_ref()
                && Some(verified.reference) == reference
        };
        verified.retain(is_current);
        let text = references::read(root, id).ok().flatten();
        Model {
            id: id.clone(),
            environment: model.environment.clone(),
            argument: model.argument.clone(),
            summary: source(root, &model.environment),
            built: Some(generation.is_some()),
            needs: needs.get(&model.environment).cloned(),
            elements: model.about.elements.symbols().collect(),
            about: Declared::new(&model.about),
            weights: model
                .weights
                .iter()
                .map(|weight| Weight {
                    path: weight.path.clone(),
                    url: None,
                    size: weight.size,
                })
                .collect(),
            reference: model.reference.clone(),
            numbers: recorded(text, model.reference.as_ref()),
            verified,
        }
    });
    models.collect()
}

/// The id of an environment's current generation.
fn current(root: &Root, environment: &EnvironmentName) -> Option<String> {
    let path = root.resolve(environment).ok().flatten()?;
    Some(path.file_name()?.to_str()?.to_owned())
}

/// What the source of an environment that is built says of it.
fn source(root: &Root, environment: &EnvironmentName) -> Option<String> {
    let generation = root.resolve(environment).ok().flatten()?;
    summary(&files::read_text(&generation.join(inside::SOURCE)).ok()?)
}

/// The first line of a module's documentation.
fn summary(source: &str) -> Option<String> {
    let first = source
        .lines()
        .find(|line| !line.starts_with('#') && !line.trim().is_empty())?;
    let text = first.strip_prefix("\"\"\"")?;
    Some(text.trim_end_matches("\"\"\"").trim().to_owned())
}

/// The models of a lock, and environments that only load weights of a user's own.
pub(crate) fn of_lock(manifest: &Manifest, lock: &Lock) -> Vec<Model> {
    let here = manifest.path.parent().unwrap_or(Path::new(""));
    let mut models: Vec<Model> = lock
        .models
        .iter()
        .map(|model| locked(model, here))
        .collect();
    for environment in &manifest.environments {
        let source = files::read_text_of_project(here, Path::new(&environment.source));
        let summary = source.ok().and_then(|source| summary(&source));
        let mut its = models
            .iter_mut()
            .filter(|model| model.environment == environment.name)
            .peekable();
        if its.peek().is_none() && environment.name.series().is_none() {
            models.extend(without_models(environment, summary));
        } else {
            its.for_each(|model| model.summary.clone_from(&summary));
        }
    }
    models.sort_by(|a, b| a.id.cmp(&b.id));
    models
}

/// An environment without models, by its own name.
fn without_models(environment: &Environment, summary: Option<String>) -> Option<Model> {
    Some(Model {
        id: environment.name.as_str().parse().ok()?,
        environment: environment.name.clone(),
        argument: String::new(),
        summary,
        built: None,
        needs: None,
        elements: environment.about.elements.symbols().collect(),
        about: Declared::new(&environment.about),
        weights: Vec::new(),
        reference: None,
        numbers: Vec::new(),
        verified: Vec::new(),
    })
}

fn locked(model: &LockedModel, here: &Path) -> Model {
    let record = model.reference.as_ref();
    let text = record.and_then(|record| {
        let text = files::read_text_of_project_if_present(here, Path::new(&record.path));
        text.ok().flatten()
    });
    let weights = model.weights.iter().map(|weight| Weight {
        path: weight.path.clone(),
        url: Some(weight.url.clone()),
        size: weight.size,
    });
    Model {
        id: model.id.clone(),
        environment: model.environment.clone(),
        argument: model.argument.clone(),
        summary: None,
        built: None,
        needs: None,
        elements: model.about.elements.symbols().collect(),
        about: Declared::new(&model.about),
        weights: weights.collect(),
        reference: model.reference.clone(),
        numbers: recorded(text, record),
        verified: Vec::new(),
    }
}

fn recorded(text: Option<String>, record: Option<&Record>) -> Vec<Numbers> {
    let (Some(text), Some(record)) = (text, record) else {
        return Vec::new();
    };
    if crate::digest::Digest::of(&text) != record.sha256 {
        return Vec::new();
    }
    let entries = numbers::file::read(&text).unwrap_or_default();
    let numbers = entries.into_iter().map(|entry| Numbers {
        atoms: entry.numbers.len(),
        energy_ev: entry.energy,
        largest_force_ev_per_angstrom: entry.largest_force(),
        name: entry.name,
    });
    numbers.collect()
}
