//! Locked files from the package index into the store's archives, a few at a time. What becomes of them is the
//! caller's business.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, mpsc};

use super::{Error, Failure, Need, Sources};
use crate::build::crew;
use crate::build::downloads::{Downloads, each};
use crate::digest::Digest;
use crate::fetch;
use crate::files;
use crate::lock::{LockedPackage, LockedTarget, Origin};
use crate::process::threads;
use crate::project::{git, pack};
use crate::store::wheels::Staging;
use crate::uv::Uv;

/// Downloads the locked files of these needs; each is handed to `arrived` as soon as it is here.
pub(in crate::build) fn download(
    needs: &[&Need],
    sources: &Sources,
    arrived: &(dyn Fn(&Need, Result<(), Failure>) + Sync),
) {
    let addresses = addresses(needs, sources);
    // The largest first: what takes longest must not come last.
    let mut ordered: Vec<&Need> = needs.to_vec();
    ordered.sort_by_key(|need| std::cmp::Reverse(need.package.size));
    let queue: Vec<(&Need, Result<String, Failure>)> = ordered
        .into_iter()
        .map(|need| {
            // Two builds of one file may differ in what they take.
            let address = addresses.get(&need.package.sha256).cloned();
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
    let client = client.map(|client| client.with(sources.credentials));
    let downloads = Downloads::begin(client, files, bytes, sources.progress);
    let (sender, receiver) = mpsc::channel();
    let fetching = &downloads;
    std::thread::scope(|scope| {
        let fetch_all = move || {
            let fetched = |(need, address): (_, Result<String, Failure>)| {
                let result = address.and_then(|address| fetch(need, &address, fetching, sources));
                // Nobody hangs up before all is said.
                let _ = sender.send((need, result));
            };
            each(queue, fetched);
            drop(sender);
        };
        // Without a thread of their own the downloads come first.
        threads::spawn_or_run(scope, fetch_all);
        let arrived = |(need, result)| arrived(need, result);
        let threads = sources.crew.jobs().min(needs.len());
        crew::each(threads, receiver.into_iter(), arrived);
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
    match &package.origin {
        Origin::Git {
            url,
            commit,
            subdirectory,
        } => {
            let within = subdirectory.as_deref();
            let fill = |into: &Path| {
                let Sources {
                    path, variables, ..
                } = sources;
                Ok(git::fetch(url, commit, within, into, path, variables)?)
            };
            return tree(need, sources, &to, &fill).map_err(Arc::new);
        }
        Origin::Path { path, .. } if files::is_directory(&sources.here.join(path)) => {
            return packed(need, &sources.here.join(path), &to).map_err(Arc::new);
        }
        _ => {}
    }
    let fetched = downloads.fetch(address, &to, &package.sha256, package.size);
    fetched.map_err(|source| {
        Arc::new(Error::Download {
            file: package.file.clone(),
            indexed: matches!(package.origin, Origin::Index(_)),
            source,
        })
    })
}

/// Where the bundle has the file, if there is a bundle and it has it.
fn bundled(need: &Need, sources: &Sources) -> Option<String> {
    let path = sources.bundle?.archive(&need.package.sha256)?;
    Some(fetch::file_address(&path))
}

/// The archive of a tree that `fill` makes, which must be the locked one.
fn tree(
    need: &Need,
    sources: &Sources,
    to: &Path,
    fill: &dyn Fn(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    // Staging of the store is removed after a run that was killed.
    let staging = Staging::beside(&sources.root.built_wheels().join("tree"), sources.root)?;
    fill(staging.path())?;
    packed(need, staging.path(), to)
}

/// Packs a directory as the locked archive, if that is what it makes.
fn packed(need: &Need, directory: &Path, to: &Path) -> Result<(), Error> {
    let package = need.package;
    let parent = to.parent().expect("archives lie in a directory");
    files::create_directories(parent)?;
    let work = files::temporary_directory(parent, ".packing-")?;
    let archive = work.path().join("archive");
    let packed = pack::pack(directory, files::create_new(&archive, 0o644)?)?;
    if packed.sha256 != package.sha256 {
        return Err(Error::Changed {
            file: package.file.clone(),
            origin: package.origin.to_string(),
        });
    }
    Ok(files::rename(&archive, to)?)
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
    let mut indexed = Vec::new();
    let mut absent = Vec::new();
    for need in missing {
        let package = need.package;
        let address = match &package.origin {
            Origin::Path { path, .. } => {
                let there = sources.here.join(path);
                fetch::file_address(&files::absolute(&there).unwrap_or(there))
            }
            _ if sources.offline => {
                absent.push(need);
                continue;
            }
            Origin::Index(_) => {
                indexed.push(need);
                continue;
            }
            Origin::Url { url, .. } | Origin::Git { url, .. } => url.clone(),
        };
        addresses.insert(package.sha256, Ok(address));
    }
    let all = |needs: &[&Need], why: Error| {
        let why = Arc::new(why);
        let each = needs.iter();
        each.map(|need| (need.package.sha256, Err(Arc::clone(&why))))
            .collect::<HashMap<_, _>>()
    };
    if !absent.is_empty() {
        let names = absent.iter().map(|need| need.package.file.clone());
        let why = Error::Offline(names.collect());
        addresses.extend(all(&absent, why));
    }
    if indexed.is_empty() {
        return addresses;
    }
    match (sources.uv)() {
        Err(error) => addresses.extend(all(&indexed, Error::Uv(error))),
        Ok(uv) => addresses.extend(ask(&indexed, &uv)),
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
        let answer =
            answer.map_err(|error| Arc::new(Error::Addresses(error.explained(), error.advice())));
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
