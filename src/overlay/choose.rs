//! Which generation of an environment fits a Python: the one of the same implementation, ABI and platform, if the C library that
//! this Python runs on is new enough for its packages.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::doctor;
use crate::files;
use crate::name::EnvironmentName;
use crate::python::Interpreter;
use crate::store::installed::{self, Generation};
use crate::store::stamp::Found;
use crate::store::{Root, Stamp, inside};
use crate::target::{Glibc, Target};

/// A built generation that fits.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    /// Its environment: the one that was asked for, or the same for another series.
    pub(crate) environment: EnvironmentName,
    /// Its real path.
    pub(crate) generation: PathBuf,
    /// What it is.
    pub(crate) stamp: Stamp,
}

/// The current generation of an environment, or of one of its other series, that fits this Python.
pub(crate) fn built(root: &Root, name: &EnvironmentName, python: &Interpreter) -> Option<Built> {
    let names = linked(root, name);
    let mut built = names.iter().filter_map(|name| current(root, name));
    built.find(|built| built.fits(python))
}

/// The environment and its other series, as far as they have been built; the environment itself first.
fn linked(root: &Root, name: &EnvironmentName) -> Vec<EnvironmentName> {
    let linked = files::names(&root.environments()).unwrap_or_default();
    let mut names: Vec<EnvironmentName> = linked
        .iter()
        .filter_map(|linked| linked.parse().ok())
        .filter(|linked: &EnvironmentName| stands_for(name, linked))
        .collect();
    names.sort();
    names
}

/// The current generation of an environment, whatever it fits.
pub(crate) fn current(root: &Root, name: &EnvironmentName) -> Option<Built> {
    let generation = root.resolve(name).ok()??;
    let Ok(Found::Stamp(stamp)) = Stamp::read(&generation) else {
        return None;
    };
    Some(Built {
        environment: name.clone(),
        generation,
        stamp: *stamp,
    })
}

/// A generation that was built from this answer of a lock, current or not, if it fits this Python.
pub(crate) fn built_from(
    root: &Root,
    name: &EnvironmentName,
    answer: &Digest,
    python: &Interpreter,
) -> Option<Built> {
    let installed = installed::read(root, [name]).remove(name)?;
    let generations = installed.generations.into_iter();
    let complete = generations.filter_map(|(id, generation)| match generation {
        Generation::Complete(complete) if complete.damage.is_none() => Some((id, complete.stamp)),
        _ => None,
    });
    let built = complete.map(|(id, stamp)| Built {
        environment: name.clone(),
        generation: root.generation(name, &id),
        stamp,
    });
    let mut built = built.filter(|built| built.stamp.digest == *answer);
    built.find(|built| built.fits(python))
}

/// Whether an environment is the one that was asked for, or the same for another series. Who names a series gets that one.
pub(crate) fn stands_for(asked: &EnvironmentName, found: &EnvironmentName) -> bool {
    match asked.series() {
        Some(_) => found == asked,
        None => found.declared() == asked.as_str(),
    }
}

/// The environment, or which of its other series, whose own interpreter a program is.
pub(crate) fn own(program: &Path, root: &Root, name: &EnvironmentName) -> Option<EnvironmentName> {
    let mut names = linked(root, name).into_iter();
    names.find(|name| is_own(program, root, name))
}

/// Whether a program is the interpreter of the current generation, as it is or through links.
fn is_own(program: &Path, root: &Root, name: &EnvironmentName) -> bool {
    let Ok(Some(generation)) = root.resolve(name) else {
        return false;
    };
    let own = generation.join(inside::PYTHON);
    let Some(bin) = own.parent() else {
        return false;
    };
    let mut path = program.to_owned();
    // As many links as a system follows.
    for _ in 0..40 {
        let directory = path.parent().unwrap_or(Path::new(""));
        if files::real_path(&directory.join(".")).is_ok_and(|real| real == bin) {
            return true;
        }
        match files::link_target(&path) {
            Ok(Some(target)) => path = directory.join(target),
            _ => return false,
        }
    }
    false
}

impl Built {
    /// Where its packages are.
    fn site_packages(&self) -> PathBuf {
        let (major, minor) = self.stamp.python.series();
        self.generation
            .join(format!("lib/python{major}.{minor}/site-packages"))
    }

    fn fits(&self, python: &Interpreter) -> bool {
        let (ours, theirs) = (&self.stamp.python.identity, &python.identity);
        let here = Target::here().map(|target| target.name());
        here == Some(&self.stamp.target)
            && ours.implementation == theirs.implementation
            && !theirs.soabi.is_empty()
            && ours.soabi == theirs.soabi
            && ours.platform == theirs.platform
            && self.has_glibc(python)
    }

    /// Whether its packages run on the C library of this Python.
    fn has_glibc(&self, python: &Interpreter) -> bool {
        let parse = |text: &Option<String>| text.as_deref()?.parse::<Glibc>().ok();
        let Some(theirs) = parse(&python.glibc) else {
            return false;
        };
        // What was built on an older one needs no newer one.
        parse(&self.stamp.python.glibc).is_some_and(|ours| theirs >= ours)
            || doctor::glibc_floor(&self.environment, &self.site_packages())
                .is_none_or(|floor| theirs >= floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_stands_for_its_environment() {
        let name = |text: &str| text.parse::<EnvironmentName>().unwrap();
        for (asked, found, stands) in [
            ("toy", "toy", true),
            ("toy", "toy@3.12", true),
            ("toy", "toys", false),
            ("toy", "toys@3.12", false),
            ("toy@3.12", "toy@3.12", true),
            ("toy@3.12", "toy", false),
            ("toy@3.12", "toy@3.13", false),
        ] {
            assert_eq!(
                stands_for(&name(asked), &name(found)),
                stands,
                "{asked} {found}"
            );
        }
    }
}
