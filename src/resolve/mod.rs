//! From asking to deciding: keeps what still answers, has the rest solved, all environments at once.
//!
//! Which versions fit together is uv's decision; which file of a version is locked is made in [`choose`]. Nothing is
//! written here.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use miette::Diagnostic;
use pep440_rs::Version;
use pep508_rs::{PackageName, VersionOrUrl};
use rayon::prelude::*;
use tempfile::TempDir;

use crate::digest::Digest;
use crate::fetch;
use crate::files;
use crate::hub;
use crate::lock::{
    Distribution, Lock, LockedEnvironment, LockedModel, LockedPython, LockedSource, LockedTarget,
    LockedWeight, Origin, Question, question,
};
use crate::manifest::{
    Environment, Manifest, Model, Requirement, Weight, normal_form, python_allows,
};
use crate::name::{EnvironmentName, ModelId};
use crate::python::Interpreter;
use crate::target::Target;
use crate::uv::{Compile, Route, Unresolved, Uv};

mod builds;
mod choose;
mod direct;
mod pythons;

pub use builds::Error as BuildError;
use choose::For;
pub use pythons::Digester;
use pythons::Pythons;

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

/// What was found out about a weight file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed {
    /// The commit, of a file of the hub.
    pub commit: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Its digest.
    pub sha256: Digest,
}

/// Finds out about a weight file what the manifest does not say, or tells why not.
pub type Weigh = dyn Fn(&Weight) -> Result<Weighed, String> + Sync;

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
}

/// Why an environment has no answer.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Failure {
    /// The requirements contradict each other.
    #[error(
        "environment `{environment}` has no solution for {target} with Python {python}:\n{why}"
    )]
    #[diagnostic(help(
        "change its requirements, in `{source_path}` or in the manifest, so that one version of each package fits all"
    ))]
    Unsatisfiable {
        /// The environment.
        environment: EnvironmentName,
        /// For which machine.
        target: Target,
        /// For which Python.
        python: Version,
        /// The environment's source file.
        source_path: String,
        /// The resolver's explanation.
        why: String,
    },
    /// The resolver could not work.
    #[error("environment `{environment}` could not be resolved:\n{why}")]
    #[diagnostic(help(
        "is the package index reachable from here? proxies and mirrors are read from HTTPS_PROXY, UV_DEFAULT_INDEX and \
         SSL_CERT_FILE"
    ))]
    Resolver {
        /// The environment.
        environment: EnvironmentName,
        /// What it said.
        why: String,
    },
    /// No interpreter of this machine is allowed by `requires-python`.
    #[error(
        "no Python on PATH satisfies `requires-python = \"{wanted}\"` of environment `{environment}`\n{found}"
    )]
    #[diagnostic(help(
        "put one on PATH, or say which version to lock with `python = \"3.11\"` in the manifest"
    ))]
    NoPython {
        /// The environment.
        environment: EnvironmentName,
        /// What it requires.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// No managed interpreter is of the version asked for.
    #[error(
        "there is no managed CPython {wanted} for {target}, which environment `{environment}` asks for; {has}"
    )]
    #[diagnostic(help(
        "ask for one of these (`python = \"3.11\"`), or use the machine's own with `python-source = \"system\"`"
    ))]
    NoBuild {
        /// The environment.
        environment: EnvironmentName,
        /// What it asks for.
        wanted: String,
        /// For which machine.
        target: Target,
        /// What there is.
        has: String,
    },
    /// The digest of an archive with a managed interpreter cannot be had.
    #[error(
        "the interpreter of environment `{environment}` cannot be locked: nobody says the sha256 of `{url}`\n{reason}"
    )]
    #[diagnostic(help(
        "a site without access names a mirror of such archives in `python-mirror` or ROOTSTOCK_PYTHON_MIRROR, or uses \
         the machine's own interpreter with `python-source = \"system\"`"
    ))]
    Archive {
        /// The environment.
        environment: EnvironmentName,
        /// The archive.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// Packages of which no file may be installed.
    #[error(
        "environment `{environment}` needs what cannot be installed on {target} with Python {python}:\n{list}"
    )]
    #[diagnostic(help("{advice}"))]
    NoFile {
        /// The environment.
        environment: EnvironmentName,
        /// For which machine.
        target: Target,
        /// For which Python.
        python: Version,
        /// Each package and why.
        list: String,
        /// The line to add to the manifest.
        advice: String,
    },
    /// A weight file that cannot be had.
    #[error("the weights of model `{model}` cannot be locked: {reason}")]
    #[diagnostic(help(
        "write its `sha256` (and the commit, if it is a file of the hub) into the manifest, and it need not be reached to be \
         locked"
    ))]
    Weights {
        /// The model.
        model: ModelId,
        /// What went wrong.
        reason: String,
    },
    /// It cannot be told what building a package takes.
    #[error(
        "environment `{environment}`: the build requirements of `{package}` cannot be locked: {why}"
    )]
    #[diagnostic(help(
        "a source distribution is built with what the lock says; a version that is published as a wheel needs no build"
    ))]
    Build {
        /// The environment.
        environment: EnvironmentName,
        /// The package.
        package: String,
        /// What went wrong.
        why: Box<BuildError>,
    },
    /// A repository cannot be had.
    #[error("environment `{environment}`: `{package}` cannot be locked: {why}")]
    #[diagnostic(help(
        "it must be reachable from here; credentials are git's business: set up its helper or an ssh key"
    ))]
    Repository {
        /// The environment.
        environment: EnvironmentName,
        /// The package.
        package: String,
        /// What went wrong.
        why: Box<crate::project::git::Error>,
    },
    /// An answer that makes no sense.
    #[error("environment `{environment}`: {reason}")]
    Answer {
        /// The environment.
        environment: EnvironmentName,
        /// What is wrong with it.
        reason: String,
    },
}

/// Nothing could be decided, or not everything.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// There is no resolver.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Uv(#[from] crate::uv::Error),
    /// There is no place to work in, or no way to download.
    #[error(transparent)]
    Files(#[from] crate::files::Error),
    /// There is no way to download.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// Some environments have no answer.
    #[error("{} not be locked", count(failures.len()))]
    Failures {
        /// Each of them.
        #[related]
        failures: Vec<Failure>,
    },
}

fn count(failures: usize) -> String {
    match failures {
        1 => "one environment could".into(),
        n => format!("{n} environments could"),
    }
}

/// A lock that answers the manifest. What the old lock still answers is kept as it is.
pub fn resolve(
    manifest: &Manifest,
    old: Option<&Lock>,
    upgrade: &Upgrade,
    means: &Means,
) -> Result<Lock, Error> {
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
    let something_to_solve = manifest
        .environments
        .iter()
        .any(|environment| kept(environment).is_none());
    let tools = if something_to_solve {
        let uv = (means.uv)()?.with_indexes(&manifest.indexes);
        let interpreters = (means.interpreters)();
        files::create_directories(means.cache)?;
        Some(Tools {
            uv,
            interpreters,
            work: files::temporary_directory(means.cache, "lock-")?,
            client: fetch::Client::new(means.variables)?.with(means.credentials),
            here: files::real_path(&means.here.join("."))?,
        })
    } else {
        None
    };
    let solver = tools.as_ref().map(|tools| Solver {
        manifest,
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
        means,
    });
    let solve = |environment: &Environment| match (kept(environment), &solver) {
        (Some(locked), _) => Ok(refreshed(environment, locked)),
        (None, Some(solver)) => solver.environment(
            environment,
            old.and_then(|old| old.environment(&environment.name)),
        ),
        (None, None) => unreachable!("the solver is there if one environment is not kept"),
    };
    // Solving waits for the network most of the time, so a few at once cost a login node little.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(manifest.environments.len().clamp(1, 8))
        .build();
    let answers: Vec<Result<LockedEnvironment, Failure>> = match pool {
        Ok(pool) => pool.install(|| manifest.environments.par_iter().map(solve).collect()),
        // No threads are to be had: one after another works as well.
        Err(_) => manifest.environments.iter().map(solve).collect(),
    };
    let (mut environments, mut failures) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(mut environment) => {
                if let Some(old) = old.and_then(|old| old.environment(&environment.name)) {
                    environment.keep_recorded(old);
                }
                environments.push(environment);
            }
            Err(failure) => failures.push(failure),
        }
    }
    let models = models(manifest, old, upgrade, means, &mut failures);
    if failures.is_empty() {
        Ok(Lock {
            environments,
            models,
        })
    } else {
        Err(Error::Failures { failures })
    }
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
            Origin::Path(path) => environment
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

fn models(
    manifest: &Manifest,
    old: Option<&Lock>,
    upgrade: &Upgrade,
    means: &Means,
    failures: &mut Vec<Failure>,
) -> Vec<LockedModel> {
    let mut models = Vec::new();
    for Model {
        id,
        environment,
        argument,
        setup,
        weights,
    } in &manifest.models
    {
        // The digest of a file that is already locked stays: a remote file that changes is an error, not a new digest.
        let locked = old
            .filter(|_| *upgrade.of(environment) != Moving::All)
            .and_then(|old| old.models.iter().find(|m| m.id == *id));
        let locked = locked.map_or(&[][..], |locked| &locked.weights);
        let weights = weights
            .iter()
            .map(|weight| self::weight(weight, locked, means))
            .collect::<Result<_, _>>();
        match weights {
            Ok(weights) => models.push(LockedModel {
                id: id.clone(),
                environment: environment.clone(),
                argument: argument.clone(),
                setup: setup.clone(),
                weights,
            }),
            Err(reason) => failures.push(Failure::Weights {
                model: id.clone(),
                reason,
            }),
        }
    }
    models
}

fn weight(asked: &Weight, locked: &[LockedWeight], means: &Means) -> Result<LockedWeight, String> {
    let Weight {
        url,
        path,
        sha256,
        size,
    } = asked;
    let known = |there: &&LockedWeight| {
        there.url == *url
            && sha256.is_none_or(|s| s == there.sha256)
            && size.is_none_or(|s| Some(s) == there.size)
    };
    let of_the_hub: Option<hub::File> = url.parse().ok();
    let pinned = of_the_hub.as_ref().and_then(hub::File::commit);
    let found = if let Some(there) = locked.iter().find(known) {
        Weighed {
            commit: there.commit.clone(),
            size: there.size,
            sha256: there.sha256,
        }
    } else {
        match sha256 {
            Some(sha256) if of_the_hub.is_some() == pinned.is_some() => Weighed {
                commit: pinned.map(str::to_owned),
                size: *size,
                sha256: *sha256,
            },
            _ => (means.weigh)(asked)?,
        }
    };
    if let (Some(size), Some(found)) = (size, found.size)
        && *size != found
    {
        return Err(format!(
            "`{url}` has {found} bytes, not {size} as the manifest says"
        ));
    }
    if let Some(sha256) = sha256.filter(|sha256| *sha256 != found.sha256) {
        return Err(format!(
            "`{url}` has the sha256 {}, not {sha256} as the manifest says",
            found.sha256
        ));
    }
    let file = of_the_hub.zip(found.commit.as_deref());
    let snapshot = file.map(|(file, commit)| file.at(commit).snapshot());
    Ok(LockedWeight {
        url: url.clone(),
        path: path
            .clone()
            .or(snapshot)
            .ok_or_else(|| format!("`{url}` has no path below the cache"))?,
        commit: found.commit,
        size: found.size,
        sha256: found.sha256,
    })
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
    upgrade: &'a Upgrade,
    tools: &'a Tools,
    pythons: Pythons<'a>,
    means: &'a Means<'a>,
}

impl Solver<'_> {
    fn environment(
        &self,
        environment: &Environment,
        old: Option<&LockedEnvironment>,
    ) -> Result<LockedEnvironment, Failure> {
        (self.means.heard)(&environment.name);
        let pythons = self.pythons.of(environment, old)?;
        let question = question(self.manifest, environment);
        let here = Target::here();
        let mut each = self.manifest.targets.iter().zip(&pythons);
        let here = each.find(|(target, _)| here.is_some_and(|here| here.name() == target.name()));
        let asked = Asked {
            environment,
            question: &question,
            old,
            here: here.map(|(_, python)| python),
        };
        let each = self.manifest.targets.iter().zip(&pythons);
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
            excludes: question.values("exclude").to_vec(),
            preferences: here.map_or_else(Vec::new, |old| {
                self.preferences(&environment.name, &old.packages)
            }),
            exclude_newer: self.manifest.exclude_newer.as_deref(),
            routes: routes(environment)
                .filter(|route| direct(route.package))
                .collect(),
            no_dependencies: false,
            interpreter: interpreter.as_ref().map(|i| i.executable.as_path()),
        };
        let answer = self.answer(environment, ask, target, python)?;
        let of = For {
            environment,
            target,
            python,
            here: native,
            build: None,
        };
        let chosen = choose::packages(&of, self.candidates(environment, answer)?)?;
        let builds = self.builds(&of, question, here, &chosen)?;
        Ok(LockedTarget {
            target: *target,
            packages: chosen.into_iter().map(|chosen| chosen.package).collect(),
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

fn unanswered(
    environment: &Environment,
    target: &Target,
    python: &Version,
    unresolved: Unresolved,
) -> Failure {
    match unresolved {
        Unresolved::Unsatisfiable(why) => Failure::Unsatisfiable {
            environment: environment.name.clone(),
            target: *target,
            python: python.clone(),
            source_path: environment.source.clone(),
            why,
        },
        other => Failure::Resolver {
            environment: environment.name.clone(),
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
