//! Locked files into the store's archives, a few at a time: from the bundle, the package index, an address, a repository,
//! or a directory beside the manifest. What becomes of them is the caller's business.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use super::{Error, Failure, Gathering, Need};
use crate::build::downloads::{Downloads, each};
use crate::build::supply::{Item, Source};
use crate::build::workers;
use crate::digest::Digest;
use crate::fetch;
use crate::files;
use crate::lock::{LockedPackage, LockedTarget, Origin};
use crate::process::threads;
use crate::project::{git, pack};
use crate::report::{chain, help};
use crate::store::wheels::Staging;
use crate::uv::Uv;

/// How the locked file of a package is made available.
#[derive(Debug, Clone)]
enum Route {
    /// It is copied or downloaded.
    File(Source),
    /// A directory beside the manifest is packed.
    Directory(PathBuf),
    /// A commit of a repository is fetched and packed.
    Repository,
}

type Routes = HashMap<Digest, Result<Route, Failure>>;

/// Fetches the locked files of these needs; each is handed to `arrived` as soon as it is there.
pub(in crate::build) fn download(
    needs: &[&Need],
    gathering: &Gathering,
    arrived: &(dyn Fn(&Need, Result<(), Failure>) + Sync),
) {
    let routes = routes(needs, gathering);
    // The largest first: what takes longest must not come last.
    let mut ordered: Vec<&Need> = needs.to_vec();
    ordered.sort_by_key(|need| std::cmp::Reverse(need.package.size));
    let queue: Vec<(&Need, Result<Route, Failure>)> = ordered
        .into_iter()
        .map(|need| {
            // Two builds of one file may differ in what they take.
            let route = routes.get(&need.package.sha256).cloned();
            (
                need,
                route.expect("every need has a route or a reason why not"),
            )
        })
        .collect();
    let known = queue.iter().filter(|(_, route)| route.is_ok());
    let (files, bytes) = known.fold((0, 0), |(n, bytes), (need, _)| {
        (n + 1, bytes + need.package.size.unwrap_or(0))
    });
    let context = gathering.context;
    let downloads = Downloads::begin(context.supply.client(), files, bytes, &*context.progress);
    let (sender, receiver) = mpsc::channel();
    let fetching = &downloads;
    std::thread::scope(|scope| {
        let fetch_all = move || {
            let fetched = |(need, route): (_, Result<Route, Failure>)| {
                let result = route.and_then(|route| fetch(need, &route, fetching, gathering));
                // The receiver takes all results before it ends.
                let _ = sender.send((need, result));
            };
            each(queue, fetched);
            drop(sender);
        };
        // Without a thread of their own the downloads come first.
        threads::spawn_or_run(scope, fetch_all);
        let arrived = |(need, result)| arrived(need, result);
        let threads = gathering.workers.jobs().min(needs.len());
        workers::each(threads, receiver.into_iter(), arrived);
    });
    downloads.finish();
}

fn fetch(
    need: &Need,
    route: &Route,
    downloads: &Downloads,
    gathering: &Gathering,
) -> Result<(), Failure> {
    let package = need.package;
    let to = need.archive(gathering.context.root);
    match route {
        Route::File(source) => {
            let fetched = downloads.fetch(source, &to, &package.sha256, package.size);
            fetched.map_err(|why| Arc::new(failure(package, source, why)))
        }
        Route::Directory(directory) => packed(need, directory, &to).map_err(Arc::new),
        Route::Repository => repository(need, gathering, &to).map_err(Arc::new),
    }
}

/// What to do where an index no longer has a file.
const WITHDRAWN: &str =
    "the index has it no more: `rootstock lock --upgrade` chooses among the files that exist";

fn failure(package: &LockedPackage, from: &Source, source: Arc<fetch::Error>) -> Error {
    let file = package.file.clone();
    match from {
        Source::Bundle(_) => Error::Bundle { file, source },
        Source::Address(_) => Error::Download {
            file,
            advice: match package.origin {
                Origin::Index(_) if source.is_absent() => Some(WITHDRAWN.to_owned()),
                _ => help(&*source),
            },
            source,
        },
    }
}

/// The archive of a commit's tree, which must be the locked one.
fn repository(need: &Need, gathering: &Gathering, to: &Path) -> Result<(), Error> {
    let Origin::Git {
        url,
        commit,
        subdirectory,
    } = &need.package.origin
    else {
        unreachable!("only a repository has this route")
    };
    let context = gathering.context;
    // Staging of the store is removed after a run that was killed.
    let staging = Staging::beside(&context.root.built_wheels().join("tree"), context.root)?;
    let (within, into) = (subdirectory.as_deref(), staging.path());
    git::fetch(url, commit, within, into, &context.path, &context.variables)?;
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

/// The route of each file, or why there is none.
fn routes(needs: &[&Need], gathering: &Gathering) -> Routes {
    let context = gathering.context;
    let mut routes = Routes::new();
    let (mut indexed, mut absent) = (Vec::new(), Vec::new());
    for need in needs {
        let package = need.package;
        let bundled = context.supply.bundled(Item::Archive(&package.sha256));
        let route = match (bundled, &package.origin) {
            (Some(path), _) => Route::File(Source::Bundle(path)),
            (None, Origin::Path { path, .. }) => beside(context.project, path),
            (None, _) if context.supply.network.is_none() => {
                absent.push(*need);
                continue;
            }
            (None, Origin::Index(_)) => {
                indexed.push(*need);
                continue;
            }
            (None, Origin::Url { url, .. }) => Route::File(Source::Address(url.clone())),
            (None, Origin::Git { .. }) => Route::Repository,
        };
        routes.insert(package.sha256, Ok(route));
    }
    if !absent.is_empty() {
        let names = absent.iter().map(|need| need.package.file.clone());
        let why = Error::Offline(names.collect());
        routes.extend(all_failed(&absent, why));
    }
    if !indexed.is_empty() {
        routes.extend(match (context.uv)() {
            Err(error) => all_failed(&indexed, Error::Uv(error)),
            Ok(uv) => ask(&indexed, &uv),
        });
    }
    routes
}

/// The route of what lies beside the manifest.
fn beside(project: &Path, path: &str) -> Route {
    let there = project.join(path);
    if files::is_directory(&there) {
        return Route::Directory(there);
    }
    let address = fetch::file_address(&files::absolute(&there).unwrap_or(there));
    Route::File(Source::Address(address))
}

fn all_failed(needs: &[&Need], why: Error) -> Routes {
    let why = Arc::new(why);
    let each = needs.iter();
    each.map(|need| (need.package.sha256, Err(Arc::clone(&why))))
        .collect()
}

/// Asks uv for addresses, once for each target and version of Python.
fn ask(needs: &[&Need], uv: &Uv) -> Routes {
    let mut groups: BTreeMap<(&str, String), Vec<&Need>> = BTreeMap::new();
    for need in needs {
        let (target, python) = (need.target.target.name(), &need.target.python.version);
        let group = groups.entry((target, python.to_string())).or_default();
        group.push(need);
    }
    let mut routes = Routes::new();
    for group in groups.values() {
        let packages: Vec<&LockedPackage> = group.iter().map(|need| need.package).collect();
        let LockedTarget { target, python, .. } = group[0].target;
        let interpreter = group[0]
            .interpreters
            .first()
            .map(|i| i.executable.as_path());
        let answer = uv.addresses(&packages, target, &python.version, interpreter);
        let answer =
            answer.map_err(|error| Arc::new(Error::Addresses(chain(&error), help(&error))));
        for package in packages {
            let route = match &answer {
                Ok(known) => known
                    .get(&package.sha256)
                    .map(|address| Route::File(Source::Address(address.clone())))
                    .ok_or_else(|| Arc::new(Error::Gone(package.file.clone()))),
                Err(why) => Err(Arc::clone(why)),
            };
            routes.insert(package.sha256, route);
        }
    }
    routes
}
