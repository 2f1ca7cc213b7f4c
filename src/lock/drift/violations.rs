//! Locked versions against the manifest's own requirements (PEP 440, PEP 508), whatever the digests of the lock are.

use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{MarkerEnvironment, VersionOrUrl};

use super::super::{Distribution, InternedPackage, LockedPackage, LockedTarget, Origin};
use super::{Code, Findings, direct};
use crate::manifest::{self, Environment, Requirement, python_allows};
use crate::name::IndexName;

/// Everything that is locked for a target and that the manifest does not allow.
pub(super) fn violations(found: &mut Findings, environment: &Environment, locked: &LockedTarget) {
    python(found, environment, locked);
    let markers = locked
        .target
        .markers(&lowest(environment, &locked.python.version));
    dependencies(found, environment, locked, &markers);
    let place = locked.target.name();
    for requirement in environment.constraints.iter().chain(&environment.overrides) {
        let package = package(locked, requirement);
        if let Some(package) = package.filter(|_| requirement.evaluate_markers(&markers, &[])) {
            check(found, requirement, package, place);
        }
    }
    for package in &locked.packages {
        build(found, environment, locked, package);
        direct::local(found, environment, package, place);
        index(found, environment, package);
        if environment.exclude.contains(&package.name) {
            let message = format!(
                "`{} {}` is locked for {place}, but excluded",
                package.name, package.version
            );
            found.violation(message, Some(package.version.to_string()), None);
        }
    }
}

/// The interpreter must be of the kind and the version that are asked for.
fn python(found: &mut Findings, environment: &Environment, locked: &LockedTarget) {
    let python = &locked.python.version;
    let place = locked.target.name();
    let managed = environment.python_source == manifest::PythonSource::Managed;
    if managed != locked.python.archive().is_some() {
        let wanted = environment.python_source.as_str();
        let message = format!("is not locked for a {wanted} interpreter on {place}");
        found.violation(message, None, Some(wanted.to_owned()));
    }
    let asked = environment.python.as_ref();
    let asked = asked.is_none_or(|asked| locked.python.answers(asked));
    let allowed = environment.requires_python.as_ref();
    let allowed = allowed.is_none_or(|specifiers| python_allows(specifiers, python));
    if !asked || !allowed {
        let message =
            format!("is locked for Python {python} on {place}, which the manifest does not allow");
        found.violation(message, Some(python.to_string()), None);
    }
}

/// Each dependency must be locked, in a version that it allows.
fn dependencies(
    found: &mut Findings,
    environment: &Environment,
    locked: &LockedTarget,
    markers: &MarkerEnvironment,
) {
    let place = locked.target.name();
    let overridden =
        |name: &pep508_rs::PackageName| environment.overrides.iter().any(|o| o.name == *name);
    let is_needed = |requirement: &&Requirement| {
        requirement.evaluate_markers(markers, &[])
            && !environment.exclude.contains(&requirement.name)
    };
    for requirement in environment.dependencies.iter().filter(is_needed) {
        match package(locked, requirement) {
            None => {
                let message = format!(
                    "`{requirement}` is asked for, but nothing of that name is locked for {place}"
                );
                found.violation(message, None, Some(requirement.to_string()));
            }
            Some(package) if !overridden(&requirement.name) => {
                check(found, requirement, package, place);
            }
            Some(_) => {}
        }
    }
}

/// A package must come from its own index, if the manifest gives it one.
fn index(found: &mut Findings, environment: &Environment, package: &LockedPackage) {
    let Origin::Index(index) = &package.origin else {
        return;
    };
    let routed = environment.indexes.get(&package.name);
    if routed == index.as_ref() {
        return;
    }
    let name = |index: Option<&IndexName>| {
        let name = index.map_or("the default index", IndexName::as_str);
        name.to_owned()
    };
    let (was, now) = (name(index.as_ref()), name(routed));
    let message = format!(
        "`{}` is locked from {was}, but belongs to {now}",
        package.name
    );
    found.violation(message, Some(was), Some(now));
}

/// A version that the answer is for: what is locked for a series was asked for on each version of it that is allowed.
fn lowest(environment: &Environment, python: &Version) -> Version {
    let lowest = manifest::patches(environment.requires_python.as_ref(), python).next();
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
        found.add(Code::BuildUnpinned, message, None, None);
    }
    let Some(asked) = environment.build_dependencies.get(&package.name) else {
        return;
    };
    let markers = locked.target.markers(&locked.python.version);
    let missing = locked
        .builds
        .get(&package.name)
        .into_iter()
        .flat_map(|with| {
            let asked = asked
                .iter()
                .filter(|one| one.evaluate_markers(&markers, &[]));
            asked.filter(|one| !with.iter().any(|there| there.name == one.name))
        });
    for requirement in missing {
        let message = format!(
            "`{requirement}` is asked for to build `{}`, but not locked for that on {}",
            package.name,
            locked.target.name()
        );
        found.violation(message, None, Some(requirement.to_string()));
    }
}

fn package<'l>(locked: &'l LockedTarget, requirement: &Requirement) -> Option<&'l InternedPackage> {
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
                found.violation(message, Some(was), Some(now));
            }
            return;
        }
    };
    if !satisfied(specifiers, package) {
        let message = format!(
            "`{} {}` is locked for {place}, but `{requirement}` is asked for",
            package.name, package.version
        );
        found.violation(
            message,
            Some(package.version.to_string()),
            Some(requirement.to_string()),
        );
    }
}

fn satisfied(specifiers: &VersionSpecifiers, package: &LockedPackage) -> bool {
    specifiers.contains(&package.version)
}
