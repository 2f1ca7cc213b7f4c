//! Weight files into the root's cache: downloaded, verified, named only when they are whole. Which are needed is the
//! plan's decision.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::downloads::{Downloads, each};
use super::progress::Progress;
use super::supply::{Item, Network, Offline, Supply};
use crate::digest::Digest;
use crate::fetch;
use crate::files::{self, Context as _};
use crate::hub;
use crate::plan::{WeightReason, WeightStep};
use crate::store::{Root, weights};

/// A weight file could not be fetched.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It was forbidden.
    #[error("it is neither in the cache nor in a bundle, and `--offline` forbids to download it")]
    #[diagnostic(help(
        "run it once without `--offline`, or name a bundle that has it with `--bundle DIR`"
    ))]
    Offline,
    /// The download.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Fetch(Arc<fetch::Error>),
    /// What came is no weight file.
    #[error("`{0}` is a Git LFS pointer, not the file itself")]
    #[diagnostic(help(
        "write the address of the file itself: of a repository with Git LFS, the one that its page downloads from"
    ))]
    Pointer(String),
    /// The hub keeps it from us.
    #[error(transparent)]
    #[diagnostic(help("{}", hub::GATED))]
    Refused(Arc<fetch::Error>),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// Fetches weight files, a few at a time; the results are in the order of the steps.
pub(crate) fn fetch(
    steps: &[WeightStep],
    root: &Root,
    supply: &Supply,
    progress: &dyn Progress,
) -> Vec<Result<(), Error>> {
    let bytes = steps.iter().filter_map(|step| step.weight.size).sum();
    let files = if supply.network.is_none() {
        0
    } else {
        steps.len()
    };
    let downloads = Downloads::begin(supply.weights_client(), files, bytes, progress);
    let results: Mutex<Vec<Option<Result<(), Error>>>> =
        Mutex::new(steps.iter().map(|_| None).collect());
    each(steps.iter().enumerate().collect(), |(at, step)| {
        let result = one(step, &downloads, root, supply);
        results.lock().expect("no thread panics while holding it")[at] = Some(result);
    });
    downloads.finish();
    let results = results
        .into_inner()
        .expect("no thread panics while holding it");
    let taken = |result: Option<_>| result.expect("every step was taken");
    results.into_iter().map(taken).collect()
}

fn one(
    step: &WeightStep,
    downloads: &Downloads,
    root: &Root,
    supply: &Supply,
) -> Result<(), Error> {
    let weight = step.weight;
    let place = weights::path(root, &weight.path);
    let file = weight.hub_file();
    // The hub's library finds a file by a link to its contents, which several commits may share.
    let blob = file
        .as_ref()
        .filter(|file| file.snapshot() == weight.path)
        .map(|file| file.blob(&weight.sha256));
    let below = blob.as_ref().unwrap_or(&weight.path);
    let to = &weights::path(root, below);
    let there = blob.is_some() && is_whole(to, &weight.sha256)?;
    if !there {
        let address = |network: &Network| match &file {
            Some(file) => network.hub.address(file),
            None => weight.url.clone(),
        };
        let source = supply.source(Item::Weight(&weight.path), address);
        let source = source.map_err(|Offline| Error::Offline)?;
        for below in [&weight.path, below] {
            weights::destination(root, below)?;
        }
        let fetched = downloads.fetch(&source, to, &weight.sha256, weight.size);
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
        if let Some(policy) = root.policy() {
            policy.make_readable(to)?;
        }
    }
    if let (Some(_), Some(file)) = (blob, file) {
        let place = weights::destination(root, &weight.path)?;
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
