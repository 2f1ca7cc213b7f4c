//! Weight files into the root's cache: downloaded, verified, named only when they are whole. Which are needed is the
//! plan's decision.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::progress::{Event, Progress};
use crate::fetch;
use crate::plan::WeightStep;
use crate::store::{Root, weights};

/// How many files are downloaded at once.
const DOWNLOADS: usize = 4;

/// What fetching weights needs.
pub struct Means<'a> {
    /// The root whose cache they go into.
    pub root: &'a Root,
    /// Proxies and the like.
    pub variables: &'a BTreeMap<OsString, OsString>,
    /// Never download.
    pub offline: bool,
    /// Who hears of it.
    pub progress: &'a dyn Progress,
}

/// A weight file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was forbidden.
    #[error("it is not in the cache, and `--offline` forbids to download it")]
    Offline,
    /// The download.
    #[error(transparent)]
    Fetch(#[from] Arc<fetch::Error>),
}

/// Fetches weight files, a few at a time; the results are in the order of the steps.
pub fn fetch(steps: &[WeightStep], means: &Means) -> Vec<Result<(), Error>> {
    if means.offline {
        return steps.iter().map(|_| Err(Error::Offline)).collect();
    }
    let client = fetch::Client::new(means.variables).map_err(Arc::new);
    let bytes = steps.iter().filter_map(|step| step.weight.size).sum();
    means.progress.heard(Event::Downloading {
        files: steps.len(),
        bytes,
    });
    let (arrived, next) = (AtomicU64::new(0), AtomicU64::new(0));
    let results: Mutex<Vec<Option<Result<(), Error>>>> =
        Mutex::new(steps.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..DOWNLOADS.min(steps.len()) {
            scope.spawn(|| {
                loop {
                    let at =
                        usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
                    let Some(step) = steps.get(at) else { break };
                    let result = match &client {
                        Ok(client) => one(step, client, means, &arrived),
                        Err(error) => Err(Error::Fetch(Arc::clone(error))),
                    };
                    results.lock().expect("nobody panics while holding it")[at] = Some(result);
                }
            });
        }
    });
    means.progress.heard(Event::DownloadsDone);
    let results = results
        .into_inner()
        .expect("nobody panics while holding it");
    results
        .into_iter()
        .map(|result| result.expect("every step was taken"))
        .collect()
}

fn one(
    step: &WeightStep,
    client: &fetch::Client,
    means: &Means,
    arrived: &AtomicU64,
) -> Result<(), Error> {
    let weight = step.weight;
    let before = AtomicU64::new(0);
    let heard = |there: u64| {
        // A download that begins anew counts backwards; the sum stays right by wrapping around.
        let more = there.wrapping_sub(before.swap(there, Ordering::Relaxed));
        let sum = arrived
            .fetch_add(more, Ordering::Relaxed)
            .wrapping_add(more);
        means.progress.heard(Event::Downloaded(sum));
    };
    let to = weights::path(means.root, &weight.path);
    let fetched = fetch::download(
        client,
        &weight.url,
        &to,
        &weight.sha256,
        weight.size,
        &heard,
    );
    fetched.map_err(|error| Error::Fetch(Arc::new(error)))
}
