//! Having a model fetch what it needs: its `setup()` is called once, with the network, and what it left in the cache is
//! recorded. Whether that is needed is the plan's decision; how a worker computes is not known here.
//!
//! Recorded is every file of the cache that was not there before, has another size than before, or was opened: a file that
//! two models need belongs to both. A library that keeps its files elsewhere, below HOME, leaves nothing that we see.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;

use serde::Serialize;

use crate::digest::Digest;
use crate::fetch::NETWORK;
use crate::files::{self, Context as _, Entry, Kind};
use crate::plan::PrefetchStep;
use crate::process::{self, Command, Exit};
use crate::store::prefetched::{self, Left, Record};
use crate::store::{Root, inside, weights};
use crate::worker::environment::{self, Variables};
use crate::worker::select::{self, Selected};

mod carry;

pub use carry::{Error as CarryError, carry};

const PROGRAM: &str = include_str!("prefetch/program.py");

/// Runs the program that stands first on standard input, behind which is its own input.
const FIRST_LINE: &str = "import sys;\
exec(compile(sys.stdin.buffer.read(int(sys.argv[1])),'rootstock prefetch','exec'))";

/// What libraries of Python know of the network beside that, and who we are there. Workers see none of it.
const LIBRARIES: [&str; 4] = [
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HF_ENDPOINT",
    "HF_TOKEN",
];

/// What keeps libraries from the network.
const OFFLINE: &str = "HF_HUB_OFFLINE";

/// A model's files could not be fetched by itself. Its environment is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was forbidden.
    #[error(
        "files it needs are gone or changed, and `--offline` forbids to have them fetched again"
    )]
    Offline,
    /// Its environment cannot run here.
    #[error(transparent)]
    Select(#[from] select::Error),
    /// Its Python cannot be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// It failed.
    #[error("its `setup()` failed: Python {exit}\n{said}")]
    Failed {
        /// How it ended.
        exit: Exit,
        /// What it said last.
        said: String,
    },
    /// It says nonsense.
    #[error("its Python did not say which files it has opened")]
    Answer,
    /// It left another file than the last time.
    #[error("`{path}` was recorded with the sha256 {was}, and now `setup()` leaves one with {now}")]
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
    Gone(String),
    /// What the bundle has of it cannot be taken.
    #[error(transparent)]
    Carry(#[from] CarryError),
    /// A file operation failed.
    #[error(transparent)]
    Files(#[from] files::Error),
}

impl Error {
    /// What a person can do about it.
    pub fn advice(&self) -> Option<String> {
        let text = match self {
            Error::Offline => {
                "run it once without `--offline`, or name a bundle that has them with `--bundle DIR`"
            }
            Error::Failed { .. } => {
                "the environment is built all the same. If the model cannot be loaded on a CPU or needs no files, write \
                 `prefetch = false` into its environment; to name its files yourself, give it `weights`"
            }
            Error::Another { .. } | Error::Gone(_) => {
                "the publisher has replaced it: to accept what is there now, remove the record (`prefetched/` in the root) and \
                 run `rootstock sync` again"
            }
            Error::Select(error) => {
                return miette::Diagnostic::help(error).map(|help| help.to_string());
            }
            Error::Files(error) | Error::Carry(CarryError::Files(error)) => {
                return error.advice().map(str::to_owned);
            }
            Error::Carry(_) => "make the bundle again with `rootstock bundle -o DIR`",
            Error::Process(_) | Error::Answer => return None,
        };
        Some(text.to_owned())
    }
}

#[derive(Serialize)]
struct Order<'a> {
    source: &'a Path,
    argument: &'a str,
    setup: &'a serde_json::Map<String, serde_json::Value>,
    cache: &'a Path,
}

/// Calls a model's `setup()` and records what it left.
pub fn prefetch(root: &Root, step: &PrefetchStep, inherited: &Variables) -> Result<Record, Error> {
    let selected = select::select(root, step.model.id.as_str())?;
    files::create_directories(root.cache())?;
    let expected = step.expected.as_deref().unwrap_or_default();
    // What is not as it was would be taken for whole by the library, which then fetches nothing.
    for file in expected
        .iter()
        .filter(|file| digest(root, &file.path).ok() != Some(file.sha256))
    {
        files::remove_if_present(&weights::path(root, &file.path))?;
    }
    let before = list(root.cache())?;
    let opened = call(root, &selected, inherited)?;
    let after = list(root.cache())?;
    let is_new = |(path, entry): &(&String, &Entry)| {
        before
            .get(*path)
            .is_none_or(|before| before.size != entry.size)
    };
    let new: BTreeMap<&String, &Entry> = after.iter().filter(is_new).collect();
    for entry in new.values() {
        share(root, entry)?;
    }
    let mut paths: BTreeSet<&String> = new.into_keys().collect();
    paths.extend(opened.iter().filter(|path| after.contains_key(*path)));
    let mut left = Vec::new();
    for path in paths.into_iter().filter(|path| is_content(&after[*path])) {
        left.push(Left {
            path: path.clone(),
            size: after[path].size,
            sha256: digest(root, path)?,
        });
    }
    for was in expected {
        match left.iter().find(|now| now.path == was.path) {
            Some(now) if now.sha256 != was.sha256 => {
                files::remove_if_present(&weights::path(root, &was.path))?;
                return Err(Error::Another {
                    path: was.path.clone(),
                    was: was.sha256,
                    now: now.sha256,
                });
            }
            Some(_) => {}
            None if after.contains_key(&was.path) => left.push(was.clone()),
            None => return Err(Error::Gone(was.path.clone())),
        }
    }
    left.sort_by(|a, b| a.path.cmp(&b.path));
    let record = Record {
        schema: prefetched::SCHEMA,
        key: step.key,
        files: left,
    };
    prefetched::write(root, &step.model.id, &record)?;
    Ok(record)
}

/// Calls `setup()` in a Python of its own; the files of the cache that it has opened.
fn call(root: &Root, selected: &Selected, inherited: &Variables) -> Result<Vec<String>, Error> {
    let cache = root.cache();
    let order = Order {
        source: &selected.generation.join(inside::SOURCE),
        argument: &selected.argument,
        setup: &selected.setup,
        cache,
    };
    let order = serde_json::to_string(&order).map_err(|_| Error::Answer)?;
    let output = Command::new(selected.generation.join(inside::PYTHON))
        .arguments(["-I", "-B", "-X", "faulthandler", "-c", FIRST_LINE])
        .argument(PROGRAM.len().to_string())
        .argument(selected.environment.as_str())
        .variables(variables(root, selected, inherited))
        .input(format!("{PROGRAM}{order}"))
        .run()?;
    if !output.exit.success() {
        return Err(Error::Failed {
            exit: output.exit,
            said: process::tail(&output.stderr, 15),
        });
    }
    let opened: Vec<String> = serde_json::from_slice(&output.stdout).map_err(|_| Error::Answer)?;
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

/// Those of a worker, with the network.
fn variables(
    root: &Root,
    selected: &Selected,
    inherited: &Variables,
) -> BTreeMap<OsString, OsString> {
    let mut variables = environment::variables(root, selected, inherited);
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

/// Whether it is a file, or leads to one, that has something in it; not what processes tell each other by.
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
        (Kind::File, Some(policy)) => return policy.share(&path),
        (Kind::Directory, Some(policy)) => return policy.open(&path),
        (Kind::File, None) => 0o444,
        (Kind::Directory, None) => 0o555,
        (Kind::Link | Kind::Other, _) => return Ok(()),
    };
    if entry.mode & wanted == wanted {
        return Ok(());
    }
    files::set_mode(&path, entry.mode | wanted)
}
