//! Locked files from the package index into the store's archives, a few at a time. What becomes of them is the
//! caller's business.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, mpsc};

use super::{Error, Failure, Need, Sources};
use crate::build::downloads::{Downloads, each};
use crate::digest::Digest;
use crate::fetch;
use crate::lock::{LockedPackage, LockedTarget};
use crate::uv::Uv;

/// Downloads the locked files of these needs; each is handed to `arrived` on the pool as soon as it is here.
pub(in crate::build) fn download(
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
    let client = fetch::Client::new(sources.variables);
    let downloads = Downloads::begin(client, files, bytes, sources.progress);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let fetched = |(need, address): (_, Result<String, Failure>)| {
                let result = address.and_then(|address| fetch(need, &address, &downloads, sources));
                // Nobody hangs up before all is said.
                let _ = sender.send((need, result));
            };
            each(queue, fetched);
            drop(sender);
        });
        pool.in_place_scope(|scope| {
            for (need, result) in receiver {
                scope.spawn(move |_| arrived(need, result));
            }
        });
    });
    downloads.finish();
}

fn fetch(
    need: &Need,
    address: &str,
    downloads: &Downloads,
    sources: &Sources,
) -> Result<(), Failure> {
    let package = need.package;
    let to = need.archive(sources.root);
    if bundled(need, sources).is_some() {
        let taken = downloads.fetch(address, &to, &package.sha256, package.size);
        return taken.map_err(|source| {
            Arc::new(Error::Bundle {
                file: package.file.clone(),
                source,
            })
        });
    }
    let fetched = downloads.fetch(address, &to, &package.sha256, package.size);
    fetched.map_err(|source| {
        Arc::new(Error::Download {
            file: package.file.clone(),
            source,
        })
    })
}

/// Where the bundle has the file, if there is a bundle and it has it.
fn bundled(need: &Need, sources: &Sources) -> Option<String> {
    let path = sources.bundle?.archive(&need.package.sha256)?;
    Some(fetch::file_address(&path))
}

/// Where each file can be downloaded, or why not. uv is asked once for each target and version of Python.
fn addresses(needs: &[&Need], sources: &Sources) -> HashMap<Digest, Result<String, Failure>> {
    let mut addresses = HashMap::new();
    let mut missing = Vec::new();
    for need in needs {
        match bundled(need, sources) {
            Some(address) => {
                addresses.insert(need.package.sha256, Ok(address));
            }
            None => missing.push(*need),
        }
    }
    let all = |why: Error| {
        let why = Arc::new(why);
        let each = missing.iter();
        each.map(|need| (need.package.sha256, Err(Arc::clone(&why))))
            .collect::<HashMap<_, _>>()
    };
    if missing.is_empty() {
        return addresses;
    }
    if sources.offline {
        let names = missing.iter().map(|need| need.package.file.clone());
        addresses.extend(all(Error::Offline(names.collect())));
        return addresses;
    }
    match (sources.uv)() {
        Err(error) => addresses.extend(all(Error::Uv(error))),
        Ok(uv) => addresses.extend(ask(&missing, &uv)),
    }
    addresses
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
