//! Does a lock still answer a manifest? Static: compares two values, reads nothing, starts nothing.
//!
//! Each difference has a code that stays the same for ever, so that other programs can act on it.

use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{MarkerEnvironment, VersionOrUrl};

use super::{
    Distribution, Lock, LockedEnvironment, LockedPackage, LockedTarget, Origin, SpelledPackage,
    question,
};
use crate::manifest::{self, Environment, Manifest, Requirement, python_allows};
use crate::name::{self, EnvironmentName, IndexName, ModelId};

mod codes;
mod direct;
mod models;

pub use codes::CODES;
use models::models;

/// What a difference is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Subject {
    /// The lock as a whole.
    #[default]
    Lock,
    /// An environment.
    Environment(EnvironmentName),
    /// A model.
    Model(ModelId),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::Lock => out.write_str("lock"),
            Subject::Environment(name) => write!(out, "environment {name}"),
            Subject::Model(id) => write!(out, "model {id}"),
        }
    }
}

/// One way in which the lock does not answer the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of difference: one of [`CODES`].
    pub code: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// What differs, for a person.
    pub message: String,
    /// In the lock.
    pub was: Option<String>,
    /// In the manifest.
    pub now: Option<String>,
    /// The line of the lock it is about, where it is about one.
    pub line: Option<usize>,
}

/// Every difference between a manifest and a lock, environments first, in the order of their names.
pub fn findings(manifest: &Manifest, lock: &Lock) -> Vec<Finding> {
    let mut found = Findings::default();
    for environment in &manifest.environments {
        found.subject = Subject::Environment(environment.name.clone());
        match lock.environment(&environment.name) {
            Some(locked) => compare(&mut found, manifest, environment, locked),
            None => found.say(
                "environment-added",
                "is in the manifest, but not in the lock",
                None,
                None,
            ),
        }
    }
    for locked in &lock.environments {
        if manifest.environment(&locked.name).is_none() {
            found.subject = Subject::Environment(locked.name.clone());
            found.say(
                "environment-removed",
                "is in the lock, but no longer in the manifest",
                None,
                None,
            );
        }
    }
    models(&mut found, manifest, lock);
    found.all
}

#[derive(Default)]
struct Findings {
    subject: Subject,
    all: Vec<Finding>,
}

impl Findings {
    fn say(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        was: Option<String>,
        now: Option<String>,
    ) {
        debug_assert!(
            CODES.iter().any(|(known, _)| *known == code),
            "{code} is not in the list of codes"
        );
        let subject = self.subject.clone();
        self.all.push(Finding {
            code,
            subject,
            message: message.into(),
            was,
            now,
            line: None,
        });
    }
}

fn compare(
    found: &mut Findings,
    manifest: &Manifest,
    environment: &Environment,
    locked: &LockedEnvironment,
) {
    if environment.source != locked.source.path {
        let (was, now) = (locked.source.path.clone(), environment.source.clone());
        found.say(
            "source-moved",
            format!("its source was `{was}` and is `{now}`"),
            Some(was),
            Some(now),
        );
    } else if environment.sha256 != locked.source.sha256 {
        let (was, now) = (
            locked.source.sha256.to_string(),
            environment.sha256.to_string(),
        );
        found.say(
            "source-changed",
            format!("`{}` has changed", environment.source),
            Some(was),
            Some(now),
        );
    }
    compare_questions(found, manifest, environment, locked);
    if environment.variables != locked.variables {
        let text = |variables| serde_json::to_string(variables).ok();
        let (was, now) = (text(&locked.variables), text(&environment.variables));
        found.say("variables-changed", "its variables have changed", was, now);
    }
    if environment.keep != locked.keep {
        let text = |keep| serde_json::to_string(keep).ok();
        let (was, now) = (text(&locked.keep), text(&environment.keep));
        let what = "the variables it inherits have changed";
        found.say("keep-changed", what, was, now);
    }
    for target in &manifest.targets {
        match locked.target(target.name()) {
            None => found.say(
                "target-missing",
                format!("is not locked for {target}"),
                None,
                Some(target.to_string()),
            ),
            Some(there) if there.target != *target => {
                let (was, now) = (there.target.to_string(), target.to_string());
                found.say(
                    "target-changed",
                    format!("is locked for {was}, not for {now}"),
                    Some(was),
                    Some(now),
                );
            }
            Some(there) => violations(found, environment, there),
        }
    }
    for there in &locked.targets {
        if !manifest
            .targets
            .iter()
            .any(|target| target.name() == there.target.name())
        {
            let was = there.target.to_string();
            found.say(
                "target-removed",
                format!("is locked for {was}, which the manifest no longer names"),
                Some(was),
                None,
            );
        }
    }
}

fn compare_questions(
    found: &mut Findings,
    manifest: &Manifest,
    environment: &Environment,
    locked: &LockedEnvironment,
) {
    let asked = question(manifest, environment);
    let mut keys: Vec<&String> = asked.0.keys().chain(locked.question.0.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (was, now) = (locked.question.values(key), asked.values(key));
        let mut removed: Vec<&String> = was.iter().filter(|value| !now.contains(value)).collect();
        for added in now.iter().filter(|value| !was.contains(value)) {
            let same = removed
                .iter()
                .position(|old| package_name(old) == package_name(added) || is_single(key));
            match same.map(|at| removed.remove(at)) {
                Some(old) => {
                    let message = format!("{key} `{old}` has become `{added}`");
                    found.say(
                        changed(key),
                        message,
                        Some(old.clone()),
                        Some(added.clone()),
                    );
                }
                None => found.say(
                    changed(key),
                    format!("{key} `{added}` was added"),
                    None,
                    Some(added.clone()),
                ),
            }
        }
        for old in removed {
            found.say(
                changed(key),
                format!("{key} `{old}` was removed"),
                Some(old.clone()),
                None,
            );
        }
    }
}

fn changed(key: &str) -> &'static str {
    match key {
        "dependency" | "build-dependency" => "requirement-changed",
        "constraint" | "build-constraint" => "constraint-changed",
        "override" => "override-changed",
        "exclude" => "exclude-changed",
        "index" | "index-exclude-newer" => "index-changed",
        "sdist" => "sdists-changed",
        "exclude-newer" => "exclude-newer-changed",
        _ => "python-changed",
    }
}

/// Keys that have one value.
fn is_single(key: &str) -> bool {
    matches!(
        key,
        "python" | "python-source" | "requires-python" | "exclude-newer"
    )
}

fn package_name(requirement: &str) -> Option<String> {
    let requirement: Requirement = name::requirement(requirement).ok()?;
    Some(requirement.name.to_string())
}

/// Locked versions against the manifest's own words (PEP 440, PEP 508), whatever the digests say.
fn violations(found: &mut Findings, environment: &Environment, locked: &LockedTarget) {
    let python = &locked.python.version;
    let place = locked.target.name();
    let asked = environment
        .python
        .as_ref()
        .is_none_or(|asked| locked.python.answers(asked));
    let managed = environment.python_source == manifest::PythonSource::Managed;
    if managed != locked.python.archive().is_some() {
        let wanted = environment.python_source.as_str();
        let message = format!("is not locked for a {wanted} interpreter on {place}");
        found.say(
            "version-violates-manifest",
            message,
            None,
            Some(wanted.to_owned()),
        );
    }
    let allowed = environment
        .requires_python
        .as_ref()
        .is_none_or(|specifiers| python_allows(specifiers, python));
    if !asked || !allowed {
        let message =
            format!("is locked for Python {python} on {place}, which the manifest does not allow");
        found.say(
            "version-violates-manifest",
            message,
            Some(python.to_string()),
            None,
        );
    }
    let markers = locked.target.markers(&lowest(environment, python));
    let overridden =
        |name: &pep508_rs::PackageName| environment.overrides.iter().any(|o| o.name == *name);
    for requirement in &environment.dependencies {
        if !requirement.evaluate_markers(&markers, &[])
            || environment.exclude.contains(&requirement.name)
        {
            continue;
        }
        match package(locked, requirement) {
            None => {
                let message = format!(
                    "`{requirement}` is asked for, but nothing of that name is locked for {place}"
                );
                found.say(
                    "version-violates-manifest",
                    message,
                    None,
                    Some(requirement.to_string()),
                );
            }
            Some(package) if !overridden(&requirement.name) => {
                check(found, requirement, package, place);
            }
            Some(_) => {}
        }
    }
    for requirement in environment.constraints.iter().chain(&environment.overrides) {
        let here: &MarkerEnvironment = &markers;
        if let Some(package) =
            package(locked, requirement).filter(|_| requirement.evaluate_markers(here, &[]))
        {
            check(found, requirement, package, place);
        }
    }
    for package in &locked.packages {
        build(found, environment, locked, package);
        direct::local(found, environment, package, place);
        let routed = environment.indexes.get(&package.name);
        if let Origin::Index(index) = &package.origin
            && routed != index.as_ref()
        {
            let name = |index: Option<&IndexName>| {
                index
                    .map_or("the default index", IndexName::as_str)
                    .to_owned()
            };
            let (was, now) = (name(index.as_ref()), name(routed));
            let message = format!(
                "`{}` is locked from {was}, but belongs to {now}",
                package.name
            );
            found.say("version-violates-manifest", message, Some(was), Some(now));
        }
        if environment.exclude.contains(&package.name) {
            let message = format!(
                "`{} {}` is locked for {place}, but excluded",
                package.name, package.version
            );
            found.say(
                "version-violates-manifest",
                message,
                Some(package.version.to_string()),
                None,
            );
        }
    }
}

/// A version that the answer is for: what is locked for a series was asked for on each version of it that is allowed.
fn lowest(environment: &Environment, python: &Version) -> Version {
    let allowed = manifest::patches(environment.requires_python.as_ref(), python);
    let lowest = allowed.into_iter().next();
    let lowest = lowest.filter(|_| python.release().len() < 3);
    lowest.unwrap_or_else(|| python.clone())
}

/// What is built must have its build locked.
fn build(
    found: &mut Findings,
    environment: &Environment,
    locked: &LockedTarget,
    package: &LockedPackage,
) {
    let pinned = locked.builds.contains_key(&package.name);
    if package.distribution() == Distribution::Source && !pinned {
        let message = format!(
            "`{} {}` is built from source on {}, but what building it takes is not locked",
            package.name,
            package.version,
            locked.target.name()
        );
        found.say("build-unpinned", message, None, None);
    }
    let asked = environment.build_dependencies.get(&package.name);
    let markers = locked.target.markers(&locked.python.version);
    let asked = asked.into_iter().flatten();
    let missing = locked
        .builds
        .get(&package.name)
        .into_iter()
        .flat_map(|with| {
            let asked = asked
                .clone()
                .filter(|one| one.evaluate_markers(&markers, &[]));
            asked.filter(|one| !with.iter().any(|there| there.name == one.name))
        });
    for requirement in missing {
        let message = format!(
            "`{requirement}` is asked for to build `{}`, but not locked for that on {}",
            package.name,
            locked.target.name()
        );
        found.say(
            "version-violates-manifest",
            message,
            None,
            Some(requirement.to_string()),
        );
    }
}

fn package<'l>(locked: &'l LockedTarget, requirement: &Requirement) -> Option<&'l SpelledPackage> {
    locked
        .packages
        .iter()
        .find(|package| package.name == requirement.name)
}

fn check(found: &mut Findings, requirement: &Requirement, package: &LockedPackage, place: &str) {
    let specifiers = match &requirement.version_or_url {
        None => return,
        Some(VersionOrUrl::VersionSpecifier(specifiers)) => specifiers,
        Some(VersionOrUrl::Url(reference)) => {
            if !direct::answers(reference, package) {
                let (was, now) = (package.origin.to_string(), requirement.to_string());
                let message = format!(
                    "`{}` is locked for {place} from {was}, but `{now}` is asked for",
                    package.name
                );
                found.say("version-violates-manifest", message, Some(was), Some(now));
            }
            return;
        }
    };
    if !satisfied(specifiers, package) {
        let message = format!(
            "`{} {}` is locked for {place}, but `{requirement}` is asked for",
            package.name, package.version
        );
        found.say(
            "version-violates-manifest",
            message,
            Some(package.version.to_string()),
            Some(requirement.to_string()),
        );
    }
}

fn satisfied(specifiers: &VersionSpecifiers, package: &LockedPackage) -> bool {
    specifiers.contains(&package.version)
}
