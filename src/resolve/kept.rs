//! What of the old lock still answers the manifest, and is kept without a resolver.

use super::{Moving, Upgrade};
use crate::digest::Digest;
use crate::lock::{
    Distribution, Lock, LockedEnvironment, LockedPython, LockedSource, LockedTarget, Origin,
    question,
};
use crate::manifest::{Environment, Manifest, python_allows};
use crate::target::Target;

/// The locked environment, if it still answers the manifest and nothing of it is upgraded.
pub(super) fn answer<'l>(
    manifest: &Manifest,
    old: Option<&'l Lock>,
    upgrade: &Upgrade,
    environment: &Environment,
) -> Option<&'l LockedEnvironment> {
    let locked = old?.environment(&environment.name)?;
    let targets: Vec<Target> = locked.targets.iter().map(|locked| locked.target).collect();
    let answers = locked.question == question(manifest, environment)
        && targets == manifest.targets
        && locked
            .targets
            .iter()
            .all(|there| python_fits(environment, &there.python) && is_current(environment, there));
    (answers && !moves(upgrade, locked)).then_some(locked)
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

pub(super) fn python_fits(environment: &Environment, python: &LockedPython) -> bool {
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
pub(super) fn refreshed(
    environment: &Environment,
    locked: &LockedEnvironment,
) -> LockedEnvironment {
    let mut refreshed = LockedEnvironment {
        source: LockedSource {
            path: environment.source.clone(),
            sha256: environment.sha256,
        },
        variables: environment.variables.clone(),
        keep: environment.keep.clone(),
        functions: environment.functions.clone(),
        bytecode: environment.bytecode,
        ..locked.clone()
    };
    seal(&mut refreshed);
    refreshed
}

/// Writes the digests of question and answers.
pub(super) fn seal(environment: &mut LockedEnvironment) {
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
