//! Which interpreter an environment is locked for. A managed one is locked to one archive for each target and stays
//! until everything is upgraded; of a system's, only as much is locked as the manifest asks for.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use pep440_rs::Version;

use super::{Context, Failure, Moving, Upgrade, downloads, listed, python_fits};
use crate::digest::Digest;
use crate::lock::{LockedArchive, LockedEnvironment, LockedPython, PythonSource};
use crate::manifest::{self, Environment, python_allows};
use crate::python::Interpreter;
use crate::target::Target;
use crate::uv::{Build, Builds, Uv};

/// Major and minor version.
pub(super) type Series = (u64, u64);

/// What interpreters are chosen from.
pub(super) struct Pythons<'a> {
    pub(super) targets: &'a [Target],
    pub(super) upgrade: &'a Upgrade,
    pub(super) uv: &'a Uv,
    pub(super) interpreters: &'a [Interpreter],
    pub(super) context: &'a Context<'a>,
    pub(super) lists: downloads::Lists,
    /// Asked for once, and only if an archive has to be chosen.
    pub(super) builds: OnceLock<Result<Builds, String>>,
    /// Environments share archives: each is asked about once.
    pub(super) digests: Mutex<BTreeMap<String, Result<Digest, String>>>,
}

impl Pythons<'_> {
    /// The interpreters of an environment, in the order of the targets, all of one version, which is of none of the series
    /// without a solution.
    pub(super) fn of(
        &self,
        environment: &Environment,
        old: Option<&LockedEnvironment>,
        without_solution: &[Series],
    ) -> Result<Vec<LockedPython>, Failure> {
        let is_out = |python: &LockedPython| without_solution.contains(&series(&python.version));
        let old = old.filter(|old| !old.targets.iter().any(|there| is_out(&there.python)));
        match environment.python_source {
            manifest::PythonSource::System => {
                let version = self.system(environment, old, without_solution)?;
                let python = |target| python(target, &version, PythonSource::System);
                Ok(self.targets.iter().map(python).collect())
            }
            manifest::PythonSource::Managed => self.managed(environment, old, without_solution),
        }
    }

    /// The version asked for; else the one already locked, if it still fits; else the newest on this machine that fits.
    fn system(
        &self,
        environment: &Environment,
        old: Option<&LockedEnvironment>,
        without_solution: &[Series],
    ) -> Result<Version, Failure> {
        if let Some(version) = &environment.python {
            return Ok(version.clone());
        }
        let locked = old
            .and_then(|old| old.targets.first())
            .map(|there| &there.python);
        if let Some(python) = locked.filter(|python| python_fits(environment, python)) {
            return Ok(python.version.clone());
        }
        let all = self.interpreters.iter().map(Interpreter::series);
        let left = all.filter(|series| !without_solution.contains(series));
        let left = left.map(|(major, minor)| Version::new([major, minor]));
        let allowed = |version: &Version| {
            let specifiers = environment.requires_python.as_ref();
            specifiers.is_none_or(|specifiers| python_allows(specifiers, version))
        };
        left.filter(allowed).max().ok_or_else(|| Failure::NoPython {
            environment: environment.name.clone(),
            wanted: required(environment),
            found: listed(self.interpreters),
        })
    }

    fn managed(
        &self,
        environment: &Environment,
        old: Option<&LockedEnvironment>,
        without_solution: &[Series],
    ) -> Result<Vec<LockedPython>, Failure> {
        let old = old.filter(|_| *self.upgrade.of(&environment.name) != Moving::All);
        let locked: Vec<&LockedPython> = old
            .iter()
            .flat_map(|old| &old.targets)
            .map(|there| &there.python)
            .filter(|python| python.archive().is_some() && python_fits(environment, python))
            .collect();
        let version = match locked.first() {
            Some(python) => python.version.clone(),
            None => self.newest(environment, without_solution)?,
        };
        let each = self.targets.iter().map(|target| {
            let there = old.and_then(|old| old.target(target.name()));
            let there = there.map(|there| &there.python);
            if let Some(python) =
                there.filter(|there| locked.contains(there) && there.version == version)
            {
                return Ok(python.clone());
            }
            let archive = self.archive(environment, target, &version)?;
            Ok(python(target, &version, PythonSource::Managed(archive)))
        });
        each.collect()
    }

    /// The newest version that fits and was built for every target.
    fn newest(
        &self,
        environment: &Environment,
        without_solution: &[Series],
    ) -> Result<Version, Failure> {
        let mut common: Option<Vec<Version>> = None;
        for target in self.targets {
            let builds = self.builds(environment, target)?;
            let fitting: Vec<Version> = builds
                .iter()
                .map(|build| build.version.clone())
                .filter(|version| fits(environment, version))
                .filter(|version| !without_solution.contains(&series(version)))
                .filter(|version| {
                    common
                        .as_ref()
                        .is_none_or(|common| common.contains(version))
                })
                .collect();
            if fitting.is_empty() {
                return Err(no_build(environment, target, builds));
            }
            common = Some(fitting);
        }
        let newest = common.and_then(|common| common.into_iter().max());
        Ok(newest.expect("a manifest has a target, and each has a build"))
    }

    fn archive(
        &self,
        environment: &Environment,
        target: &Target,
        version: &Version,
    ) -> Result<LockedArchive, Failure> {
        let builds = self.builds(environment, target)?;
        let newest = builds.iter().rev().find(|build| build.version == *version);
        let Build {
            day: build, url, ..
        } = newest.ok_or_else(|| no_build(environment, target, builds))?;
        let mut digests = self
            .digests
            .lock()
            .expect("no thread panics while holding it");
        let digest = digests
            .entry(url.clone())
            .or_insert_with(|| downloads::archive(url, &self.lists, self.context));
        let sha256 = digest.clone().map_err(|reason| Failure::Archive {
            environment: environment.name.clone(),
            url: url.clone(),
            reason,
        })?;
        Ok(LockedArchive {
            build: build.clone(),
            url: url.clone(),
            sha256,
        })
    }

    fn builds(&self, environment: &Environment, target: &Target) -> Result<&[Build], Failure> {
        let builds = self
            .builds
            .get_or_init(|| self.uv.pythons().map_err(|error| error.to_string()));
        match builds {
            Ok(builds) => Ok(builds.get(&target.architecture).map_or(&[], Vec::as_slice)),
            Err(why) => Err(Failure::Answer {
                environment: environment.name.clone(),
                reason: why.clone(),
            }),
        }
    }
}

/// The series of a version: `3.11` of `3.11.7`.
pub(super) fn series(version: &Version) -> Series {
    let part = |place| version.release().get(place).copied().unwrap_or(0);
    (part(0), part(1))
}

fn python(target: &Target, version: &Version, source: PythonSource) -> LockedPython {
    let release = version.release();
    LockedPython {
        implementation: "cpython".into(),
        version: version.clone(),
        source,
        soabi: target.cpython_soabi((release[0], release[1])),
    }
}

fn fits(environment: &Environment, version: &Version) -> bool {
    let asked = environment.python.as_ref();
    asked.is_none_or(|asked| version.release().starts_with(asked.release()))
        && environment
            .requires_python
            .as_ref()
            .is_none_or(|specifiers| specifiers.contains(version))
}

fn required(environment: &Environment) -> String {
    let specifiers = environment.requires_python.as_ref();
    specifiers.map_or_else(String::new, ToString::to_string)
}

/// Nothing fits: those of the series that was asked for are listed, else the newest of each series.
fn no_build(environment: &Environment, target: &Target, builds: &[Build]) -> Failure {
    let asked = environment.python.as_ref().map(series);
    let mut has: Vec<String> = builds
        .iter()
        .filter(|build| Some(series(&build.version)) == asked)
        .map(|build| build.version.to_string())
        .collect();
    if has.is_empty() {
        let newest: BTreeMap<Series, String> = builds
            .iter()
            .map(|build| (series(&build.version), build.version.to_string()))
            .collect();
        has = newest.into_values().collect();
    }
    let wanted = match &environment.python {
        Some(version) => version.to_string(),
        None => required(environment),
    };
    Failure::NoBuild {
        environment: environment.name.clone(),
        wanted,
        target: *target,
        has: if has.is_empty() {
            "there is none".into()
        } else {
            format!("there are {}", has.join(", "))
        },
    }
}
