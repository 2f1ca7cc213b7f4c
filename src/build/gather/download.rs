//! Locked files from the package index into the store's archives, a few at a time. What becomes of them is the
//! caller's business.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use super::{Error, Failure, Need, Sources};
use crate::build::progress::Event;
use crate::digest::Digest;
use crate::fetch;
use crate::lock::{LockedPackage, LockedTarget};
use crate::uv::Uv;

/// How many files are downloaded at once: enough that one slow answer does not hold up the rest, few enough that an
/// index does not mind.
const DOWNLOADS: usize = 6;

/// Downloads the locked files of these needs; each is handed to `arrived` on the pool as soon as it is here.
pub(super) fn download(
    needs: &[&Need],
    sources: &Sources,
    pool: &rayon::ThreadPool,
    arrived: &(dyn Fn(&Need, Result<(), Failure>) + Sync),
) {
    let mut addresses = addresses(needs, sources);
    // The largest first: what takes longest must not come last.
    let mut ordered: Vec<&Need> = needs.to_vec();
    ordered.sort_by_key(|need| std::cmp::Reverse(need.package.size));
    let queue: Vec<(&Need, Result<String, Failure>)> = ordered
        .into_iter()
        .map(|need| {
            let address = addresses.remove(&need.package.sha256);
            (
                need,
                address.expect("every need has an address or a reason why not"),
            )
        })
        .collect();
    let known = queue.iter().filter(|(_, address)| address.is_ok());
    let (files, bytes) = known.fold((0, 0), |(n, bytes), (need, _)| {
        (n + 1, bytes + need.package.size.unwrap_or(0))
    });
    if files > 0 {
        sources.progress.heard(Event::Downloading { files, bytes });
    }
    let line = Line {
        client: fetch::Client::new(sources.variables).map_err(Arc::new),
        arrived: AtomicU64::new(0),
        sources,
    };
    let next = Mutex::new(queue.into_iter());
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|threads| {
        for _ in 0..DOWNLOADS.min(needs.len()) {
            let sender = sender.clone();
            let (next, line) = (&next, &line);
            threads.spawn(move || {
                loop {
                    let item = next.lock().expect("nobody panics while holding it").next();
                    let Some((need, address)) = item else { break };
                    let result = address.and_then(|address| line.fetch(need, &address));
                    // Nobody hangs up before all is said.
                    let _ = sender.send((need, result));
                }
            });
        }
        drop(sender);
        pool.in_place_scope(|scope| {
            for (need, result) in receiver {
                scope.spawn(move |_| arrived(need, result));
            }
        });
    });
    if files > 0 {
        sources.progress.heard(Event::DownloadsDone);
    }
}

/// What the threads that download share.
struct Line<'a> {
    client: Result<fetch::Client, Arc<fetch::Error>>,
    arrived: AtomicU64,
    sources: &'a Sources<'a>,
}

impl Line<'_> {
    fn fetch(&self, need: &Need, address: &str) -> Result<(), Failure> {
        let package = need.package;
        let failed = |source| {
            Arc::new(Error::Download {
                file: package.file.clone(),
                source,
            })
        };
        let client = self
            .client
            .as_ref()
            .map_err(|error| failed(Arc::clone(error)))?;
        let to = need.archive(self.sources.root);
        let before = AtomicU64::new(0);
        let heard = |there: u64| {
            // A download that begins anew counts backwards; the sum of all stays right by wrapping around.
            let more = there.wrapping_sub(before.swap(there, Ordering::Relaxed));
            let sum = self
                .arrived
                .fetch_add(more, Ordering::Relaxed)
                .wrapping_add(more);
            self.sources.progress.heard(Event::Downloaded(sum));
        };
        fetch::download(client, address, &to, &package.sha256, package.size, &heard)
            .map_err(|error| failed(Arc::new(error)))
    }
}

/// Where each file can be downloaded, or why not. uv is asked once for each target and version of Python.
fn addresses(needs: &[&Need], sources: &Sources) -> HashMap<Digest, Result<String, Failure>> {
    if needs.is_empty() {
        return HashMap::new();
    }
    if sources.offline {
        let forbidden = |need: &&Need| {
            let error = Error::Offline(need.package.file.clone());
            (need.package.sha256, Err(Arc::new(error)))
        };
        return needs.iter().map(forbidden).collect();
    }
    match (sources.uv)() {
        Err(error) => {
            let failure = Arc::new(Error::Uv(error));
            let each = needs.iter();
            each.map(|need| (need.package.sha256, Err(Arc::clone(&failure))))
                .collect()
        }
        Ok(uv) => ask(needs, &uv),
    }
}

fn ask(needs: &[&Need], uv: &Uv) -> HashMap<Digest, Result<String, Failure>> {
    let mut groups: BTreeMap<(&str, String), Vec<&Need>> = BTreeMap::new();
    for need in needs {
        let (target, python) = (need.target.target.name(), &need.target.python.version);
        let group = groups.entry((target, python.to_string())).or_default();
        group.push(need);
    }
    let mut addresses = HashMap::new();
    for group in groups.values() {
        let packages: Vec<&LockedPackage> = group.iter().map(|need| need.package).collect();
        let LockedTarget { target, python, .. } = group[0].target;
        let interpreter = group[0]
            .interpreters
            .first()
            .map(|i| i.executable.as_path());
        let answer = uv.addresses(&packages, target, &python.version, interpreter);
        let answer = answer.map_err(|error| Arc::new(Error::Addresses(error.explained())));
        for package in packages {
            let address = match &answer {
                Ok(known) => known.get(&package.sha256).cloned().ok_or_else(|| {
                    let gone = Error::Gone(package.file.clone());
                    Arc::new(gone)
                }),
                Err(why) => Err(Arc::clone(why)),
            };
            addresses.insert(package.sha256, address);
        }
    }
    addresses
}
