//! A model whose numbers are compared: what was recorded of it, from the project if there is a manifest, else from the root.

use std::path::Path;

use super::{
    Catalogue, CatalogueWeight, Digest, Exit, Failure, Lock, LockedModel, Manifest, ModelId,
    OrExit, Record, Root, Selected, Shared, Stamp, beside, files, lock, numbers, references, show,
};
use crate::about::About;
use crate::lock::drift;

/// A model with its recorded numbers.
pub(in crate::cli) struct Subject {
    pub(super) id: ModelId,
    pub(super) record: Record,
    /// The file of numbers.
    pub(super) text: String,
    pub(super) about: About,
    /// Its locked weights.
    pub(super) weights: Vec<CatalogueWeight>,
}

impl Subject {
    /// The model of this name.
    pub(super) fn named(shared: &Shared, root: &Root, name: &str) -> Result<Self, Failure> {
        let id: Option<ModelId> = name.parse().ok();
        let found = match id {
            Some(id) => match Project::read(shared)? {
                Some(project) if project.has(&id) => project.subject(&id)?,
                _ => of_root(root, &id)?,
            },
            None => None,
        };
        found.ok_or_else(|| {
            Failure::usage(
                &format!("`{name}` has no recorded numbers"),
                &format!(
                    "name a file for them, `reference = \"references/{name}.extxyz\"` in its `[models.{name}]`, then run \
                     `rootstock probe {name} --record`"
                ),
            )
        })
    }

    /// All models with recorded numbers whose environments are built.
    pub(super) fn all(shared: &Shared, root: &Root) -> Result<Vec<Self>, Failure> {
        let project = Project::read(shared)?;
        let catalogue = Catalogue::read(&root.models()).or_exit(Exit::Failed)?;
        let ids: Vec<ModelId> = match (&project, &catalogue) {
            (Some(project), _) => project.recorded(),
            (None, Some(catalogue)) => {
                let models = catalogue.models.iter();
                let recorded = models.filter(|(_, model)| model.reference.is_some());
                recorded.map(|(id, _)| id.clone()).collect()
            }
            (None, None) => Vec::new(),
        };
        let built = |id: &ModelId| {
            let model = catalogue
                .as_ref()
                .and_then(|catalogue| catalogue.models.get(id));
            let is_built =
                model.is_some_and(|model| files::exists(&root.current(&model.environment)));
            if !is_built {
                show::remark(&format!(
                    "{id}: skipped, its environment is not built in the root"
                ));
            }
            is_built
        };
        let mut subjects = Vec::new();
        for id in ids.iter().filter(|id| built(id)) {
            subjects.extend(match &project {
                Some(project) => project.subject(id)?,
                None => of_root(root, id)?,
            });
        }
        Ok(subjects)
    }

    /// The recording must be of what is in the root.
    pub(super) fn check_belongs(&self, selected: &Selected, stamp: &Stamp) -> Result<(), Failure> {
        let weights = self.weights.iter();
        let weights = weights.map(|weight| (weight.path.as_str(), &weight.sha256));
        let model = numbers::identity(&selected.argument, &selected.setup, weights);
        let is_other = if model != self.record.model {
            "other arguments or other weights"
        } else if stamp.target == self.record.target && stamp.digest != self.record.answer {
            "another answer of the lock"
        } else {
            return Ok(());
        };
        let id = &self.id;
        Err(Failure::new(
            Exit::Drift,
            &format!("the numbers of `{id}` were recorded with {is_other} than the root has"),
            Some(&format!(
                "run `rootstock sync`; if `rootstock lock --check` calls them stale, `rootstock probe {id} --record`"
            )),
        ))
    }
}

/// What the root has of a model; `None` if no numbers.
fn of_root(root: &Root, id: &ModelId) -> Result<Option<Subject>, Failure> {
    let catalogue = Catalogue::read(&root.models()).or_exit(Exit::Failed)?;
    let Some(model) = catalogue.and_then(|mut catalogue| catalogue.models.remove(id)) else {
        return Ok(None);
    };
    let Some(record) = model.reference else {
        return Ok(None);
    };
    let text = references::read(root, id).or_exit(Exit::Failed)?;
    let path = references::path(root, id);
    let path = path.display();
    let text = match text {
        Some(text) if Digest::of(&text) == record.sha256 => text,
        Some(_) => {
            let message = format!("`{path}` is not what was recorded");
            let help = "run `rootstock sync`, which writes it again";
            return Err(Failure::new(Exit::Drift, &message, Some(help)));
        }
        None => {
            let message = format!("the recorded numbers of `{id}`, `{path}`, are not in the root");
            let help = "compare them in the root that `rootstock sync` has made: a stage and an image have none";
            return Err(Failure::new(Exit::Environment, &message, Some(help)));
        }
    };
    Ok(Some(Subject {
        id: id.clone(),
        record,
        text,
        about: model.about,
        weights: model.weights,
    }))
}

/// Manifest and lock.
pub(super) struct Project {
    pub(super) manifest: Manifest,
    pub(super) lock: Lock,
}

impl Project {
    /// `None` if there is no manifest or no lock.
    fn read(shared: &Shared) -> Result<Option<Self>, Failure> {
        if !files::exists(&shared.manifest) {
            return Ok(None);
        }
        let manifest = lock::manifest(shared)?;
        let lock = beside::read(&beside::path(&manifest.path)).or_exit(Exit::Usage)?;
        Ok(lock.map(|lock| Self { manifest, lock }))
    }

    fn has(&self, id: &ModelId) -> bool {
        self.manifest.models.iter().any(|model| model.id == *id)
    }

    fn locked(&self, id: &ModelId) -> Option<&LockedModel> {
        self.lock.models.iter().find(|model| model.id == *id)
    }

    /// The models with recorded numbers.
    fn recorded(&self) -> Vec<ModelId> {
        let models = self.manifest.models.iter();
        let models = models.filter(|model| model.reference.is_some());
        models.map(|model| model.id.clone()).collect()
    }

    /// What is recorded of a model; `None` if the manifest names no file for it. Numbers that are stale are drift.
    fn subject(&self, id: &ModelId) -> Result<Option<Subject>, Failure> {
        let about = drift::Subject::Model(id.clone());
        let mut findings = drift::references::findings(&self.manifest, &self.lock);
        findings.retain(|finding| finding.subject == about);
        if !findings.is_empty() {
            return Err(Failure {
                report: beside::report(&self.manifest, findings).into(),
                exit: Exit::Drift,
            });
        }
        let Some(model) = self.locked(id) else {
            return Ok(None);
        };
        let Some(record) = model.reference.clone() else {
            return Ok(None);
        };
        let here = self.manifest.path.parent().unwrap_or(Path::new(""));
        let text = files::read_text_of_project(here, Path::new(&record.path));
        let weights = model.weights.iter().map(|weight| CatalogueWeight {
            path: weight.path.clone(),
            size: weight.size,
            sha256: weight.sha256,
        });
        Ok(Some(Subject {
            id: id.clone(),
            record,
            text: text.or_exit(Exit::Usage)?,
            about: model.about.clone(),
            weights: weights.collect(),
        }))
    }
}
