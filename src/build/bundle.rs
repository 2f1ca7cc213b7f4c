//! Filling a bundle: every file that a sync of some environments takes, fetched and verified, none of it built. Which
//! files those are is the lock's decision; what is there already and whole is kept, so that a run that broke off is
//! continued.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rayon::prelude::*;

use super::gather::{self, Failure, Gathering, Need};
use super::pythons;
use super::workers::Workers;
use crate::digest::Digest;
use crate::files::{self, Context as _};
use crate::lock::{LockedPython, LockedTarget};
use crate::store::Root;
use crate::store::bundle::Entry;

/// Why a file is not in the bundle.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// A package's file.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Package(Failure),
    /// An archive with an interpreter.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Python(#[from] pythons::Error),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// The files that some targets need, each once.
struct Wanted<'a> {
    needs: BTreeMap<Digest, Need<'a>>,
    archives: BTreeMap<Digest, &'a LockedPython>,
}

impl<'a> Wanted<'a> {
    fn of(targets: impl Iterator<Item = &'a LockedTarget>) -> Self {
        let (mut needs, mut archives) = (BTreeMap::new(), BTreeMap::new());
        for target in targets {
            for package in target.files() {
                needs.entry(package.sha256).or_insert_with(|| Need {
                    package,
                    // Nothing is built for a bundle.
                    requirements: &[],
                    target,
                    interpreters: Vec::new(),
                    tests: false,
                });
            }
            if let Some(archive) = target.python.archive() {
                archives.insert(archive.sha256, &target.python);
            }
        }
        Self { needs, archives }
    }

    /// What is at a place with the shape of a root.
    fn entries(&self, root: &Root) -> files::Result<Vec<Entry>> {
        let packages = self.needs.iter();
        let packages = packages.map(|(sha256, need)| (sha256, need.package.file.clone()));
        let pythons = self.archives.iter();
        let pythons = pythons.map(|(sha256, python)| {
            let name = format!("{} {}", python.implementation, python.label());
            (sha256, name)
        });
        let mut entries = Vec::new();
        for (sha256, name) in packages.chain(pythons) {
            let path = root.archive(sha256);
            if files::exists(&path) {
                let below = path.strip_prefix(root.path()).unwrap_or(&path);
                entries.push(Entry {
                    path: below.display().to_string(),
                    name,
                    size: files::size(&path)?,
                    sha256: *sha256,
                });
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }
}

/// Puts the files of these targets into the bundle, whose place has the shape of a root; the answer is what is there
/// now, sorted by path, and what could not be had.
pub(crate) fn fill<'a>(
    targets: impl Iterator<Item = &'a LockedTarget>,
    context: &super::Context,
) -> Result<(Vec<Entry>, Vec<Error>), super::RootError> {
    let workers = Workers::new(context.jobs)?;
    let wanted = Wanted::of(targets);
    let missing: Vec<&Need> = workers.install(|| {
        let missing = wanted.needs.par_iter().map(|(sha256, need)| {
            let whole = is_whole(context.root, sha256)?;
            Ok((!whole).then_some(need))
        });
        let missing: Vec<Option<&Need>> = missing.collect::<files::Result<_>>()?;
        files::Result::Ok(missing.into_iter().flatten().collect())
    })?;
    let errors = Mutex::new(Vec::new());
    gather::download(
        &missing,
        &Gathering {
            context,
            workers: &workers,
        },
        &|_, result| {
            if let Err(error) = result {
                let mut errors = errors.lock().expect("no thread panics while holding it");
                errors.push(Error::Package(error));
            }
        },
    );
    let mut errors = errors
        .into_inner()
        .expect("no thread panics while holding it");
    for python in wanted.archives.values() {
        if let Err(error) = pythons::fetch(python, &pythons::Context::of(context)) {
            errors.push(error.into());
        }
    }
    Ok((wanted.entries(context.root)?, errors))
}

/// Whether an archive is there with every byte; one that is not is removed.
fn is_whole(root: &Root, sha256: &Digest) -> files::Result<bool> {
    let path = root.archive(sha256);
    match files::open(&path) {
        Ok(file) => {
            let (found, _) = Digest::of_reader(file).context("read", &path)?;
            if found == *sha256 {
                return Ok(true);
            }
            files::remove_if_present(&path)?;
            Ok(false)
        }
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}
