//! Weight files into the root's cache: downloaded, verified, named only when they are whole. Which are needed is the
//! plan's decision.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::downloads::{Downloads, each};
use super::progress::Progress;
use crate::digest::Digest;
use crate::fetch;
use crate::files::{self, Context as _};
use crate::hub::{self, Hub};
use crate::plan::{WeightReason, WeightStep};
use crate::store::bundle::Bundle;
use crate::store::{Root, weights};

/// What fetching weights needs.
pub struct Means<'a> {
    /// The root whose cache they go into.
    pub root: &'a Root,
    /// Proxies and the like.
    pub variables: &'a BTreeMap<OsString, OsString>,
    /// Where files of the hub are.
    pub hub: &'a Hub,
    /// Never download.
    pub offline: bool,
    /// Where files are taken from instead of being downloaded, if they are there.
    pub bundle: Option<&'a Bundle>,
    /// Who hears of it.
    pub progress: &'a dyn Progress,
}

/// A weight file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was forbidden.
    #[error("it is neither in the cache nor in a bundle, and `--offline` forbids to download it")]
    Offline,
    /// The download.
    #[error(transparent)]
    Fetch(Arc<fetch::Error>),
    /// What came is no weight file.
    #[error("`{0}` is a pointer of Git LFS, not the file itself")]
    Pointer(String),
    /// The hub keeps it from us.
    #[error(transparent)]
    Refused(Arc<fetch::Error>),
    /// A file operation failed.
    #[error(transparent)]
    Files(#[from] files::Error),
}

impl Error {
    /// What a person can do about it.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Error::Offline => Some(
                "run it once without `--offline`, or name a bundle that has it with `--bundle DIR`",
            ),
            Error::Fetch(error) => error.advice(),
            Error::Pointer(_) => Some(
                "write the address of the file itself: of a repository with Git LFS, the one that its page downloads from",
            ),
            Error::Refused(_) => Some(hub::GATED),
            Error::Files(error) => error.advice(),
        }
    }
}

/// Fetches weight files, a few at a time; the results are in the order of the steps.
pub fn fetch(steps: &[WeightStep], means: &Means) -> Vec<Result<(), Error>> {
    let bytes = steps.iter().filter_map(|step| step.weight.size).sum();
    let files = if means.offline { 0 } else { steps.len() };
    let client = means.hub.client(means.variables);
    let downloads = Downloads::begin(client, files, bytes, means.progress);
    let results: Mutex<Vec<Option<Result<(), Error>>>> =
        Mutex::new(steps.iter().map(|_| None).collect());
    each(steps.iter().enumerate().collect(), |(at, step)| {
        let result = one(step, &downloads, means);
        results.lock().expect("nobody panics while holding it")[at] = Some(result);
    });
    downloads.finish();
    let results = results
        .into_inner()
        .expect("nobody panics while holding it");
    let taken = |result: Option<_>| result.expect("every step was taken");
    results.into_iter().map(taken).collect()
}

fn one(step: &WeightStep, downloads: &Downloads, means: &Means) -> Result<(), Error> {
    let weight = step.weight;
    let place = weights::path(means.root, &weight.path);
    let file = weight.hub_file();
    // The hub's library finds a file by a link to its contents, which several commits may share.
    let blob = file
        .as_ref()
        .filter(|file| file.snapshot() == weight.path)
        .map(|file| file.blob(&weight.sha256));
    let below = blob.as_ref().unwrap_or(&weight.path);
    let to = &weights::path(means.root, below);
    let there = blob.is_some() && is_whole(to, &weight.sha256)?;
    if !there {
        let bundled = means.bundle.and_then(|bundle| bundle.weight(&weight.path));
        let address = match (bundled, &file) {
            (Some(path), _) => fetch::file_address(&path),
            (None, _) if means.offline => return Err(Error::Offline),
            (None, Some(file)) => means.hub.address(file),
            (None, None) => weight.url.clone(),
        };
        for below in [&weight.path, below] {
            weights::place(means.root, below)?;
        }
        let fetched = downloads.fetch(&address, to, &weight.sha256, weight.size);
        if fetched.is_err() && step.because == WeightReason::Changed {
            // A model without its weights is an error; one with those of another version computes other numbers.
            files::remove_if_present(&place)?;
        }
        fetched.map_err(|error| match *error {
            fetch::Error::Status {
                status: 401 | 403, ..
            } if file.is_some() => Error::Refused(error),
            _ => Error::Fetch(error),
        })?;
        if files::is_pointer(to)? {
            files::remove_if_present(to)?;
            return Err(Error::Pointer(weight.url.clone()));
        }
        if let Some(policy) = means.root.policy() {
            policy.share(to)?;
        }
    }
    if let (Some(_), Some(file)) = (blob, file) {
        let place = weights::place(means.root, &weight.path)?;
        files::point(&place, &file.link(&weight.sha256))?;
    }
    Ok(())
}

/// Whether these contents are there, every byte of them.
fn is_whole(path: &Path, sha256: &Digest) -> files::Result<bool> {
    match files::open(path) {
        Ok(file) => Ok(Digest::of_reader(file).context("read", path)?.0 == *sha256),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}
