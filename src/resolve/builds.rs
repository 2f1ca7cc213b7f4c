//! What building a source distribution takes: resolved, and pinned with hashes, when it is locked.
//!
//! ```text
//! archive ──▶ pyproject.toml: requires ──uv──▶ wheels ──▶ backend asked: get_requires_for_build_wheel
//!                                               ▲                       │ more
//!                                               └───────────────────────┘
//! ```
//!
//! The backend is asked on this machine, whatever the target: its answer is requirements, which are then resolved for the
//! target. `sync` asks it again before it builds, and refuses what the lock does not hold. It takes an interpreter of the
//! locked series: one of this machine, else the environment's own, if it is a managed one. Wheels only: what builds packages
//! is not built itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use pep440_rs::Version;
use pep508_rs::PackageName;

use super::choose::{Chosen, Criteria};
use super::{Failure, Solver, routes};
use crate::fetch;
use crate::files;
use crate::lock::{Distribution, InternedPackage, LockedPackage, LockedTarget, Question};
use crate::manifest::{Requirement, normal_form};
use crate::name;
use crate::project::{Backend, Hook, backend, unpack};
use crate::report::help;
use crate::target::Target;
use crate::uv::{Compile, Route};

/// Why the build requirements of a package cannot be found out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source distribution cannot be downloaded.
    #[error("it cannot be downloaded: {0}")]
    Fetch(#[from] fetch::Error),
    /// It cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] unpack::Error),
    /// It has no such directory.
    #[error("`{file}` has no directory `{within}`")]
    NoSubdirectory {
        /// The archive's name.
        file: String,
        /// What is named as its subdirectory.
        within: String,
    },
    /// It has a pointer of Git LFS in the place of a file.
    #[error("`{path}` in `{file}` is a Git LFS pointer, not the file itself")]
    Pointer {
        /// The archive's name.
        file: String,
        /// The file in it.
        path: String,
    },
    /// Its backend cannot be asked.
    #[error(transparent)]
    Backend(#[from] backend::Error),
    /// There is no interpreter to ask it with.
    #[error("its build backend must be asked what it needs, and there is no Python {0} here")]
    NoPython(Version),
    /// There is none but the managed one, which cannot be had.
    #[error(
        "its build backend must be asked what it needs, and there is no Python for that here: {0}"
    )]
    Managed(String),
    /// A file operation failed.
    #[error(transparent)]
    Files(#[from] files::Error),
}

impl Diagnostic for Error {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(match self {
            Error::Pointer { file, .. } => Box::new(unpack::pointer_advice(file)),
            Error::Fetch(error) => error
                .help()
                .unwrap_or_else(|| Box::new("its address must be reachable from here")),
            _ => Box::new(
                "a source distribution is built with locked packages; a version that is published as a wheel needs no \
                 build",
            ),
        })
    }
}

/// A source distribution on its way into the lock.
struct Project<'a> {
    of: &'a Criteria<'a>,
    question: &'a Question,
    package: &'a LockedPackage,
    backend: Backend,
    directory: PathBuf,
    /// Where everything is that asking leaves behind.
    place: &'a Path,
    old: Vec<(String, String)>,
    /// The versions of what is declared that the environment itself has.
    pins: Vec<String>,
}

/// What is compiled against a package that the environment has must be compiled against that version of it.
fn pins(declared: &[Requirement], all: &[Chosen]) -> Vec<String> {
    let named = |chosen: &&Chosen| declared.iter().any(|one| one.name == chosen.package.name);
    all.iter()
        .filter(named)
        .map(|chosen| format!("{}=={}", chosen.package.name, chosen.package.version))
        .collect()
}

impl Solver<'_> {
    /// For each source distribution, every package that building it takes.
    pub(super) fn builds(
        &self,
        of: &Criteria,
        question: &Question,
        old: Option<&LockedTarget>,
        all: &[Chosen],
    ) -> Result<BTreeMap<PackageName, Vec<InternedPackage>>, Failure> {
        let mut builds = BTreeMap::new();
        let sources = all
            .iter()
            .filter(|chosen| chosen.package.distribution() == Distribution::Source);
        for chosen in sources {
            let name = &chosen.package.name;
            let old = old
                .and_then(|old| old.builds.get(name))
                .map_or_else(Vec::new, |old| self.preferences(&of.environment.name, old));
            let more = of.environment.build_dependencies.get(name);
            let more = more.map_or(&[][..], Vec::as_slice);
            let pins = pins(more, all);
            let build = self.build(of, question, (old, pins), chosen)?;
            builds.insert(name.clone(), build);
        }
        Ok(builds)
    }

    fn build(
        &self,
        of: &Criteria,
        question: &Question,
        (old, pins): (Vec<(String, String)>, Vec<String>),
        chosen: &Chosen,
    ) -> Result<Vec<InternedPackage>, Failure> {
        let package = &chosen.package;
        let failed = |why: Error| Failure::Build {
            environment: of.environment.name.clone(),
            package: package.name.to_string(),
            advice: help(&why),
            why: Box::new(why),
        };
        let place = files::temporary_directory(self.resolver.work.path(), "build-")
            .map_err(|error| failed(error.into()))?;
        let directory = self.source(chosen, place.path()).map_err(failed)?;
        let backend = Backend::of(&directory).map_err(|error| failed(error.into()))?;
        let of = Criteria {
            build: Some(&package.name),
            ..*of
        };
        let project = Project {
            of: &of,
            question,
            package,
            backend,
            directory,
            place: place.path(),
            old,
            pins,
        };
        let mut requires = project.backend.requires.clone();
        let declared = of.environment.build_dependencies.get(&package.name);
        requires.extend(declared.into_iter().flatten().map(normal_form));
        let mut wheels = self.wheels(&project, &requires, of.target)?;
        // What can import the backend on this machine need not be what the target installs.
        let more = match Target::here() {
            Some(here) if here.name() == of.target.name() => self.asked(&project, &wheels),
            Some(here) => self.asked(&project, &self.wheels(&project, &requires, &here)?),
            None => Err(Error::NoPython(of.python.clone())),
        };
        let more = more.map_err(failed)?;
        if !more.is_empty() {
            requires.extend(more);
            wheels = self.wheels(&project, &requires, of.target)?;
        }
        Ok(wheels
            .into_iter()
            .map(|chosen| chosen.package.into())
            .collect())
    }

    /// Fetches and unpacks a source distribution; the project's directory.
    fn source(&self, chosen: &Chosen, place: &Path) -> Result<PathBuf, Error> {
        let package = &chosen.package;
        let archive = self.archive(chosen)?;
        let top = unpack::unpack(&archive, &package.file, &place.join("source"))?;
        let within = package.origin.subdirectory();
        let project = top.join(within.unwrap_or_default());
        if !files::is_directory(&project) {
            return Err(Error::NoSubdirectory {
                file: package.file.clone(),
                within: within.unwrap_or(".").to_owned(),
            });
        }
        match files::first_pointer(&project)? {
            None => Ok(project),
            Some(path) => Err(Error::Pointer {
                file: package.file.clone(),
                path,
            }),
        }
    }

    /// The file of a package on this disk.
    pub(super) fn archive(&self, chosen: &Chosen) -> Result<PathBuf, Error> {
        let LockedPackage { sha256, size, .. } = &chosen.package;
        let archive = self
            .resolver
            .work
            .path()
            .join("archives")
            .join(sha256.to_string());
        if !files::exists(&archive) {
            fetch::download(
                &self.resolver.client,
                &chosen.address,
                &archive,
                sha256,
                *size,
                &|_| {},
            )?;
        }
        Ok(archive)
    }

    /// The wheels that these build requirements lead to on a target.
    fn wheels(
        &self,
        project: &Project,
        requires: &[String],
        target: &Target,
    ) -> Result<Vec<Chosen>, Failure> {
        if requires.is_empty() {
            return Ok(Vec::new());
        }
        let Project {
            of,
            question,
            old,
            pins,
            ..
        } = project;
        let mut constraints = question.values("build-constraint").to_vec();
        constraints.extend_from_slice(pins);
        let named = requires
            .iter()
            .filter_map(|one| name::requirement(one).ok());
        let named: Vec<Requirement> = named.collect();
        let routed = |route: &Route| named.iter().any(|one| one.name == *route.package);
        let of = Criteria { target, ..**of };
        let interpreter = self.any_interpreter(of.environment, of.python, of.here)?;
        let ask = Compile {
            requirements: requires.to_vec(),
            constraints,
            preferences: old.clone(),
            routes: routes(of.environment).filter(routed).collect(),
            exclude_newer: of.environment.exclude_newer.as_deref(),
            interpreter: interpreter.as_ref().map(|i| i.executable.as_path()),
            ..Compile::default()
        };
        let answer = self.answer(of.environment, &ask, target, of.python)?;
        self.chosen(&of, self.candidates(of.environment, requires, answer)?)
    }

    /// What the backend requires beside the project's own list.
    fn asked(&self, project: &Project, wheels: &[Chosen]) -> Result<Vec<String>, Error> {
        let python = project.of.python;
        let interpreter = self.interpreter(python).filter(|interpreter| {
            let series = &python.release()[..2];
            interpreter.series() == (series[0], series[1])
        });
        let managed = project.of.here.filter(|here| here.archive().is_some());
        let interpreter = match (interpreter, managed) {
            (Some(interpreter), _) => interpreter.clone(),
            (None, Some(managed)) => (self.context.managed)(managed).map_err(Error::Managed)?,
            (None, None) => return Err(Error::NoPython(python.clone())),
        };
        let mut sites = Vec::new();
        for chosen in wheels {
            let LockedPackage { file, sha256, .. } = &chosen.package;
            let into = project.place.join("sites").join(sha256.to_string());
            files::create_directories(&into)?;
            unpack::wheel(&self.archive(chosen)?, file, &into)?;
            for name in files::names(&into)? {
                let data = into.join(&name);
                if Path::new(&name).extension().is_some_and(|e| e == "data") {
                    sites.extend([data.join("purelib"), data.join("platlib")]);
                }
            }
            sites.push(into);
        }
        let version = project.package.version.to_string();
        let hook = Hook {
            project: &project.directory,
            python: &interpreter.executable,
            sites: Some(&sites),
            scratch: project.place,
            path: self.context.path,
            version: project.package.is_tree().then_some(version.as_str()),
        };
        Ok(project.backend.requirements(&hook)?)
    }
}
