//! A few downloads at once, reported as one: the threads, and the sum of bytes that have arrived. What is downloaded and
//! what becomes of it is the caller's business.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::progress::{Event, Progress};
use super::supply::Source;
use super::workers;
use crate::digest::Digest;
use crate::fetch::{self, Client};

/// How many files are downloaded at once: enough that one slow answer does not hold up the rest, few enough that a
/// server does not mind.
const AT_ONCE: usize = 6;

/// Downloads that share a client and are reported together.
pub(super) struct Downloads<'a> {
    client: Result<Client, Arc<fetch::Error>>,
    arrived: AtomicU64,
    files: usize,
    progress: &'a dyn Progress,
}

impl<'a> Downloads<'a> {
    /// So many files of so many bytes are about to be downloaded.
    pub(super) fn begin(
        client: Result<Client, fetch::Error>,
        files: usize,
        bytes: u64,
        progress: &'a dyn Progress,
    ) -> Self {
        if files > 0 {
            progress.on_event(Event::Downloading { files, bytes });
        }
        Self {
            client: client.map_err(Arc::new),
            arrived: AtomicU64::new(0),
            files,
            progress,
        }
    }

    /// Fetches one file from where it comes from, see [`fetch::download`].
    pub(super) fn fetch(
        &self,
        source: &Source,
        to: &Path,
        sha256: &Digest,
        size: Option<u64>,
    ) -> Result<(), Arc<fetch::Error>> {
        let client = self.client.as_ref().map_err(Arc::clone)?;
        let before = AtomicU64::new(0);
        let arrived = |there: u64| {
            // A download that starts over counts backwards; the sum of all stays right by wrapping around.
            let more = there.wrapping_sub(before.swap(there, Ordering::Relaxed));
            let sum = self
                .arrived
                .fetch_add(more, Ordering::Relaxed)
                .wrapping_add(more);
            self.progress.on_event(Event::Downloaded(sum));
        };
        fetch::download(client, &source.address(), to, sha256, size, &arrived).map_err(Arc::new)
    }

    /// All of them are here, or failed.
    pub(super) fn finish(self) {
        if self.files > 0 {
            self.progress.on_event(Event::DownloadsDone);
        }
    }
}

/// Does this with each item, in their order, a few at a time.
pub(super) fn each<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    workers::each(AT_ONCE.min(items.len()), items.into_iter(), work);
}
