//! What building an environment will take: what is downloaded, and bytes and inodes of what is built. Looks at the
//! wheel store and writes nothing. What is not in the store is estimated from its size, and the estimate names how much that is.

use std::collections::{BTreeMap, BTreeSet};

use super::{gather, pythons};
use crate::files;
use crate::lock::{Bytecode, LockedPackage};
use crate::plan::Step;
use crate::python::bytecode::is_test;
use crate::store::Root;
use crate::store::wheels::{self, Scheme, UnpackedWheel};

/// What building an environment will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BuildEstimate {
    /// How many files are downloaded.
    pub files: usize,
    /// How many bytes they have, as far as the lock has it.
    pub download: u64,
    /// How many bytes the environment will have; where files are shared with the store, they are there once.
    pub bytes: u64,
    /// How many files, directories and links it will have; where files are hard links, only directories and links are new.
    pub inodes: u64,
    /// Of how many packages bytes and inodes are estimated: what is not in the store is not known.
    pub estimated: usize,
}

/// The links to the interpreter, `pyvenv.cfg`, the source, the list of files, the stamp, and the directory itself.
const OWN: u64 = 8;

/// What building this step's environment will take.
pub(crate) fn estimate(step: &Step, root: &Root) -> files::Result<BuildEstimate> {
    let target = step.target;
    let missing = target
        .packages
        .iter()
        .filter(|package| gather::is_missing(root, package));
    let mut estimate = BuildEstimate {
        inodes: OWN,
        ..BuildEstimate::default()
    };
    for package in missing {
        estimate.files += 1;
        estimate.download += package.size.unwrap_or(0);
    }
    if let Some(archive) = target.python.archive() {
        estimate.files += usize::from(pythons::is_missing(root, archive));
    }
    let release = target.python.version.release();
    let series = (release[0], release.get(1).copied().unwrap_or(0));
    let bytecode = files::names(&root.bytecode())?;
    let mut paths: BTreeMap<String, u64> = BTreeMap::new();
    paths.insert(super::assemble::importable(series).0, 0);
    for package in &target.packages {
        // One that is damaged is unpacked again, and as unknown as one that is not there.
        let Ok(Some(wheel)) = wheels::find(root, &package.sha256) else {
            estimate.estimated += 1;
            guess(package, &mut estimate);
            continue;
        };
        add(&wheel, series, &mut paths);
        for tests in [false, true] {
            if tests && step.environment.bytecode != Bytecode::All {
                continue;
            }
            match compiled(root, package, tests, &bytecode) {
                Some(compiled) => add(&compiled, series, &mut paths),
                None => not_compiled(&wheel, tests, series, &mut paths),
            }
        }
    }
    estimate.bytes += paths.values().sum::<u64>();
    let mut directories = BTreeSet::from(["bin"]);
    for path in paths.keys() {
        let mut above = path.as_str();
        while let Some((parent, _)) = above.rsplit_once('/') {
            directories.insert(parent);
            above = parent;
        }
    }
    estimate.inodes += (paths.len() + directories.len()) as u64;
    Ok(estimate)
}

fn add(unpacked: &UnpackedWheel, series: (u64, u64), paths: &mut BTreeMap<String, u64>) {
    for file in &unpacked.files {
        paths.insert(file.installed(series), file.size);
    }
}

/// The bytecode of a package, of whichever interpreter: one is about as large as another.
fn compiled(
    root: &Root,
    package: &LockedPackage,
    tests: bool,
    names: &[String],
) -> Option<UnpackedWheel> {
    let wheel = package.sha256.to_string();
    let mut names = names.iter();
    let name =
        names.find(|name| name.starts_with(&wheel) && name.ends_with(wheels::TESTS) == tests)?;
    wheels::read(&root.bytecode().join(name)).ok()?
}

/// Bytecode that is not there yet: one file for each module, about as large.
fn not_compiled(
    wheel: &UnpackedWheel,
    tests: bool,
    series: (u64, u64),
    paths: &mut BTreeMap<String, u64>,
) {
    let modules = wheel.files.iter();
    let modules = modules.filter(|file| file.scheme == Scheme::SitePackages);
    let modules = modules.filter(|file| is_test(&file.path) == tests);
    for file in modules {
        let path = file.installed(series);
        if let Some((directory, name)) = path.rsplit_once('/')
            && let Some(stem) = name.strip_suffix(".py")
        {
            let (major, minor) = series;
            let compiled = format!("{directory}/__pycache__/{stem}.cpython-{major}{minor}.pyc");
            paths.insert(compiled, file.size);
        }
    }
}

/// Wheels of the field unpack to about three times their size, and the number of their files grows with its square root: a
/// thousand for ten megabytes, ten thousand for a gigabyte. Right within a factor of two or three.
fn guess(package: &LockedPackage, estimate: &mut BuildEstimate) {
    let size = package.size.unwrap_or(0);
    estimate.bytes += 3 * size;
    estimate.inodes += 10 + size.isqrt() / 3;
}
