//! From asking to deciding: keeps what still answers, has the rest solved, all environments at once.
//!
//! Which versions fit together is uv's decision; which file of a version is locked is made in [`choose`]. Nothing is
//! written here.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use pep440_rs::Version;
use pep508_rs::{PackageName, VersionOrUrl};
use rayon::prelude::*;
use tempfile::TempDir;

use crate::digest::Digest;
use crate::fetch;
use crate::files;
use crate::lock::{
    Distribution, Lock, LockedEnvironment, LockedPython, LockedSource, LockedTarget, Origin,
    Question, question,
};
use crate::manifest::{Environment, Manifest, Requirement, normal_form, python_allows};
use crate::name::EnvironmentName;
use crate::python::Interpreter;
use crate::target::Target;
use crate::uv::{Compile, Route, Unresolved, Uv};

mod ask;
mod askers;
mod assemble;
mod builds;
mod choose;
mod direct;
mod failure;
mod patches;
mod learn;
mod pythons;
mod weights;
mod yanked;

pub use assemble::Resolved;
pub use builds::Error as BuildError;
use choose::For;
pub use failure::{Error, Failure, Failures};
pub use pythons::Digester;
use pythons::{Pythons, Series};
pub use weights::{Weigh, Weighed};

/// What to move on from the versions of the old lock, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// What.
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
pub struct Means<'a> {
    /// The resolver; asked for only when there is something to solve.
    pub uv: &'a (dyn Fn() -> Result<Uv, crate::uv::Error> + Sync),
    /// The interpreters of this machine; asked for only when there is something to solve.
    pub interpreters: &'a (dyn Fn() -> Vec<Interpreter> + Sync),
    /// Asked for a weight file of which the manifest does not say the digest, or not the commit; may download it.
    pub weigh: &'a Weigh,
    /// The digest of an archive with a managed interpreter; asked for only when one has to be chosen.
    pub digest: &'a Digester<'a>,
    /// Provides a managed interpreter for use here; asked only where this machine has none of that series and a build
    /// backend must be asked what it needs.
    pub managed: &'a (dyn Fn(&LockedPython) -> Result<Interpreter, String> + Sync),
    /// The manifest's directory, where the paths of its requirements start.
    pub here: &'a Path,
    /// Where what is only needed meanwhile is kept.
    pub cache: &'a Path,
    /// The search path for programs.
    pub path: &'a OsStr,
    /// The variables of programs that are started, and of downloads.
    pub variables: &'a BTreeMap<OsString, OsString>,
    /// For servers of packages that want to know who asks.
    pub credentials: &'a fetch::Credentials,
    /// Hears which environment is being solved.
    pub heard: &'a (dyn Fn(&EnvironmentName) + Sync),
    /// Gets what a person should know of an answer.
    pub remark: &'a (dyn Fn(&str) + Sync),
}

/// A lock that answers the manifest in all these environments, or in all there are. What the old lock still answers is
/// kept as it is; what cannot be solved, and what is not asked for, stays as it was.
pub fn resolve(
    manifest: &Manifest,
    old: Option<&Lock>,
    only: Option<&[EnvironmentName]>,
    upgrade: &Upgrade,
    means: &Means,
) -> Result<Resolved, Error> {
    let kept = |environment: &Environment| {
        let locked = old?.environment(&environment.name)?;
        let targets: Vec<Target> = locked.targets.iter().map(|locked| locked.target).collect();
        let answers = locked.question == question(manifest, environment)
            && targets == manifest.targets
            && locked.targets.iter().all(|there| {
                python_fits(environment, &there.python) && is_current(environment, there)
            });
        (answers && !moves(upgrade, locked)).then_some(locked)
    };
    let asked =
        |environment: &&Environment| only.is_none_or(|only| only.contains(&environment.name));
    let asked: Vec<&Environment> = manifest.environments.iter().filter(asked).collect();
    let something_to_solve = asked.iter().any(|environment| kept(environment).is_none());
    let tools = something_to_solve
        .then(|| Tools::new(manifest, means))
        .transpose()?;
    let solver = tools.as_ref().map(|tools| Solver {
        manifest,
        old,
        upgrade,
        tools,
        pythons: Pythons {
            targets: &manifest.targets,
            upgrade,
            uv: &tools.uv,
            interpreters: &tools.interpreters,
            digest: means.digest,
            builds: OnceLock::new(),
            digests: Mutex::default(),
        },
        known: yanked::Known::default(),
        build_files: Mutex::default(),
        means,
    });
    let solve = |environment: &&Environment| match (kept(environment), &solver) {
        (Some(locked), _) => Ok(refreshed(environment, locked)),
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
        |lock, failures| weights::models(manifest, old, only, upgrade, means, lock, failures),
    ))
}

fn moves(upgrade: &Upgrade, locked: &LockedEnvironment) -> bool {
    match upgrade.of(&locked.name) {
        Moving::Nothing => false,
        Moving::All => true,
        Moving::Packages(names) => locked
            .targets
            .iter()
            .flat_map(LockedTarget::files)
            .any(|package| names.contains(&package.name)),
    }
}

/// Whether what lies beside the manifest is what was locked, and everything that is built has its build locked.
fn is_current(environment: &Environment, there: &LockedTarget) -> bool {
    there.packages.iter().all(|package| {
        let same = match &package.origin {
            Origin::Path { path, .. } => environment
                .local
                .get(path)
                .is_some_and(|local| local.sha256 == package.sha256),
            _ => true,
        };
        let pinned = package.distribution() == Distribution::Wheel
            || there.builds.contains_key(&package.name);
        same && pinned
    })
}

fn python_fits(environment: &Environment, python: &LockedPython) -> bool {
    environment
        .python
        .as_ref()
        .is_none_or(|asked| python.answers(asked))
        && environment
            .requires_python
            .as_ref()
            .is_none_or(|specifiers| python_allows(specifiers, &python.version))
}

/// The same packages with today's source and variables: those are not asked of the resolver.
fn refreshed(environment: &Environment, locked: &LockedEnvironment) -> LockedEnvironment {
    let mut refreshed = LockedEnvironment {
        source: LockedSource {
            path: environment.source.clone(),
            sha256: environment.sha256,
        },
        variables: environment.variables.clone(),
        keep: environment.keep.clone(),
        ..locked.clone()
    };
    seal(&mut refreshed);
    refreshed
}

/// Writes the digests of question and answers.
fn seal(environment: &mut LockedEnvironment) {
    environment.inputs = Digest::of(environment.asked());
    let digests: Vec<Digest> = environment
        .targets
        .iter()
        .map(|target| Digest::of(environment.answer(target)))
        .collect();
    for (target, digest) in environment.targets.iter_mut().zip(digests) {
        target.digest = digest;
    }
}

/// What is needed only if there is something to solve.
struct Tools {
    uv: Uv,
    interpreters: Vec<Interpreter>,
    /// Removed with everything in it when all is solved.
    work: TempDir,
    client: fetch::Client,
    /// The manifest's directory, as it is.
    here: PathBuf,
}

impl Tools {
    fn new(manifest: &Manifest, means: &Means) -> Result<Self, Error> {
        let uv = (means.uv)()?.with_indexes(&manifest.indexes);
        let interpreters = (means.interpreters)();
        Ok(Self {
            uv,
            interpreters,
            work: files::temporary_directory(means.cache, "lock-")?,
            client: fetch::Client::new(means.variables)?.with(means.credentials),
            here: files::real_path(&means.here.join("."))?,
        })
    }
}

/// What is the same for all targets of an environment.
struct Asked<'a> {
    environment: &'a Environment,
    question: &'a Question,
    old: Option<&'a LockedEnvironment>,
    /// Its interpreter for this machine, if this machine is one of its targets.
    here: Option<&'a LockedPython>,
}

struct Solver<'a> {
    manifest: &'a Manifest,
    old: Option<&'a Lock>,
    upgrade: &'a Upgrade,
    tools: &'a Tools,
    pythons: Pythons<'a>,
    known: yanked::Known,
    /// For builds of uv in an environment: packages of named indexes, each with the address of its wheel on this disk.
    build_files: Mutex<BTreeMap<(EnvironmentName, PackageName), String>>,
    means: &'a Means<'a>,
}

impl Solver<'_> {
    fn environment(
        &self,
        environment: &Environment,
        old: Option<&LockedEnvironment>,
    ) -> Result<LockedEnvironment, Failure> {
        (self.means.heard)(&environment.name);
        let (mut without_solution, mut first) = (Vec::new(), None);
        loop {
            let pythons = match self.pythons.of(environment, old, &without_solution) {
                Ok(pythons) => pythons,
                // No series is left: the first one is explained.
                Err(failure) => return Err(first.unwrap_or(failure)),
            };
            let series = pythons::series(&pythons[0].version);
            match self.on(environment, old, &pythons) {
                Err(failure) if environment.python.is_none() && failure.is_no_solution() => {
                    first.get_or_insert(failure);
                    without_solution.push(series);
                }
                Ok(locked) => {
                    self.remark_series(environment, series, &without_solution);
                    return Ok(locked);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Names the series that was chosen, and the newer ones that were not.
    fn remark_series(
        &self,
        environment: &Environment,
        (major, minor): Series,
        without_solution: &[Series],
    ) {
        if without_solution.is_empty() {
            return;
        }
        let others = without_solution.iter();
        let others: Vec<String> = others.map(|(a, b)| format!("{a}.{b}")).collect();
        (self.means.remark)(&format!(
            "environment `{}` is locked for Python {major}.{minor}, because it has no solution for {}; to keep to it, write \
             `python = \"{major}.{minor}\"` into its table",
            environment.name,
            others.join(", ")
        ));
    }

    /// The answer on these interpreters.
    fn on(
        &self,
        environment: &Environment,
        old: Option<&LockedEnvironment>,
        pythons: &[LockedPython],
    ) -> Result<LockedEnvironment, Failure> {
        let question = question(self.manifest, environment);
        let here = Target::here();
        let mut each = self.manifest.targets.iter().zip(pythons);
        let here = each.find(|(target, _)| here.is_some_and(|here| here.name() == target.name()));
        let asked = Asked {
            environment,
            question: &question,
            old,
            here: here.map(|(_, python)| python),
        };
        let each = self.manifest.targets.iter().zip(pythons);
        let targets = each
            .map(|(target, python)| self.target(&asked, target, python))
            .collect::<Result<Vec<_>, _>>()?;
        let mut locked = LockedEnvironment {
            name: environment.name.clone(),
            source: LockedSource {
                path: environment.source.clone(),
                sha256: environment.sha256,
            },
            variables: environment.variables.clone(),
            keep: environment.keep.clone(),
            question,
            resolver: self.tools.uv.identity(),
            inputs: Digest::of(""),
            targets,
        };
        seal(&mut locked);
        Ok(locked)
    }

    fn target(
        &self,
        asked: &Asked,
        target: &Target,
        locked: &LockedPython,
    ) -> Result<LockedTarget, Failure> {
        let &Asked {
            environment,
            question,
            old,
            here: native,
        } = asked;
        let python = &locked.version;
        let interpreter = self.any_interpreter(environment, python, native)?;
        let here = old.and_then(|old| old.target(target.name()));
        let direct = |name: &PackageName| {
            environment
                .dependencies
                .iter()
                .any(|asked| asked.name == *name && !is_reference(asked))
        };
        let ask = Compile {
            requirements: self.requirements(environment, old)?,
            constraints: question.values("constraint").to_vec(),
            overrides: environment.overrides.iter().map(normal_form).collect(),
            build_dependencies: Some(&environment.build_dependencies),
            excludes: question.values("exclude").to_vec(),
            preferences: here.map_or_else(Vec::new, |old| {
                self.preferences(&environment.name, &old.packages)
            }),
            exclude_newer: self.manifest.exclude_newer.as_deref(),
            routes: routes(environment)
                .filter(|route| direct(route.package))
                .collect(),
            interpreter: interpreter.as_ref().map(|i| i.executable.as_path()),
            ..Compile::default()
        };
        let answer = self.answer(environment, &ask, target, python)?;
        let stay = here.map_or_else(BTreeSet::new, |old| self.stay(&environment.name, old));
        let of = For {
            environment,
            target,
            python,
            here: native,
            old: here,
            build: None,
            stay: &stay,
        };
        let chosen = self.chosen(&of, self.candidates(environment, &[], answer)?)?;
        let builds = self.builds(&of, question, here, &chosen)?;
        Ok(LockedTarget {
            target: *target,
            packages: chosen
                .into_iter()
                .map(|chosen| chosen.package.into())
                .collect(),
            builds,
            python: locked.clone(),
            digest: Digest::of(""),
            trees: BTreeMap::new(),
        })
    }

    /// The interpreter of this machine that comes closest to a version: uv wants one. Where there is none at all, the
    /// managed one is provided.
    fn any_interpreter(
        &self,
        environment: &Environment,
        python: &Version,
        native: Option<&LockedPython>,
    ) -> Result<Option<Interpreter>, Failure> {
        let managed = native.filter(|native| native.archive().is_some());
        match (self.interpreter(python), managed) {
            (None, Some(managed)) => {
                let provided = (self.means.managed)(managed);
                provided.map(Some).map_err(|reason| Failure::Answer {
                    environment: environment.name.clone(),
                    reason,
                })
            }
            (found, _) => Ok(found.cloned()),
        }
    }

    /// An interpreter of the same version, or series, if there is one: it builds metadata of source distributions.
    fn interpreter(&self, python: &Version) -> Option<&Interpreter> {
        let release = python.release();
        let same = |parts: usize| {
            self.tools.interpreters.iter().find(move |interpreter| {
                let version = interpreter.version();
                version.is_some_and(|v| v.release().starts_with(&release[..parts]))
            })
        };
        same(release.len())
            .or_else(|| same(2))
            .or_else(|| self.tools.interpreters.first())
    }
}

fn is_reference(requirement: &Requirement) -> bool {
    matches!(requirement.version_or_url, Some(VersionOrUrl::Url(_)))
}

/// The environment's packages that come from an index of their own.
fn routes(environment: &Environment) -> impl Iterator<Item = Route<'_>> {
    environment
        .indexes
        .iter()
        .map(|(package, index)| Route { package, index })
}

fn unanswered(asking: &ask::Asking, unresolved: Unresolved) -> Failure {
    let environment = asking.environment;
    match unresolved {
        Unresolved::Unsatisfiable(why) => Failure::Unsatisfiable {
            environment: environment.name.clone(),
            target: *asking.target,
            python: asking.shown.clone(),
            source_path: environment.source.clone(),
            why,
        },
        other => Failure::Resolver {
            environment: environment.name.clone(),
            advice: other.advice(),
            why: other.explained(),
        },
    }
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
