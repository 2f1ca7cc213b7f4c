//! One question to uv on one version of Python. Packages of a named index come from there and from nowhere else, whatever
//! requires them: the environment, another package, or the build that uv runs to read a package's metadata.
//!
//! uv has no such rule of its own: it takes an index for what the question itself names, and everything else from the
//! default index. So three things are done here. Packages that other packages ask for are added to the question. Until
//! then no code of theirs runs. And in the builds of uv they are out of bounds ([`bar`]), until a file of their own index
//! is named there instead.

use std::collections::BTreeSet;
use std::str::FromStr;

use pep440_rs::Version;
use pep508_rs::{PackageName, VersionOrUrl};

use super::choose::Criteria;
use super::{Failure, Solver, routes};
use crate::fetch::file_address;
use crate::files;
use crate::manifest::{Environment, Requirement, normal_form};
use crate::report::chain;
use crate::target::Target;
use crate::uv::{Compile, Package, Request, Route, Unresolved, Uv};

/// A question on its way to uv.
pub(super) struct Asking<'a> {
    pub(super) environment: &'a Environment,
    pub(super) target: &'a Target,
    /// The version that is asked about.
    pub(super) python: &'a Version,
    /// The version, as messages call it.
    pub(super) shown: &'a Version,
}

/// A bound that no version is within.
fn bar(package: &PackageName) -> String {
    format!("{package}<0.dev0")
}

/// The name at the start of a requirement, and whether it is a direct reference.
pub(super) fn name(requirement: &str) -> Option<(PackageName, bool)> {
    let end = requirement
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
        .unwrap_or(requirement.len());
    let name = PackageName::from_str(&requirement[..end]).ok()?;
    let marker = requirement.find(';').unwrap_or(requirement.len());
    Some((name, requirement[..marker].contains(" @ ")))
}

impl Solver<'_> {
    /// uv's answer.
    pub(super) fn packages<'e>(
        &self,
        asking: &Asking<'e>,
        ask: &Compile<'e>,
    ) -> Result<Vec<Package>, Failure> {
        let mut ask = ask.clone();
        for route in self.asked_for_by_packages(asking, &ask) {
            add(&mut ask, route);
        }
        loop {
            ask.only_binary = later(asking.environment, &ask)
                .map(|route| route.package.to_string())
                .collect();
            let compile = |uv: &Uv, ask: &Compile| uv.compile(ask, asking.target, asking.python);
            let mut packages = self.put(asking, &ask, &compile)?;
            let came_in = |route: &Route| {
                let is_it = |package: &Package| route.package.as_ref() == package.name;
                packages
                    .iter()
                    .any(|package| is_it(package) && package.direct.is_none())
            };
            let more: Vec<Route> = later(asking.environment, &ask).filter(came_in).collect();
            if more.is_empty() {
                self.add_digests_given(asking, &ask, &mut packages)?;
                return Ok(packages);
            }
            for route in more {
                add(&mut ask, route);
            }
        }
    }

    /// The packages of named indexes that only other packages ask for, when all of them can be had from there. Without
    /// this, the default index would decide which versions of those other packages fit.
    fn asked_for_by_packages<'e>(&self, asking: &Asking<'e>, ask: &Compile<'e>) -> Vec<Route<'e>> {
        let later: Vec<Route> = later(asking.environment, ask).collect();
        if later.is_empty() {
            return later;
        }
        let mut all = ask.clone();
        for &route in &later {
            add(&mut all, route);
        }
        let requests = |uv: &Uv, ask: &Compile| uv.requests(ask, asking.target, asking.python);
        // One that nothing asks for may have no version that fits.
        let Ok(Ok(requests)) = self.try_put(asking, &all, &requests) else {
            return Vec::new();
        };
        let added: BTreeSet<&str> = later.iter().map(|route| route.package.as_ref()).collect();
        let needed = needed(&requests, &added);
        let is_needed = |route: &Route| needed.contains(route.package.as_ref());
        later.into_iter().filter(is_needed).collect()
    }

    fn put<T>(
        &self,
        asking: &Asking,
        ask: &Compile,
        uv: &dyn Fn(&Uv, &Compile) -> Result<T, Unresolved>,
    ) -> Result<T, Failure> {
        let answer = self.try_put(asking, ask, uv)?;
        answer.map_err(|unresolved| super::unanswered(asking, unresolved))
    }

    /// Puts a question, and once more for each package of a named index that a build of uv takes.
    pub(super) fn try_put<T>(
        &self,
        asking: &Asking,
        ask: &Compile,
        uv: &dyn Fn(&Uv, &Compile) -> Result<T, Unresolved>,
    ) -> Result<Result<T, Unresolved>, Failure> {
        let environment = asking.environment;
        loop {
            let mut ask = ask.clone();
            let user = environment.build_constraints.iter().map(normal_form);
            ask.build_constraints.extend(user);
            let mut barred = Vec::new();
            {
                let files = self.build_files.lock().expect("no thread panics with it");
                for Route { package, .. } in routes(environment) {
                    let key = (environment.name.clone(), package.clone());
                    ask.build_constraints.push(match files.get(&key) {
                        Some(address) => format!("{package} @ {address}"),
                        None => {
                            barred.push(package);
                            bar(package)
                        }
                    });
                }
            }
            let unresolved = match uv(&self.resolver.uv, &ask) {
                Ok(answer) => return Ok(Ok(answer)),
                Err(unresolved) => unresolved,
            };
            let why = chain(&unresolved);
            barred.retain(|package| why.contains(&bar(package)));
            if barred.is_empty() {
                return Ok(Err(unresolved));
            }
            for package in barred {
                self.take_for_builds(asking, &ask, package, &why)?;
            }
        }
    }

    /// Fetches the wheel of a package that a build of uv takes on this machine, from its own index.
    fn take_for_builds(
        &self,
        asking: &Asking,
        ask: &Compile,
        package: &PackageName,
        why: &str,
    ) -> Result<(), Failure> {
        let environment = asking.environment;
        let failed = |reason: String| Failure::BuildIndex {
            environment: environment.name.clone(),
            package: package.clone(),
            index: environment.indexes[package].clone(),
            reason,
        };
        let here = Target::here().ok_or_else(|| failed("no build runs on this machine".into()))?;
        let mut targets = self.manifest.targets.iter();
        let here = targets
            .find(|target| target.name() == here.name())
            .unwrap_or(&here);
        let mut interpreters = self.resolver.interpreters.iter();
        let runs = interpreters.find(|i| Some(i.executable.as_path()) == ask.interpreter);
        let python = runs.and_then(crate::python::Interpreter::version);
        let python = python.as_ref().unwrap_or(asking.python);
        let question = Compile {
            requirements: vec![package.to_string()],
            constraints: bounds(environment, package, why),
            routes: routes(environment)
                .filter(|route| route.package == package)
                .collect(),
            exclude_newer: ask.exclude_newer,
            only_binary: vec![package.to_string()],
            no_dependencies: true,
            interpreter: ask.interpreter,
            ..Compile::default()
        };
        let answer = self.resolver.uv.compile(&question, here, python);
        let answer = answer.map_err(|unresolved| failed(chain(&unresolved)))?;
        let of = Criteria {
            environment,
            target: here,
            python,
            here: None,
            old: None,
            build: Some(package),
            stay: &BTreeSet::new(),
        };
        let candidates = self.candidates(environment, &[], answer)?;
        for chosen in self.chosen(&of, candidates)? {
            let archive = self
                .archive(&chosen)
                .map_err(|error| failed(error.to_string()))?;
            let place = self.resolver.work.path().join("for-builds");
            let place = place.join(chosen.package.sha256.to_string());
            // uv reads a wheel's name from its path.
            let wheel = place.join(&chosen.package.file);
            let link = files::create_directories(&place).and_then(|()| {
                if files::exists(&wheel) {
                    return Ok(());
                }
                files::symlink(&archive, &wheel)
            });
            link.map_err(|error| failed(error.to_string()))?;
            let mut files = self.build_files.lock().expect("no thread panics with it");
            let key = (environment.name.clone(), package.clone());
            files.insert(key, file_address(&wheel));
        }
        Ok(())
    }
}

/// Adds a package of a named index to a question; without a version, that changes nothing else.
fn add<'e>(ask: &mut Compile<'e>, route: Route<'e>) {
    ask.requirements.push(route.package.to_string());
    ask.routes.push(route);
}

/// The packages of named indexes that are not yet part of a question, and may be.
fn later<'e>(environment: &'e Environment, ask: &Compile<'e>) -> impl Iterator<Item = Route<'e>> {
    let references = ask.requirements.iter().filter_map(|line| name(line));
    let references: BTreeSet<PackageName> = references
        .filter_map(|(name, is_reference)| is_reference.then_some(name))
        .collect();
    let asked = ask.routes.clone();
    routes(environment).filter(move |route| {
        !asked.contains(route)
            && !references.contains(route.package)
            && !environment.exclude.contains(route.package)
    })
}

/// The packages that the question needs without those that were added to it.
fn needed<'r>(requests: &'r [Request], added: &BTreeSet<&str>) -> BTreeSet<&'r str> {
    let is_root = |request: &&Request| request.is_direct && !added.contains(request.name.as_str());
    let roots = requests.iter().filter(is_root);
    let mut needed: BTreeSet<&str> = roots.map(|request| request.name.as_str()).collect();
    loop {
        let is_new = |request: &&Request| {
            !needed.contains(request.name.as_str())
                && request.by.iter().any(|by| needed.contains(by.as_str()))
        };
        let new: Vec<&str> = requests
            .iter()
            .filter(is_new)
            .map(|request| request.name.as_str())
            .collect();
        if new.is_empty() {
            return needed;
        }
        needed.extend(new);
    }
}

/// What bounds a package in a build: the manifest, and the build's own requirements, which uv's message quotes.
fn bounds(environment: &Environment, package: &PackageName, why: &str) -> Vec<String> {
    let declared = environment.build_dependencies.values().flatten();
    let is_declared = declared.clone().any(|one| one.name == *package);
    // What is compiled against a package of the environment is compiled against the version that it has.
    let own = environment.dependencies.iter().filter(|_| is_declared);
    let quoted: Vec<Requirement> = why
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|quoted| crate::name::requirement(quoted).ok())
        .collect();
    let all = environment.build_constraints.iter();
    let all = all.chain(declared).chain(own).chain(&quoted);
    let is_bound = |one: &&Requirement| {
        one.name == *package
            && matches!(one.version_or_url, Some(VersionOrUrl::VersionSpecifier(_)))
    };
    let lines: BTreeSet<String> = all.filter(is_bound).map(normal_form).collect();
    let barred = bar(package);
    lines.into_iter().filter(|line| *line != barred).collect()
}
