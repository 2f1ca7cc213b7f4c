//! Having a model fetch what it needs: its `setup()` is called once, with the network, and what it left in the cache is
//! recorded. Whether that is needed is the plan's decision; how a worker computes is not known here.
//!
//! Recorded is every file of the cache that was not there before, has another size than before, or was opened: a file that
//! two models need belongs to both. Files below the user's home directory are none of the cache's: the caller is warned of them,
//! because other users do not have them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use crate::digest::Digest;
use crate::fetch::NETWORK;
use crate::files::{self, Context as _, Entry, Kind};
use crate::plan::PrefetchStep;
use crate::runtime::{Selected, Unusable, Variables, select, variables};
use crate::store::prefetched::{self, CachedFile, Record};
use crate::store::{Root, weights};
use crate::worker::setup;
use crate::worker::task::TaskError;

mod carry;

pub(crate) use carry::{Error as CarryError, carry};

/// How libraries of Python reach the network beside that, with their credentials. Workers see none of it.
const LIBRARIES: [&str; 4] = [
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HF_ENDPOINT",
    "HF_TOKEN",
];

/// What keeps libraries from the network.
const OFFLINE: &str = "HF_HUB_OFFLINE";

/// A model's files could not be fetched by itself. Its environment is as it was.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It was forbidden.
    #[error(
        "files it needs are gone or changed, and `--offline` forbids to have them fetched again"
    )]
    #[diagnostic(help(
        "run it once without `--offline`, or name a bundle that has them with `--bundle DIR`"
    ))]
    Offline,
    /// Its environment cannot run here.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Select(#[from] Unusable),
    /// It failed.
    #[error("its `setup()` failed: {0}\n{details}", details = .0.details())]
    #[diagnostic(help(
        "the environment is built all the same. If the model cannot be loaded on a CPU or needs no files, write `prefetch = \
         false` into its environment; to name its files yourself, give it `weights`"
    ))]
    Failed(TaskError),
    /// It left another file than the last time.
    #[error("`{path}` was recorded with the sha256 {was}, and now `setup()` leaves one with {now}")]
    #[diagnostic(help(
        "the publisher has replaced it: to accept what is there now, remove the record (`prefetched/` in the root) and run \
         `rootstock sync` again"
    ))]
    Another {
        /// Below the cache.
        path: String,
        /// The digest on record.
        was: Digest,
        /// The digest of what came; it is removed.
        now: Digest,
    },
    /// It no longer leaves a file.
    #[error("`{0}` is on record, and `setup()` does not leave it any more")]
    #[diagnostic(help(
        "the publisher has replaced it: to accept what is there now, remove the record (`prefetched/` in the root) and run \
         `rootstock sync` again"
    ))]
    Gone(String),
    /// What the bundle has of it cannot be taken.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Carry(#[from] CarryError),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// Calls a model's `setup()` and records what it left. `warn` is called with a sentence if it uses files that other users
/// do not have.
pub(crate) fn prefetch(
    root: &Root,
    step: &PrefetchStep,
    inherited: &Variables,
    warn: &dyn Fn(&str),
) -> Result<Record, Error> {
    let selected = select::model(root, step.model.id.as_str())?;
    files::create_directories(root.cache())?;
    let expected = step.expected.as_deref().unwrap_or_default();
    remove_changed(root, expected)?;
    let before = list(root.cache())?;
    let variables = network_variables(root, &selected, inherited);
    let home = variables.get(OsStr::new("HOME")).map(Path::new);
    if let Some(home) = home.filter(|home| home.starts_with(root.cache())) {
        // A home directory of the environment's own.
        files::create_directories(home)?;
    }
    let used = setup::call(root, &selected, &variables, inherited).map_err(Error::Failed)?;
    if !used.home.is_empty() {
        warn(&home_files_advice(step, &used.home));
    }
    let after = list(root.cache())?;
    let paths = touched(root, &before, &after, &used.opened)?;
    let mut cached = Vec::new();
    for path in paths.into_iter().filter(|path| is_content(&after[*path])) {
        cached.push(CachedFile {
            path: path.clone(),
            size: after[path].size,
            sha256: digest(root, path)?,
        });
    }
    for was in expected {
        keep_expected(root, was, &mut cached, &after)?;
    }
    cached.sort_by(|a, b| a.path.cmp(&b.path));
    let record = Record {
        schema: prefetched::SCHEMA,
        key: step.key,
        files: cached,
    };
    prefetched::write(root, &step.model.id, &record)?;
    Ok(record)
}

/// Removes files that are not as they were recorded: the library would take them for whole and fetch nothing.
fn remove_changed(root: &Root, expected: &[CachedFile]) -> files::Result<()> {
    for file in expected {
        files::check_below(root.cache(), &file.path)?;
    }
    let mut expected = expected.iter();
    expected
        .by_ref()
        .filter(|file| digest(root, &file.path).ok() != Some(file.sha256))
        .try_for_each(|file| files::remove_if_present(&weights::path(root, &file.path)))
}

type Listing = BTreeMap<String, Entry>;

/// What of the cache was written or opened. What was written is made readable for others.
fn touched<'a>(
    root: &Root,
    before: &Listing,
    after: &'a Listing,
    opened: &[String],
) -> files::Result<BTreeSet<&'a String>> {
    let is_new = |(path, entry): &(&String, &Entry)| {
        let before = before.get(*path);
        before.is_none_or(|before| before.size != entry.size)
    };
    let new: BTreeMap<&String, &Entry> = after.iter().filter(is_new).collect();
    for entry in new.values() {
        share(root, entry)?;
    }
    let mut paths: BTreeSet<&String> = new.into_keys().collect();
    let opened = below_cache(root, opened)?;
    let opened = opened.iter().filter_map(|path| after.get_key_value(path));
    paths.extend(opened.map(|(path, _)| path));
    Ok(paths)
}

/// A file that was recorded before must be the same now; one that is there and was not opened stays on record.
fn keep_expected(
    root: &Root,
    was: &CachedFile,
    cached: &mut Vec<CachedFile>,
    after: &Listing,
) -> Result<(), Error> {
    match cached.iter().find(|now| now.path == was.path) {
        Some(now) if now.sha256 != was.sha256 => {
            files::remove_if_present(&weights::path(root, &was.path))?;
            Err(Error::Another {
                path: was.path.clone(),
                was: was.sha256,
                now: now.sha256,
            })
        }
        Some(_) => Ok(()),
        None if after.contains_key(&was.path) => {
            cached.push(was.clone());
            Ok(())
        }
        None => Err(Error::Gone(was.path.clone())),
    }
}

/// These files by their paths below the cache.
fn below_cache(root: &Root, opened: &[String]) -> files::Result<Vec<String>> {
    let cache = root.cache();
    let real = files::real_path(cache)?;
    let below = |path: &String| {
        let path = Path::new(path);
        let below = path
            .strip_prefix(cache)
            .or_else(|_| path.strip_prefix(&real));
        below.ok()?.to_str().map(str::to_owned)
    };
    Ok(opened.iter().filter_map(below).collect())
}

/// How many files are named.
const NAMED: usize = 5;

/// What to do about files that other users of the root do not have.
fn home_files_advice(step: &PrefetchStep, paths: &[String]) -> String {
    let PrefetchStep { model, .. } = step;
    let environment = &model.environment;
    let mut named: Vec<String> = paths
        .iter()
        .take(NAMED)
        .map(|path| format!("`{path}`"))
        .collect();
    if paths.len() > NAMED {
        named.push(format!("and {} more", paths.len() - NAMED));
    }
    format!(
        "warning: `setup()` of model {} uses files below your home directory, which other users do not have: {}; write \
         `own-home = true` into `[environments.{environment}]`, then run `rootstock lock && rootstock sync {environment}`",
        model.id,
        named.join(", ")
    )
}

/// A worker's variables, with those that reach the network.
fn network_variables(root: &Root, selected: &Selected, inherited: &Variables) -> Variables {
    let mut variables = variables::for_python(root, selected, inherited);
    variables.remove(OsStr::new(OFFLINE));
    let network = NETWORK.iter().chain(&LIBRARIES).map(OsStr::new);
    variables
        .extend(network.filter_map(|name| Some((name.to_owned(), inherited.get(name)?.clone()))));
    variables
}

/// Everything in the cache by its path; links with the size of what they lead to.
fn list(cache: &Path) -> files::Result<BTreeMap<String, Entry>> {
    let mut list = BTreeMap::new();
    for mut entry in files::walk(cache)? {
        if entry.kind == Kind::Link {
            entry.size = files::size(&cache.join(&entry.path)).unwrap_or(0);
        }
        if let Some(path) = entry.path.to_str() {
            list.insert(path.to_owned(), entry);
        }
    }
    Ok(list)
}

/// Whether it is a file, or leads to one, that has something in it; not what processes use to signal each other.
fn is_content(entry: &Entry) -> bool {
    let is_lock = entry
        .path
        .extension()
        .is_some_and(|extension| extension == "lock");
    matches!(entry.kind, Kind::File | Kind::Link) && entry.size > 0 && !is_lock
}

fn digest(root: &Root, path: &str) -> files::Result<Digest> {
    let path = weights::path(root, path);
    Ok(Digest::of_reader(files::open(&path)?)
        .context("read", &path)?
        .0)
}

/// Others shall be able to read what a library has written for us alone.
fn share(root: &Root, entry: &Entry) -> files::Result<()> {
    let path = root.cache().join(&entry.path);
    let wanted = match (entry.kind, root.policy()) {
        (Kind::File, Some(policy)) => return policy.make_readable(&path),
        (Kind::Directory, Some(policy)) => return policy.make_writable(&path),
        (Kind::File, None) => 0o444,
        (Kind::Directory, None) => 0o555,
        (Kind::Link | Kind::Other, _) => return Ok(()),
    };
    if entry.mode & wanted == wanted {
        return Ok(());
    }
    files::set_mode(&path, entry.mode | wanted)
}
