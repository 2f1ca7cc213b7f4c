//! Makes a root match a lock, in one straight way. Prints nothing: events go to the progress of the context.
//!
//! ```text
//! lock, request ──plan::needs──▶ Needs ──store::look──▶ Disk ──plan::plan──▶ Plan ──carry_out──▶ Outcome
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::build::progress::Event;
use crate::build::supply::Supply;
use crate::build::{self, Context, weights};
use crate::files;
use crate::lock::Lock;
use crate::name::ModelId;
use crate::plan::{self, NoTarget, Plan, PrefetchReason, PrefetchStep, Request};
use crate::runtime::user_cache;
use crate::store::policy;
use crate::store::prefetched::Record;
use crate::store::{self, Root, Verifier, layout};

pub mod bundle;
pub mod drift;
pub(crate) mod prefetch;
pub mod preview;
pub mod record;
pub mod references;
pub mod report;

/// How closely a root is read before it is decided what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Names, sizes and stamps: a few milliseconds.
    Quick,
    /// Also every byte of weights.
    Weights,
    /// Every byte of everything; what is damaged is moved to the trash, so that it is made again.
    Repair,
}

/// Which parts of a root are made to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// All of them.
    All,
    /// Environments, and what each model id means.
    Environments,
    /// Weights of models, and what models fetch themselves.
    Models,
}

/// A root cannot be made to match.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It cannot be looked at.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Look(#[from] store::look::Error),
    /// The lock has nothing for this machine type.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Target(#[from] NoTarget),
    /// Its policy cannot be followed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Policy(#[from] store::policy::Error),
    /// It cannot be changed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Root(#[from] build::RootError),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

impl From<layout::Error> for Error {
    fn from(error: layout::Error) -> Self {
        Error::Root(error.into())
    }
}

/// What has to be done so that a root matches the lock. Changes nothing, unless it is to be repaired. Uses the rayon pool
/// it is called in; `warn` gets what cannot be repaired; the rest goes on.
pub fn plan<'l>(
    root: &Root,
    lock: &'l Lock,
    request: &Request,
    depth: Depth,
    parts: Parts,
    warn: &dyn Fn(&str),
) -> Result<Plan<'l>, Error> {
    let verifier = Verifier::default();
    if depth == Depth::Repair {
        apply_policy_again(root, warn)?;
        store::repair::discard_damaged(root, &verifier)?;
    }
    let depth = match depth {
        Depth::Quick => store::Depth::Quick,
        Depth::Weights => store::Depth::Weights,
        Depth::Repair => store::Depth::Everything(&verifier),
    };
    let disk = store::look(root, &plan::needs(lock, request), depth)?;
    let mut plan = plan::plan(lock, request, &disk)?;
    parts.narrow(&mut plan);
    Ok(plan)
}

impl Parts {
    fn narrow(self, plan: &mut Plan) {
        if self == Parts::Models {
            plan.steps.clear();
            plan.catalogue = None;
        }
        if self == Parts::Environments {
            plan.weights.clear();
            plan.references.clear();
            plan.prefetch.clear();
        }
    }
}

/// Takes out of a plan the models that would have to be loaded for the first time, if nothing may be downloaded and the
/// bundle does not have what they need: whether they need anything is not known. Those whose files are known to be
/// missing stay, and fail.
pub fn leave_out_unknown(plan: &mut Plan, supply: &Supply) -> Vec<ModelId> {
    if supply.network.is_some() {
        return Vec::new();
    }
    let bundled = |step: &PrefetchStep| {
        let bundle = supply.bundle.as_ref();
        let there = bundle.map(|bundle| bundle.prefetched(&step.model.id, &step.key));
        // That a bundle cannot be read is reported when its files are taken.
        there.is_some_and(|there| there.is_err() || there.is_ok_and(|there| there.is_some()))
    };
    let is_unknown = |step: &PrefetchStep| {
        matches!(
            step.because,
            PrefetchReason::Never | PrefetchReason::Outdated
        ) && !bundled(step)
    };
    let (unknown, known) = std::mem::take(&mut plan.prefetch)
        .into_iter()
        .partition(is_unknown);
    plan.prefetch = known;
    let unknown: Vec<PrefetchStep> = unknown;
    unknown
        .into_iter()
        .map(|step| step.model.id.clone())
        .collect()
}

/// How everything ended. The results are in the order of the plan's steps.
#[derive(Debug)]
pub struct Outcome<'p> {
    /// What was to be done; without the models of environments that could not be built.
    pub plan: Plan<'p>,
    /// Environments.
    pub environments: Vec<build::Outcome>,
    /// Weight files.
    pub weights: Vec<Result<(), weights::Error>>,
    /// The catalogue, and what revisions of the hub mean.
    pub written: files::Result<()>,
    /// What models have fetched themselves.
    pub prefetched: Vec<Result<Record, prefetch::Error>>,
}

/// Makes the root match the plan, as far as possible: what fails does not keep the rest from being done. `inherited` are
/// all variables of the caller; models see those that a worker would see.
pub fn carry_out<'p>(
    mut plan: Plan<'p>,
    context: &Context,
    inherited: &BTreeMap<OsString, OsString>,
) -> Result<Outcome<'p>, Error> {
    let root = context.root;
    if plan.access.is_some() {
        apply_policy(root)?;
    }
    let mut environments = build::carry_out(&plan, context)?;
    let weights = if plan.weights.is_empty() {
        Vec::new()
    } else {
        weights::fetch(&plan.weights, root, &context.supply, &*context.progress)
    };
    let written = build::write_small_files(&plan, root);
    build::look_again(&mut environments, root);
    if written.is_err() {
        // The catalogue has what a model is called with.
        plan.prefetch.clear();
    }
    let has_failed = |step: &PrefetchStep| {
        let name = &step.model.environment;
        let of = environments.iter().find(|of| of.environment == *name);
        of.is_some_and(|of| of.result.is_err())
    };
    plan.prefetch.retain(|step| !has_failed(step));
    // One after another: each may take as much memory as a node has.
    let prefetched = plan.prefetch.iter();
    let prefetched = prefetched
        .map(|step| prefetch_one(step, context, inherited))
        .collect();
    Ok(Outcome {
        plan,
        environments,
        weights,
        written,
        prefetched,
    })
}

/// Has a model fetch what it needs, unless the bundle has it.
fn prefetch_one(
    step: &PrefetchStep,
    context: &Context,
    inherited: &BTreeMap<OsString, OsString>,
) -> Result<Record, prefetch::Error> {
    let (root, supply, model) = (context.root, &context.supply, &step.model.id);
    if let Some(bundle) = &supply.bundle
        && let Some(record) = bundle.prefetched(model, &step.key)?
    {
        let places = (bundle.root(), root);
        prefetch::carry(model, &record, places, &supply.variables)?;
        return Ok(record);
    }
    if supply.network.is_none() {
        return Err(prefetch::Error::Offline);
    }
    user_cache::check_user_cache(inherited)?;
    context
        .progress
        .on_event(Event::Loading(model.clone(), step.because.to_string()));
    let warn = |text: &str| context.progress.on_event(Event::Warning(text.to_owned()));
    prefetch::prefetch(root, step, inherited, &warn)
}

/// Has a root follow its policy, for a repair. What others have left there that only they can change is read with everything
/// else, and made anew where it is needed and cannot be read.
fn apply_policy_again(root: &Root, warn: &dyn Fn(&str)) -> Result<(), Error> {
    let is_new = layout::access(root)?.as_ref() != root.access();
    match apply_policy(root) {
        Err(Error::Policy(error @ policy::Error::OfOthers { .. })) if !is_new => {
            warn(&format!("warning: {error}"));
            Ok(())
        }
        other => other,
    }
}

/// Has everything in a root follow its policy, what is there already included. Only then does the root say that it has
/// one.
fn apply_policy(root: &Root) -> Result<(), Error> {
    if let Some(policy) = root.policy() {
        if files::exists(root.path()) {
            policy.apply(root)?;
        }
        layout::create(root)?;
    }
    Ok(())
}
