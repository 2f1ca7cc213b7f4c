//! From asking to deciding: keeps what still answers, has the rest solved, all environments at once.
//!
//! Which versions fit together is uv's decision; which file of a version is locked is made in [`choose`]. Nothing is
//! written here.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;

use pep508_rs::PackageName;
use rayon::prelude::*;

use crate::lock::{Lock, LockedEnvironment, LockedPython};
use crate::manifest::{Environment, Manifest};
use crate::name::EnvironmentName;

mod ask;
mod askers;
mod assemble;
mod builds;
mod choose;
mod direct;
mod downloads;
mod failure;
mod kept;
mod learn;
mod patches;
mod pythons;
mod solver;
mod upgrade;
mod weights;
mod yanked;

pub use crate::fetch::{Credentials, Mirror};
pub use crate::hub::Hub;
pub use crate::python::Interpreter;
pub use crate::uv::{Search, Uv};
pub use assemble::Resolved;
pub use builds::Error as BuildError;
pub use failure::{Error, Failure, Failures};
use kept::python_fits;
use solver::{Resolver, Solver, routes, unanswered};
pub use upgrade::Error as UpgradeError;
pub use weights::MeasuredWeight;

/// What to move on from the versions of the old lock, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// Which packages move on.
    pub what: Moving,
    /// Only in these environments and their models; in all if `None`.
    pub environments: Option<BTreeSet<EnvironmentName>>,
}

/// What to move on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Moving {
    /// Nothing: stay with every version that still fits.
    #[default]
    Nothing,
    /// Everything, and weights that the manifest gives no digest of.
    All,
    /// These packages.
    Packages(BTreeSet<PackageName>),
}

impl Upgrade {
    /// What moves in this environment.
    fn of(&self, environment: &EnvironmentName) -> &Moving {
        match &self.environments {
            Some(names) if !names.contains(environment) => &Moving::Nothing,
            _ => &self.what,
        }
    }
}

/// What a resolution needs beside the manifest.
pub struct Context<'a> {
    /// The resolver; asked for only when there is something to solve.
    pub uv: &'a (dyn Fn() -> Result<Uv, crate::uv::Error> + Sync),
    /// The interpreters of this machine; asked for only when there is something to solve.
    pub interpreters: &'a (dyn Fn() -> Vec<Interpreter> + Sync),
    /// For weight files of which the manifest gives no digest, or no commit.
    pub hub: &'a Hub,
    /// Where archives with interpreters are mirrored.
    pub mirror: Option<&'a Mirror>,
    /// Provides a managed interpreter for use here; asked only where this machine has none of that series and a build
    /// backend must be asked what it needs.
    pub managed: &'a (dyn Fn(&LockedPython) -> Result<Interpreter, String> + Sync),
    /// The manifest's directory, where the paths of its requirements start.
    pub here: &'a Path,
    /// The directory for temporary files.
    pub cache: &'a Path,
    /// The search path for programs.
    pub path: &'a OsStr,
    /// The variables of programs that are started, and of downloads.
    pub variables: &'a BTreeMap<OsString, OsString>,
    /// Credentials for package indexes.
    pub credentials: &'a Credentials,
    /// Credentials for weight files, which are those of no index.
    pub credentials_for_weights: &'a Credentials,
    /// Called with each environment that is resolved, before that begins.
    pub on_environment: &'a (dyn Fn(&EnvironmentName) + Sync),
    /// Prints a warning, or what takes its time.
    pub remark: &'a (dyn Fn(&str) + Sync),
}

/// A lock that answers the manifest in all these environments, or in all there are. What the old lock still answers is
/// kept as it is; what cannot be solved, and what is not asked for, stays as it was.
pub fn resolve(
    manifest: &Manifest,
    old: Option<&Lock>,
    only: Option<&[EnvironmentName]>,
    upgrade: &Upgrade,
    context: &Context,
) -> Result<Resolved, Error> {
    let kept = |environment: &Environment| kept::answer(manifest, old, upgrade, environment);
    let asked =
        |environment: &&Environment| only.is_none_or(|only| only.contains(&environment.name));
    let asked: Vec<&Environment> = manifest.environments.iter().filter(asked).collect();
    let something_to_solve = asked.iter().any(|environment| kept(environment).is_none());
    let resolver = something_to_solve
        .then(|| Resolver::new(manifest, context))
        .transpose()?;
    let solver = resolver
        .as_ref()
        .map(|resolver| Solver::new(manifest, old, upgrade, resolver, context));
    let solve = |environment: &&Environment| match (kept(environment), &solver) {
        (Some(locked), _) => Ok(kept::refreshed(environment, locked)),
        (None, Some(solver)) => solver.environment(
            environment,
            old.and_then(|old| old.environment(&environment.name)),
        ),
        (None, None) => unreachable!("the solver is there if one environment is not kept"),
    };
    // Solving waits for the network most of the time, so a few at once cost a login node little.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(asked.len().clamp(1, 8))
        .build();
    let answers: Vec<Result<LockedEnvironment, Failure>> = match pool {
        Ok(pool) => pool.install(|| asked.par_iter().map(solve).collect()),
        // No threads are to be had: one after another works as well.
        Err(_) => asked.iter().map(solve).collect(),
    };
    let answers = asked.iter().map(|asked| &asked.name).zip(answers).collect();
    Ok(assemble::lock(
        manifest,
        old,
        only,
        answers,
        |lock, failures| weights::models(manifest, old, only, upgrade, context, lock, failures),
    ))
}

/// The interpreters of a machine, for a message.
pub(crate) fn listed(interpreters: &[Interpreter]) -> String {
    if interpreters.is_empty() {
        return "found none".into();
    }
    let lines: Vec<String> = interpreters
        .iter()
        .map(|interpreter| format!("found {interpreter}"))
        .collect();
    lines.join("\n")
}
