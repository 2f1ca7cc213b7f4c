//! The interpreters that environments stand on, as others would find them: every directory on the way to them, the program,
//! its libraries. One below a private home works for its owner alone. Managed ones lie in the root, and are examined there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::{self, Kind, standing};
use crate::name::EnvironmentName;
use crate::store::installed::{Complete, Generation, Installed};
use crate::store::{Policy, Root};

use super::Finding;
use super::access::{may, quoted, whom};

/// Of the standard library, what no Python starts without; a deep look reads all of it.
const NEEDED: [&str; 4] = ["", "os.py", "encodings", "lib-dynload"];

/// What belongs to others, or is not read by a program.
const NOT_LIBRARY: [&str; 4] = ["site-packages", "dist-packages", "__pycache__", "test"];

/// What of the interpreters of these environments is closed to those whom the root's policy is for.
pub fn examine_interpreters(
    root: &Root,
    environments: &BTreeMap<EnvironmentName, Installed>,
    deep: bool,
) -> Vec<Finding> {
    let Some(policy) = root.policy() else {
        return Vec::new();
    };
    let mut interpreters: BTreeMap<&Path, (&EnvironmentName, &Complete)> = BTreeMap::new();
    for (name, there) in environments {
        if let Some(Generation::Complete(complete)) = there.current() {
            let executable = complete.stamp.python.executable.as_path();
            if !executable.starts_with(root.path()) {
                interpreters.entry(executable).or_insert((name, complete));
            }
        }
    }
    let mut looked: Vec<PathBuf> = root.path().ancestors().map(Path::to_owned).collect();
    let mut findings = Vec::new();
    for (executable, (name, complete)) in interpreters {
        let (environment, program) = (name.as_str(), executable.display());
        let why = format!("`{environment}` runs on `{program}`");
        for (path, needs) in parts(executable, complete, deep) {
            let real = files::real_path(&path).unwrap_or_else(|_| path.clone());
            let above = path.ancestors().skip(1).chain(real.ancestors().skip(1));
            let mut above: Vec<PathBuf> = above.map(Path::to_owned).collect();
            above.sort();
            above.dedup();
            let all = above.into_iter().map(|directory| (directory, 0o1));
            for (path, needs) in all.chain([(path.clone(), needs)]) {
                if needs == 0o1 && looked.contains(&path) {
                    continue;
                }
                findings.extend(closed(&path, needs, policy, &why));
                if needs == 0o1 {
                    looked.push(path);
                }
            }
        }
    }
    findings
}

/// What of an interpreter everybody needs who runs it, with the permission that it takes.
fn parts(executable: &Path, complete: &Complete, deep: bool) -> Vec<(PathBuf, u32)> {
    let mut parts = vec![(executable.to_owned(), 0o5)];
    let libraries = complete.stamp.interpreter.iter().map(|part| &part.path);
    let libraries = libraries.filter(|path| *path != executable);
    parts.extend(libraries.map(|path| (path.clone(), 0o4)));
    let (major, minor) = complete.stamp.python.series();
    let prefix = executable.parent().and_then(Path::parent);
    for directory in ["lib", "lib64"] {
        let library = prefix
            .unwrap_or(Path::new("/"))
            .join(format!("{directory}/python{major}.{minor}"));
        for name in NEEDED {
            let path = library.join(name);
            let needs = if files::is_directory(&path) { 0o5 } else { 0o4 };
            parts.push((path, needs));
        }
        if deep {
            let is_library = |path: &Path| {
                let name = path.file_name().unwrap_or_default();
                !NOT_LIBRARY.iter().any(|not| name == *not)
            };
            let entries = files::walk_open(&library, &is_library).unwrap_or_default();
            parts.extend(entries.into_iter().filter_map(|entry| {
                let needs = match entry.kind {
                    Kind::Directory => 0o5,
                    Kind::File => 0o4,
                    Kind::Link | Kind::Other => return None,
                };
                Some((library.join(entry.path), needs))
            }));
        }
    }
    parts.sort();
    parts.dedup();
    parts
}

/// What is not there, or cannot be seen, is told by others.
fn closed(path: &Path, needs: u32, policy: &Policy, why: &str) -> Option<Finding> {
    let there = standing::standing(path).ok()?;
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
    Some(Finding {
        code: "access-interpreter",
        path: path.to_owned(),
        message: format!(
            "{} cannot {verb} it: it has mode {:04o}, owner {} and group {}; {why}",
            whom(policy.access()),
            there.mode,
            standing::user_name(there.owner),
            standing::group_name(there.group)
        ),
        fix: format!("chmod {whose}+{letters} {}", quoted(path)),
    })
}
