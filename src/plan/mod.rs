//! The difference between what is locked and what is on disk. No input, no output.

use std::collections::BTreeMap;
use std::path::Path;

use crate::access::Access;
use crate::lock::{Lock, LockedEnvironment, LockedModel, LockedTarget, LockedWeight};
use crate::name::EnvironmentName;
use crate::store::installed::{Current, Installed};
use crate::store::weights::Found;
use crate::store::{
    Catalogue, CatalogueEnvironment, CatalogueModel, CatalogueWeight, Disk, catalogue,
};

mod request;
mod needs;
mod prefetch;
mod reason;

pub use needs::{cache_needs, needs, references_of, weights_of};
pub use prefetch::{PrefetchReason, PrefetchStep, prefetch_key, prefetch_reason, prefetched_of};
use reason::reason_of_generation;
pub use reason::{Reason, reason};

/// What has to be done to make a root match a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<'a> {
    /// One step for each chosen environment, in the order of the lock.
    pub steps: Vec<Step<'a>>,
    /// Weight files to fetch, each once, in the order of the lock's models.
    pub weights: Vec<WeightStep<'a>>,
    /// Models whose `setup()` has to be called once, in the order of the lock.
    pub prefetch: Vec<PrefetchStep<'a>>,
    /// Small files of the cache to write, with what they say: what a revision of the hub means.
    pub references: BTreeMap<String, String>,
    /// The catalogue to write, if the one on disk differs.
    pub catalogue: Option<Catalogue>,
    /// Who may use the root from now on, if the root has another policy.
    pub access: Option<AccessStep>,
}

/// A policy that has to be applied to a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessStep {
    /// The root's policy; `None` if it has none yet.
    pub was: Option<Access>,
    /// What is wanted.
    pub now: Access,
}

/// A weight file that has to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightStep<'a> {
    /// The first model that needs it.
    pub model: &'a LockedModel,
    /// What is wanted.
    pub weight: &'a LockedWeight,
    /// Why that is needed.
    pub because: WeightReason,
}

/// Why a weight file has to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightReason {
    /// It is not there.
    Missing,
    /// It is not the locked one: another size, or another digest where that was computed.
    Changed,
}

/// What has to be done for one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<'a> {
    /// What is wanted.
    pub environment: &'a LockedEnvironment,
    /// The answer for the machine we plan for.
    pub target: &'a LockedTarget,
    /// Whether it is built, its link is switched, or nothing is done.
    pub action: Action,
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the current generation is the right one.
    Keep {
        /// Its id.
        id: String,
    },
    /// Point the environment to a generation that is there already.
    Flip {
        /// Its id.
        to: String,
        /// Why not keep the current one.
        because: Reason,
    },
    /// Build a generation and point the environment to it.
    Build {
        /// Why the generation that is there does not do.
        because: Reason,
    },
}

/// What has to be done for a request.
pub fn plan<'a>(lock: &'a Lock, request: &Request, disk: &Disk) -> Result<Plan<'a>, NoTarget> {
    let steps = lock
        .environments
        .iter()
        .filter(|environment| request.environments.contains(&environment.name))
        .map(|environment| {
            let target = target(environment, request.target)?;
            let nothing = Installed::default();
            let installed = disk.environments.get(&environment.name).unwrap_or(&nothing);
            let action = if request.force {
                let because = Reason::Forced;
                Action::Build { because }
            } else {
                action(environment, target, installed)
            };
            Ok(Step {
                environment,
                target,
                action,
            })
        })
        .collect::<Result<_, _>>()?;
    let wanted = catalogue_of(lock, request, disk.catalogue.as_ref());
    Ok(Plan {
        steps,
        prefetch: prefetch::steps(lock, request, disk)?,
        catalogue: (disk.catalogue.as_ref() != Some(&wanted)).then_some(wanted),
        access: access(request.access, disk.access.as_ref()),
        ..cache(lock, request.environments, disk)
    })
}

/// What has to be fetched into a cache alone, for models of these environments.
pub fn cache<'a>(lock: &'a Lock, chosen: &[EnvironmentName], disk: &Disk) -> Plan<'a> {
    let missing = |(path, commit): &(String, String)| disk.references.get(path) != Some(commit);
    Plan {
        steps: Vec::new(),
        weights: weights(lock, chosen, disk),
        references: references_of(lock, chosen)
            .into_iter()
            .filter(missing)
            .collect(),
        prefetch: Vec::new(),
        catalogue: None,
        access: None,
    }
}

fn access(wanted: Option<&Access>, there: Option<&Access>) -> Option<AccessStep> {
    let wanted = wanted.filter(|wanted| there != Some(wanted))?;
    Some(AccessStep {
        was: there.cloned(),
        now: wanted.clone(),
    })
}

fn weights<'a>(lock: &'a Lock, chosen: &[EnvironmentName], disk: &Disk) -> Vec<WeightStep<'a>> {
    // What is there was fetched as the catalogue has it; its size alone would not distinguish it from another version.
    let fetched_as = |path: &str| {
        let models = disk.catalogue.iter().flat_map(|c| c.models.values());
        let mut weights = models.flat_map(|model| &model.weights);
        Some(weights.find(|weight| weight.path == path)?.sha256)
    };
    let because = |weight: &LockedWeight| match disk.weights.get(&weight.path) {
        None => Some(WeightReason::Missing),
        Some(Found { size, sha256 }) => {
            let same = weight.size.is_none_or(|locked| locked == *size)
                && sha256
                    .or_else(|| fetched_as(&weight.path))
                    .is_none_or(|s| s == weight.sha256);
            (!same).then_some(WeightReason::Changed)
        }
    };
    let files = weights_of(lock, chosen).into_iter();
    files
        .filter_map(|(model, weight)| {
            Some(WeightStep {
                model,
                weight,
                because: because(weight)?,
            })
        })
        .collect()
}

fn action(environment: &LockedEnvironment, target: &LockedTarget, installed: &Installed) -> Action {
    let Some(because) = reason(environment, target, installed) else {
        let Current::Generation(id) = &installed.current else {
            unreachable!("only a generation can be without reason to change")
        };
        return Action::Keep { id: id.clone() };
    };
    let other = installed
        .generations
        .iter()
        .find(|(_, generation)| reason_of_generation(environment, target, generation).is_none());
    match other {
        Some((id, _)) => Action::Flip {
            to: id.clone(),
            because,
        },
        None => Action::Build { because },
    }
}

/// What each model id means, from the lock; for environments that have drifted, what the catalogue had before.
fn catalogue_of(lock: &Lock, request: &Request, there: Option<&Catalogue>) -> Catalogue {
    let drifted = |name: &EnvironmentName| request.drifted.contains(name);
    let stay = there.iter().flat_map(|there| &there.environments);
    let stay = stay
        .filter(|(name, _)| drifted(name))
        .map(|(name, of)| (name.clone(), of.clone()));
    let environments = lock.environments.iter().filter(|e| !drifted(&e.name));
    let environments = environments.map(|environment| {
        let settings = CatalogueEnvironment {
            variables: environment.variables.clone(),
            keep: environment.keep.clone(),
            functions: environment.functions.clone(),
        };
        (environment.name.clone(), settings)
    });
    let models_stay = there.iter().flat_map(|there| &there.models);
    let models_stay = models_stay.filter(|(_, model)| drifted(&model.environment));
    let models_stay = models_stay.map(|(id, model)| (id.clone(), model.clone()));
    let models = lock
        .models
        .iter()
        .filter(|model| !drifted(&model.environment));
    let models = models.map(|model| {
        let meaning = CatalogueModel {
            environment: model.environment.clone(),
            argument: model.argument.clone(),
            setup: model.setup.clone(),
            weights: model
                .weights
                .iter()
                .map(|weight| CatalogueWeight {
                    path: weight.path.clone(),
                    size: weight.size,
                    sha256: weight.sha256,
                })
                .collect(),
            about: model.about.clone(),
            reference: model.reference.clone(),
        };
        (model.id.clone(), meaning)
    });
    Catalogue {
        schema: catalogue::SCHEMA,
        cache: request.cache.map(Path::to_owned),
        environments: stay.chain(environments).collect(),
        models: models_stay.chain(models).collect(),
    }
}

impl Plan<'_> {
    /// Whether the root matches the lock already.
    pub fn is_nothing(&self) -> bool {
        let keeps = |step: &Step| matches!(step.action, Action::Keep { .. });
        self.catalogue.is_none()
            && self.access.is_none()
            && self.weights.is_empty()
            && self.prefetch.is_empty()
            && self.references.is_empty()
            && self.steps.iter().all(keeps)
    }
}

impl std::fmt::Display for AccessStep {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.was {
            Some(was) => write!(out, "{} (it was {was})", self.now),
            None => write!(out, "{} (not set before)", self.now),
        }
    }
}

impl std::fmt::Display for WeightReason {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            WeightReason::Missing => "it is not there",
            WeightReason::Changed => "it is not the locked file",
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
pub use request::{NoTarget, Request, target};
