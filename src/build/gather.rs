//! Everything that environments are linked from, into the wheel store: found there and checked, or fetched, unpacked and
//! compiled. Each file once, however many environments need it; a file that fails costs only those that need it.
//!
//! ```text
//! needs ──▶ in the store, every byte as it was? ──▶ ready
//!             │ no
//!             ▼
//!           uv: addresses (asked once) ──▶ download, a few at a time ──▶ unpack ──▶ compile ──▶ ready
//! ```
//!
//! Wheels come first: those of the environments, and those that building the source distributions takes which were not
//! built here before. Then these are fetched and built.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::digest::Digest;
use crate::fetch;
use crate::files;
use crate::lock::{Bytecode, Distribution, InternedPackage, LockedPackage, LockedTarget};
use crate::project::git;
use crate::python::Interpreter;
use crate::store::Root;
use crate::store::wheels::{self, UnpackedWheel};
use crate::uv;
use crate::wheel;

use super::assemble::Part;
use super::progress::Event;
use super::workers::Workers;
use super::{Context, bytecode, sdist};
pub(super) use download::download;

mod checked;
mod download;
mod prepare;

/// A package that some environments need, with the interpreters they stand on.
#[derive(Debug, Clone)]
pub(super) struct Need<'a> {
    pub(super) package: &'a LockedPackage,
    /// If it is built: what that takes.
    pub(super) requirements: &'a [InternedPackage],
    pub(super) target: &'a LockedTarget,
    pub(super) interpreters: Vec<&'a Interpreter>,
    /// Whether bytecode of its tests is wanted.
    pub(super) tests: bool,
}

/// What packages are looked up by: the digest of the file, or of all that a build takes, and the interpreter.
pub(super) type Key = (Digest, Digest);

/// A package that is ready to be linked.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    /// What its wheel installs.
    pub(super) wheel: UnpackedWheel,
    /// The bytecode for that, without that of tests.
    pub(super) bytecode: UnpackedWheel,
    /// That of tests, where it is wanted.
    pub(super) tests: Option<UnpackedWheel>,
}

impl Ready {
    /// What an environment is assembled from; the package's name is for people.
    pub(super) fn parts<'a>(&'a self, package: &'a str, bytecode: Bytecode) -> Vec<Part<'a>> {
        let part = |unpacked, compiled| Part {
            package,
            unpacked,
            compiled,
        };
        let tests = self.tests.iter().filter(|_| bytecode == Bytecode::All);
        let compiled = [&self.bytecode].into_iter().chain(tests);
        let compiled = compiled.map(|unpacked| part(unpacked, true));
        [part(&self.wheel, false)]
            .into_iter()
            .chain(compiled)
            .collect()
    }
}

/// A need made ready, for each of its interpreters.
type Prepared = Vec<(Key, Arc<Ready>)>;

/// What packages are gathered for, and the threads that do it.
pub(super) struct Gathering<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) workers: &'a Workers,
}

/// A package cannot be prepared. Shared by all environments that need it.
pub type Failure = Arc<Error>;

/// Why a package cannot be prepared.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It would have to be downloaded.
    #[error("{} neither in the root's store nor in a bundle, and `--offline` forbids to download: {}",
        match .0.len() { 1 => "a file is".to_owned(), n => format!("{n} files are") }, .0.join(", "))]
    #[diagnostic(help(
        "run it once without `--offline`, or name a bundle that has them with `--bundle DIR`"
    ))]
    Offline(Vec<String>),
    /// The bundle has something else.
    #[error("the bundle's copy of `{file}` cannot be used")]
    #[diagnostic(help(
        "`rootstock bundle` on a machine with access puts right what is wrong in it, and only that"
    ))]
    Bundle {
        /// The file's name.
        file: String,
        /// The cause.
        source: Arc<fetch::Error>,
    },
    /// uv cannot be had.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Uv(#[from] uv::Error),
    /// uv cannot say where the files are.
    #[error("cannot find out where to download the locked files: {0}")]
    Addresses(String, #[help] Option<String>),
    /// The index does not have the file any more.
    #[error("the package index has no file `{0}` with the locked sha256")]
    #[diagnostic(help(
        "it was withdrawn, or your index is another one than that of the lock: `rootstock lock --upgrade` chooses files \
         that are there"
    ))]
    Gone(String),
    /// It cannot be downloaded.
    #[error("`{file}` cannot be downloaded")]
    Download {
        /// The file's name.
        file: String,
        /// What to do, if that is known.
        #[help]
        advice: Option<String>,
        /// The cause.
        source: Arc<fetch::Error>,
    },
    /// What builds it could not be prepared.
    #[error("`{file}` cannot be built without `{requirement}`: {why}")]
    Requirement {
        /// The source distribution.
        file: String,
        /// What building it takes.
        requirement: String,
        /// Why that is not there.
        why: Failure,
        /// What to do, if that is known.
        #[help]
        advice: Option<String>,
    },
    /// The repository cannot be had.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Git(#[from] git::Error),
    /// What is beside the manifest, or in the repository, is not what was locked.
    #[error("`{file}` is locked from {origin}, which has other files now")]
    #[diagnostic(help("run `rootstock lock`"))]
    Changed {
        /// The file's name.
        file: String,
        /// Where it comes from.
        origin: String,
    },
    /// Something removed it while it was used.
    #[error("`{}` was taken away while it was needed", .0.display())]
    #[diagnostic(help("{TAKEN_AWAY}"))]
    TakenAway(PathBuf),
    /// It cannot be unpacked.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Wheel(#[from] wheel::Error),
    /// It cannot be built.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sdist(#[from] sdist::Error),
    /// It cannot be compiled.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Bytecode(#[from] bytecode::Error),
    /// The wheel store cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Store(#[from] wheels::Error),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// What to do about what others remove.
pub(super) const TAKEN_AWAY: &str =
    "run `rootstock sync` again when what removes it (`rootstock gc`?) is done";

impl Error {
    /// Whether doing it again may well help.
    pub(super) fn is_taken_away(&self) -> bool {
        match self {
            Error::TakenAway(_) => true,
            Error::Requirement { why, .. } => why.is_taken_away(),
            _ => false,
        }
    }

    /// This error, unless one of the directories that were used is gone: then that is the reason.
    fn unless_gone<'p>(self, mut used: impl Iterator<Item = &'p Path>) -> Self {
        match used.find(|path| !files::exists(path)) {
            Some(path) => Error::TakenAway(path.to_owned()),
            None => self,
        }
    }
}

/// What became of each need.
pub(super) type Gathered = HashMap<Key, Result<Arc<Ready>, Failure>>;

/// Makes every need ready.
pub(super) fn gather(needs: &[Need], gathering: &Gathering) -> Gathered {
    let (wheels, builds): (Vec<Need>, Vec<Need>) = needs
        .iter()
        .cloned()
        .partition(|need| need.package.distribution() == Distribution::Wheel);
    let unbuilt: Vec<&Need> = builds
        .iter()
        .filter(|need| !need.is_built(gathering.context.root))
        .collect();
    let wheels = with_requirements(wheels, &unbuilt);
    gathering
        .context
        .progress
        .on_event(Event::Preparing(wheels.len() + builds.len()));
    let gathered = round(&wheels, Gathered::new(), gathering);
    let gathered = round(&builds, gathered, gathering);
    gathering.context.progress.on_event(Event::PreparationsDone);
    gathered
}

/// These needs, and those of what builds source distributions.
fn with_requirements<'a>(wheels: Vec<Need<'a>>, unbuilt: &[&Need<'a>]) -> Vec<Need<'a>> {
    let mut all: BTreeMap<Digest, Need> = BTreeMap::new();
    let required = unbuilt.iter().flat_map(|need| {
        need.requirements.iter().map(|package| Need {
            package,
            requirements: &[],
            target: need.target,
            interpreters: need.interpreters.clone(),
            tests: false,
        })
    });
    for need in wheels.into_iter().chain(required) {
        match all.get_mut(&need.package.sha256) {
            None => {
                all.insert(need.package.sha256, need);
            }
            Some(known) => {
                for interpreter in need.interpreters {
                    known.add(interpreter);
                }
                known.tests |= need.tests;
            }
        }
    }
    all.into_values().collect()
}

/// Makes these needs ready with the help of those that are.
fn round(needs: &[Need], ready: Gathered, gathering: &Gathering) -> Gathered {
    let gathered = Mutex::new(Gathered::new());
    let finish = |need: &Need, result: Result<Prepared, Failure>| {
        let mut gathered = gathered.lock().expect("no thread panics while holding it");
        match result {
            Ok(ready) => gathered.extend(ready.into_iter().map(|(key, ready)| (key, Ok(ready)))),
            Err(why) => gathered.extend(need.keys().map(|key| (key, Err(Arc::clone(&why))))),
        }
        let name = need.package.name.to_string();
        gathering.context.progress.on_event(Event::Prepared(name));
    };
    let look = |need| match prepare::from_store(need, &ready, gathering) {
        Ok(None) => Some(need),
        Ok(Some(ready)) => {
            finish(need, Ok(ready));
            None
        }
        Err(error) => {
            finish(need, Err(Arc::new(error)));
            None
        }
    };
    let looked = gathering.workers.each(needs.iter().collect(), look);
    let missing: Vec<&Need> = looked.into_iter().flatten().collect();
    let arrived = |need: &Need, archive: Result<(), Failure>| {
        let prepare = || prepare::from_archive(need, &ready, gathering).map_err(Arc::new);
        finish(need, archive.and_then(|()| prepare()));
    };
    download(&missing, gathering, &arrived);
    let new = gathered
        .into_inner()
        .expect("no thread panics while holding it");
    ready.into_iter().chain(new).collect()
}

impl<'a> Need<'a> {
    fn keys(&self) -> impl Iterator<Item = Key> {
        self.interpreters
            .iter()
            .map(|interpreter| key(self.package, self.requirements, interpreter))
    }

    /// Also for this interpreter.
    pub(super) fn add(&mut self, interpreter: &'a Interpreter) {
        let mut known = self.interpreters.iter();
        if known.all(|known| known.identity != interpreter.identity) {
            self.interpreters.push(interpreter);
        }
    }

    /// Whether it was built before for each of its interpreters. An error in looking is reported when it is used.
    fn is_built(&self, root: &Root) -> bool {
        self.interpreters.iter().all(|interpreter| {
            sdist::find(root, &self.recipe(interpreter)).is_ok_and(|built| built.is_some())
        })
    }

    fn recipe(&self, interpreter: &'a Interpreter) -> sdist::Recipe<'a> {
        sdist::Recipe {
            package: self.package,
            interpreter,
            requirements: self.requirements,
        }
    }

    fn archive(&self, root: &Root) -> PathBuf {
        archive(root, self.package)
    }
}

/// What a package prepared for an interpreter is looked up by.
pub(super) fn key(
    package: &LockedPackage,
    requirements: &[InternedPackage],
    interpreter: &Interpreter,
) -> Key {
    let what = match package.distribution() {
        Distribution::Wheel => package.sha256,
        Distribution::Source => sdist::Recipe {
            package,
            interpreter,
            requirements,
        }
        .digest(),
    };
    (what, interpreter.identity.digest())
}

fn archive(root: &Root, package: &LockedPackage) -> PathBuf {
    root.archive(&package.sha256)
}

/// Whether this package would have to be downloaded, judged by the files alone: what was built from a source distribution
/// depends on the interpreter, and that is not asked for only to look.
pub(super) fn is_missing(root: &Root, package: &LockedPackage) -> bool {
    !files::exists(&wheels::directory(root, &package.sha256))
        && !files::exists(&archive(root, package))
}
