//! One environment on its way into the lock: its interpreters, then, for each target, its packages and what builds them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use pep440_rs::Version;
use pep508_rs::{PackageName, VersionOrUrl};
use tempfile::TempDir;

use super::ask::Asking;
use super::choose::Criteria;
use super::kept::seal;
use super::pythons::{self, Pythons, Series};
use super::{Context, Error, Failure, Upgrade, downloads, yanked};
use crate::digest::Digest;
use crate::fetch;
use crate::files;
use crate::lock::{
    Lock, LockedEnvironment, LockedPython, LockedSource, LockedTarget, Question, question,
};
use crate::manifest::{Environment, Manifest, Requirement, normal_form};
use crate::name::EnvironmentName;
use crate::python::Interpreter;
use crate::report::{chain, help};
use crate::target::Target;
use crate::uv::{Compile, Route, Unresolved, Uv};

/// What is needed only if there is something to solve.
pub(super) struct Resolver {
    pub(super) uv: Uv,
    pub(super) interpreters: Vec<Interpreter>,
    /// Removed with everything in it when all is solved.
    pub(super) work: TempDir,
    pub(super) client: fetch::Client,
    /// The manifest's directory, as it is.
    pub(super) here: PathBuf,
}

impl Resolver {
    pub(super) fn new(manifest: &Manifest, context: &Context) -> Result<Self, Error> {
        let uv = (context.uv)()?.with_indexes(&manifest.indexes);
        let interpreters = (context.interpreters)();
        Ok(Self {
            uv,
            interpreters,
            work: files::temporary_directory(context.cache, "lock-")?,
            client: fetch::Client::new(context.variables)?.with(context.credentials),
            here: files::real_path(&context.here.join("."))?,
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

pub(super) struct Solver<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) old: Option<&'a Lock>,
    pub(super) upgrade: &'a Upgrade,
    pub(super) resolver: &'a Resolver,
    pub(super) pythons: Pythons<'a>,
    pub(super) known: yanked::Known,
    /// For builds of uv in an environment: packages of named indexes, each with the address of its wheel on this disk.
    pub(super) build_files: Mutex<BTreeMap<(EnvironmentName, PackageName), String>>,
    pub(super) context: &'a Context<'a>,
}

impl<'a> Solver<'a> {
    pub(super) fn new(
        manifest: &'a Manifest,
        old: Option<&'a Lock>,
        upgrade: &'a Upgrade,
        resolver: &'a Resolver,
        context: &'a Context<'a>,
    ) -> Self {
        Self {
            manifest,
            old,
            upgrade,
            resolver,
            pythons: Pythons {
                targets: &manifest.targets,
                upgrade,
                uv: &resolver.uv,
                interpreters: &resolver.interpreters,
                context,
                lists: downloads::Lists::default(),
                builds: OnceLock::new(),
                digests: Mutex::default(),
            },
            known: yanked::Known::default(),
            build_files: Mutex::default(),
            context,
        }
    }
}

impl Solver<'_> {
    pub(super) fn environment(
        &self,
        environment: &Environment,
        old: Option<&LockedEnvironment>,
    ) -> Result<LockedEnvironment, Failure> {
        (self.context.on_environment)(&environment.name);
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
                    self.report_series(environment, series, &without_solution);
                    return Ok(locked);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Names the series that was chosen, and the newer ones that were not.
    fn report_series(
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
        (self.context.remark)(&format!(
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
            functions: environment.functions.clone(),
            bytecode: environment.bytecode,
            question,
            resolver: self.resolver.uv.identity(),
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
            exclude_newer: environment.exclude_newer.as_deref(),
            routes: routes(environment)
                .filter(|route| direct(route.package))
                .collect(),
            interpreter: interpreter.as_ref().map(|i| i.executable.as_path()),
            ..Compile::default()
        };
        let answer = self.answer(environment, &ask, target, python)?;
        let stay = here.map_or_else(BTreeSet::new, |old| self.stay(&environment.name, old));
        let of = Criteria {
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
    pub(super) fn any_interpreter(
        &self,
        environment: &Environment,
        python: &Version,
        native: Option<&LockedPython>,
    ) -> Result<Option<Interpreter>, Failure> {
        let managed = native.filter(|native| native.archive().is_some());
        match (self.interpreter(python), managed) {
            (None, Some(managed)) => {
                let provided = (self.context.managed)(managed);
                provided.map(Some).map_err(|reason| Failure::Answer {
                    environment: environment.name.clone(),
                    reason,
                })
            }
            (found, _) => Ok(found.cloned()),
        }
    }

    /// An interpreter of the same version, or series, if there is one: it builds metadata of source distributions.
    pub(super) fn interpreter(&self, python: &Version) -> Option<&Interpreter> {
        let release = python.release();
        let same = |parts: usize| {
            self.resolver.interpreters.iter().find(move |interpreter| {
                let version = interpreter.version();
                version.is_some_and(|v| v.release().starts_with(&release[..parts]))
            })
        };
        same(release.len())
            .or_else(|| same(2))
            .or_else(|| self.resolver.interpreters.first())
    }
}

fn is_reference(requirement: &Requirement) -> bool {
    matches!(requirement.version_or_url, Some(VersionOrUrl::Url(_)))
}

/// The environment's packages that come from an index of their own.
pub(super) fn routes(environment: &Environment) -> impl Iterator<Item = Route<'_>> {
    environment
        .indexes
        .iter()
        .map(|(package, index)| Route { package, index })
}

pub(super) fn unanswered(asking: &Asking, unresolved: Unresolved) -> Failure {
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
            advice: help(&other),
            why: chain(&other),
        },
    }
}
