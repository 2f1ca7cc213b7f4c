//! Who asks for a package of an environment, and with which bound: read from the metadata of what is installed, because a lock
//! holds what was chosen and not why. Where a package comes from is read from the lock, if there is one. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pep440_rs::Version;
use pep508_rs::{ExtraName, MarkerEnvironment, PackageName, VerbatimUrl, VersionOrUrl};

use crate::files;
use crate::lock::{Lock, LockedEnvironment, Origin};
use crate::name;
use crate::overlay::Contents;
use crate::report::listed;
use crate::target::Target;

mod report;

pub(crate) use report::{Report, View};

type Requirement = pep508_rs::Requirement<VerbatimUrl>;

/// The packages of an environment and what they require of each other.
#[derive(Debug)]
pub(crate) struct Tree {
    environment: String,
    /// What the environment itself asks for.
    roots: Vec<Edge>,
    packages: BTreeMap<PackageName, Package>,
}

/// An installed package.
#[derive(Debug)]
struct Package {
    version: Version,
    /// Where it comes from, if that is not the default index.
    origin: Option<String>,
    requires: Vec<Edge>,
}

/// That something is required.
#[derive(Debug, Clone)]
struct Edge {
    name: PackageName,
    extras: Vec<ExtraName>,
    /// `>=1.21`, or an address; empty if there is none.
    bound: String,
}

/// There is nothing to show.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// The packages cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// There is no such package.
    #[error("environment `{environment}` has no package `{package}`")]
    #[diagnostic(help("{known}"))]
    Unknown {
        /// The environment.
        environment: String,
        /// The package as it was written.
        package: String,
        /// Those that it has.
        known: String,
    },
    /// This machine type is not known.
    #[error("rootstock does not know this machine type")]
    Machine,
}

/// Reads the packages of a generation of an environment, built for this Python.
pub(crate) fn read(
    environment: &str,
    generation: &Path,
    python: &Version,
    lock: Option<&Lock>,
) -> Result<Tree, Error> {
    let target = Target::here().ok_or(Error::Machine)?;
    let release = python.release();
    let contents = Contents::read(generation, (release[0], release[1]))?;
    let locked = lock.and_then(|lock| {
        let mut environments = lock.environments.iter();
        environments.find(|one| one.name.as_str() == environment)
    });
    let asked = locked.map_or_else(Vec::new, asked);
    let markers = target.markers(python);
    let extras = extras(&contents, &asked, &markers);
    let packages = contents.distributions().map(|(name, version)| {
        let own = extras.get(name).map_or(&[][..], Vec::as_slice);
        let requirements = contents.requirements(name).into_iter();
        let holds = requirements.filter(|one| one.evaluate_markers(&markers, own));
        let mut requires: Vec<Edge> = holds.map(|one| edge(&one)).collect();
        requires.sort_by(|one, other| one.name.cmp(&other.name));
        let package = Package {
            version: version.clone(),
            origin: locked.and_then(|locked| origin(locked, target.name(), name)),
            requires,
        };
        (name.clone(), package)
    });
    let packages: BTreeMap<_, _> = packages.collect();
    let mut roots: Vec<Edge> = asked.iter().map(edge).collect();
    if roots.is_empty() {
        roots = required_by_none(&packages);
    }
    roots.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Tree {
        environment: environment.to_owned(),
        roots,
        packages,
    })
}

impl Tree {
    /// The package of a name as people write it.
    pub(crate) fn package(&self, text: &str) -> Result<PackageName, Error> {
        let name: Option<PackageName> = text.parse().ok();
        let found = name.filter(|name| self.packages.contains_key(name));
        found.ok_or_else(|| {
            let names: Vec<String> = self.packages.keys().map(ToString::to_string).collect();
            let near = crate::manifest::nearest(text, names.iter().map(String::as_str));
            let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
            Error::Unknown {
                environment: self.environment.clone(),
                package: text.to_owned(),
                known: near + &listed("it has:", names.iter().cloned()),
            }
        })
    }
}

/// What an environment itself asks for, as its lock has it.
fn asked(locked: &LockedEnvironment) -> Vec<Requirement> {
    let texts = locked.question.values("dependency").iter();
    texts
        .filter_map(|text| name::requirement(text).ok())
        .collect()
}

/// The extras that are asked for, by package.
fn extras(
    contents: &Contents,
    asked: &[Requirement],
    markers: &MarkerEnvironment,
) -> BTreeMap<PackageName, Vec<ExtraName>> {
    let mut found: BTreeMap<PackageName, Vec<ExtraName>> = BTreeMap::new();
    let mut pending: Vec<Requirement> = asked.to_vec();
    let every = contents
        .distributions()
        .flat_map(|(name, _)| contents.requirements(name));
    pending
        .extend(every.filter(|one| !one.extras.is_empty() && one.evaluate_markers(markers, &[])));
    while let Some(requirement) = pending.pop() {
        let known = found.entry(requirement.name.clone()).or_default();
        let new: Vec<_> = requirement
            .extras
            .into_iter()
            .filter(|extra| !known.contains(extra))
            .collect();
        if new.is_empty() {
            continue;
        }
        known.extend(new);
        let own = known.clone();
        let more = contents.requirements(&requirement.name).into_iter();
        pending.extend(
            more.filter(|one| !one.extras.is_empty() && one.evaluate_markers(markers, &own)),
        );
    }
    found
}

fn edge(requirement: &Requirement) -> Edge {
    Edge {
        name: requirement.name.clone(),
        extras: requirement.extras.clone(),
        bound: match &requirement.version_or_url {
            None => String::new(),
            Some(VersionOrUrl::VersionSpecifier(bound)) => bound.to_string(),
            Some(VersionOrUrl::Url(url)) => format!("@ {url}"),
        },
    }
}

/// Where a package of the lock comes from, if that is not the default index.
fn origin(locked: &LockedEnvironment, target: &str, name: &PackageName) -> Option<String> {
    let target = locked.target(target)?;
    let package = target
        .packages
        .iter()
        .find(|package| package.name == *name)?;
    Some(match &package.origin {
        Origin::Index(index) => format!("index {}", index.as_ref()?),
        Origin::Url { url, .. } => url.clone(),
        Origin::Git { url, commit, .. } => format!("git {url} {commit:.12}"),
        Origin::Path { path, .. } => path.clone(),
    })
}

/// Without a lock: the packages that no other one requires.
fn required_by_none(packages: &BTreeMap<PackageName, Package>) -> Vec<Edge> {
    let required = packages.values().flat_map(|package| &package.requires);
    let required: BTreeSet<&PackageName> = required.map(|edge| &edge.name).collect();
    let names = packages.keys().filter(|name| !required.contains(name));
    let edge = |name: &PackageName| Edge {
        name: name.clone(),
        extras: Vec::new(),
        bound: String::new(),
    };
    names.map(edge).collect()
}
