//! The interpreters that environments run on, as other users would find them: every directory above them, the program, its
//! libraries. One below a private home works for its owner alone. Managed ones lie in the root, and are examined there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::files::{self, Kind, ownership, quoted};
use crate::name::EnvironmentName;
use crate::store::{Policy, Root, Stamp};

use super::access::{may, whom};
use super::finding::{Code, Finding};

/// The parts of the standard library that every Python needs to start; a deep examination reads all of it.
const NEEDED: [&str; 4] = ["", "os.py", "encodings", "lib-dynload"];

/// Directories that belong to others, or that programs do not read.
const NOT_LIBRARY: [&str; 4] = ["site-packages", "dist-packages", "__pycache__", "test"];

/// The parts of the environments' interpreters that are closed to those whom the root's policy is for. The stamps are those of
/// their current generations.
pub fn examine_interpreters(
    root: &Root,
    stamps: &[(&EnvironmentName, &Stamp)],
    deep: bool,
) -> Vec<Finding> {
    let Some(policy) = root.policy() else {
        return Vec::new();
    };
    let mut examined: Vec<PathBuf> = root.path().ancestors().map(Path::to_owned).collect();
    let mut findings = Vec::new();
    for (executable, (name, stamp)) in outside(root, stamps) {
        let why = format!("`{name}` runs on `{}`", executable.display());
        for (path, needs) in parts(executable, stamp, deep) {
            for directory in above(&path) {
                if !examined.contains(&directory) {
                    findings.extend(closed(&directory, 0o1, policy, &why));
                    examined.push(directory);
                }
            }
            findings.extend(closed(&path, needs, policy, &why));
        }
    }
    findings
}

/// The interpreters outside the root, each with the first environment that runs on it.
fn outside<'a>(
    root: &Root,
    stamps: &[(&'a EnvironmentName, &'a Stamp)],
) -> BTreeMap<&'a Path, (&'a EnvironmentName, &'a Stamp)> {
    let mut interpreters: BTreeMap<&Path, (&EnvironmentName, &Stamp)> = BTreeMap::new();
    for (name, stamp) in stamps {
        let executable = stamp.python.executable.as_path();
        if !executable.starts_with(root.path()) {
            interpreters.entry(executable).or_insert((name, stamp));
        }
    }
    interpreters
}

/// Every directory above a path, links resolved and not.
fn above(path: &Path) -> BTreeSet<PathBuf> {
    let real = files::real_path(path).unwrap_or_else(|_| path.to_owned());
    let above = path.ancestors().skip(1).chain(real.ancestors().skip(1));
    above.map(Path::to_owned).collect()
}

/// The files that everyone who runs an interpreter needs, with the permission bits that takes.
fn parts(executable: &Path, stamp: &Stamp, deep: bool) -> Vec<(PathBuf, u32)> {
    let mut parts = vec![(executable.to_owned(), 0o5)];
    let libraries = stamp.interpreter.iter().map(|part| &part.path);
    let libraries = libraries.filter(|path| *path != executable);
    parts.extend(libraries.map(|path| (path.clone(), 0o4)));
    let (major, minor) = stamp.python.series();
    let prefix = executable.parent().and_then(Path::parent);
    let prefix = prefix.unwrap_or(Path::new("/"));
    for directory in ["lib", "lib64"] {
        let library = prefix.join(format!("{directory}/python{major}.{minor}"));
        parts.extend(NEEDED.map(|name| {
            let path = library.join(name);
            let needs = if files::is_directory(&path) { 0o5 } else { 0o4 };
            (path, needs)
        }));
        if deep {
            parts.extend(all_of(&library));
        }
    }
    parts.sort();
    parts.dedup();
    parts
}

/// Every file and directory of a standard library.
fn all_of(library: &Path) -> impl Iterator<Item = (PathBuf, u32)> + '_ {
    let is_library = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        !NOT_LIBRARY.iter().any(|not| name == *not)
    };
    let entries = files::walk_open(library, &is_library).unwrap_or_default();
    entries.into_iter().filter_map(|entry| {
        let needs = match entry.kind {
            Kind::Directory => 0o5,
            Kind::File => 0o4,
            Kind::Link | Kind::Other => return None,
        };
        Some((library.join(entry.path), needs))
    })
}

/// Missing or invisible files are reported elsewhere.
fn closed(path: &Path, needs: u32, policy: &Policy, why: &str) -> Option<Finding> {
    let there = ownership::ownership(path).ok()?;
    if may(path, &there, Some(policy)) & needs == needs {
        return None;
    }
    let (verb, letters) = match needs {
        0o1 => ("pass through", "x"),
        0o4 => ("read", "r"),
        _ => ("read and use", "rx"),
    };
    let whose = if policy.group() == Some(there.group) && policy.is_for_group() {
        'g'
    } else {
        'o'
    };
    let message = format!(
        "{} cannot {verb} it: it has mode {:04o}, owner {} and group {}; {why}",
        whom(policy.access()),
        there.mode,
        ownership::user_name(there.owner),
        ownership::group_name(there.group)
    );
    let fix = format!("chmod {whose}+{letters} {}", quoted(path));
    Some(Finding::new(Code::AccessInterpreter, path, message, fix))
}
