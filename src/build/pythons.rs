//! Managed interpreters: what the lock names is in the root, whole, and reports itself as locked; or it is fetched,
//! unpacked and compiled. Once for all environments that stand on it.
//!
//! ```text
//! archive ──▶ {root}/store/archives ──verified──▶ staging ──identified──▶ {root}/pythons/<id>
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::assemble::write_read_only;
use super::bytecode::{self, Modules};
use super::downloads::Downloads;
use super::progress::Progress;
use super::publish::make_read_only;
use super::supply::{self, Network, Offline, Supply};
use super::workers::Workers;
use crate::digest::Digest;
use crate::fetch::{self, Mirror};
use crate::files::{self, Context as _, Kind};
use crate::hub::Hub;
use crate::lock::{LockedArchive, LockedPython, LockedTarget};
use crate::process::threads::NoThread;
use crate::python::{self, Interpreter};
use crate::report::help;
use crate::store::managed::{self, SCHEMA, Stamp, State};
use crate::store::trash::discard;
use crate::store::tree::{Item, Tree};
use crate::store::{Root, Verifier, inside, unfinished};

mod copied;
mod rpath;
pub(crate) mod unpack;

pub(crate) use copied::copy_all;
pub(crate) use unpack::Error as UnpackError;

const STAGING: &str = ".staging-";

/// Where interpreters come from and where they go.
pub(super) struct Context<'a> {
    root: &'a Root,
    supply: &'a Supply,
    variables: &'a BTreeMap<OsString, OsString>,
    progress: &'a dyn Progress,
}

impl<'a> Context<'a> {
    /// That of a build.
    pub(super) fn of(build: &'a super::Context<'a>) -> Self {
        Self {
            root: build.root,
            supply: &build.supply,
            variables: &build.variables,
            progress: &*build.progress,
        }
    }
}

/// A managed interpreter cannot be had.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It would have to be downloaded.
    #[error(
        "the interpreter {0} is neither in the root nor in a bundle, and `--offline` forbids to download it"
    )]
    #[diagnostic(help(
        "run it once without `--offline`, or name a bundle that has it with `--bundle DIR`"
    ))]
    Offline(String),
    /// It cannot be downloaded.
    #[error("the interpreter {name} cannot be downloaded")]
    #[diagnostic(help("{}", about_download(source)))]
    Download {
        /// Version and build.
        name: String,
        /// The cause.
        source: Arc<fetch::Error>,
    },
    /// Its archive cannot be unpacked.
    #[error("the archive of the interpreter {name} cannot be unpacked")]
    Unpack {
        /// Version and build.
        name: String,
        /// The cause.
        #[diagnostic_source]
        source: UnpackError,
    },
    /// It does not run here.
    #[error("the interpreter {name} does not run on this machine")]
    #[diagnostic(help(
        "use the machine's own interpreter: `python-source = \"system\"` in the manifest"
    ))]
    Python {
        /// Version and build.
        name: String,
        /// The cause.
        source: python::Error,
    },
    /// It is not the interpreter of its archive's name.
    #[error("the archive of the interpreter {name} holds {found}")]
    Other {
        /// Version and build.
        name: String,
        /// What it reports of itself.
        found: String,
    },
    /// A copy of it is another one.
    #[error("{name} does not run from another directory: {found}")]
    NotCopied {
        /// Version, machine type and path.
        name: String,
        /// What is wrong with the copy.
        found: String,
    },
    /// Its standard library cannot be compiled.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Bytecode(#[from] bytecode::Error),
    /// Not even one thread can be started.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Threads(#[from] NoThread),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// What to do about an archive that cannot be downloaded.
fn about_download(source: &fetch::Error) -> String {
    let first = help(source).map_or_else(String::new, |help| format!("{help}; "));
    format!(
        "{first}a site without access names a mirror of such archives in `python-mirror` or ROOTSTOCK_PYTHON_MIRROR, or \
         uses the machine's own interpreter with `python-source = \"system\"`"
    )
}

/// What became of each interpreter, by the digest of its archive.
pub(super) type Provided = BTreeMap<Digest, Result<Interpreter, Arc<Error>>>;

/// Provides the managed interpreters of these targets, one after another.
pub(super) fn provide<'a>(
    targets: impl Iterator<Item = &'a LockedTarget>,
    context: &Context,
    workers: &Workers,
) -> Provided {
    let mut provided = Provided::new();
    for LockedTarget { python, .. } in targets {
        if let Some(archive) = python.archive() {
            provided.entry(archive.sha256).or_insert_with(|| {
                let wanted = Wanted { python, archive };
                wanted.provide(context, workers).map_err(Arc::new)
            });
        }
    }
    provided
}

/// Provides one managed interpreter at a place that has the shape of a root, for its own sake.
pub(crate) fn provide_one(
    python: &LockedPython,
    place: &Root,
    mirror: Option<&Mirror>,
    variables: &BTreeMap<OsString, OsString>,
    progress: &dyn Progress,
) -> Result<Interpreter, Error> {
    let archive = python.archive().expect("it is a managed one");
    let network = Network {
        credentials: fetch::Credentials::default(),
        mirror: mirror.cloned(),
        hub: Hub::new(None, None),
    };
    let context = Context {
        root: place,
        supply: &Supply {
            bundle: None,
            network: Some(network),
            variables: variables.clone(),
        },
        variables,
        progress,
    };
    unfinished::sweep(place);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    Wanted { python, archive }.provide(&context, &Workers::new(jobs)?)
}

/// Fetches the archive of an interpreter and leaves it at that.
pub(super) fn fetch(python: &LockedPython, context: &Context) -> Result<(), Error> {
    if let Some(archive) = python.archive() {
        Wanted { python, archive }.fetch(context)?;
    }
    Ok(())
}

/// Whether the interpreter of this archive would have to be downloaded, judged by the files alone.
pub(super) fn is_missing(root: &Root, archive: &LockedArchive) -> bool {
    !files::exists(&managed::directory(root, &archive.sha256))
        && !files::exists(&stored(root, archive))
}

/// Where an archive lies until it is unpacked.
fn stored(root: &Root, archive: &LockedArchive) -> PathBuf {
    root.archive(&archive.sha256)
}

/// An interpreter as it is locked.
struct Wanted<'a> {
    python: &'a LockedPython,
    archive: &'a LockedArchive,
}

impl Wanted<'_> {
    /// Version and build, for people.
    fn name(&self) -> String {
        self.python.label()
    }

    fn provide(&self, context: &Context, workers: &Workers) -> Result<Interpreter, Error> {
        let root = context.root;
        let home = managed::directory(root, &self.archive.sha256);
        // Every byte is read: what is built now stands on it for years.
        let look = || managed::state(root, &home, &self.archive.sha256, &Verifier::default());
        match workers.install(look)? {
            State::Whole => {}
            State::Missing if !files::exists(&home) => self.make(&home, context, workers)?,
            _ => {
                discard(root, &home, "python")?;
                self.make(&home, context, workers)?;
            }
        }
        self.ask(&home, context)
    }

    /// The interpreter in this directory. It must be the locked one.
    fn ask(&self, home: &Path, context: &Context) -> Result<Interpreter, Error> {
        let executable = managed::executable(home, self.python.series());
        let interpreter =
            Interpreter::ask(&executable, context.variables).map_err(|source| Error::Python {
                name: self.name(),
                source,
            })?;
        let identity = &interpreter.identity;
        let same = identity.implementation == self.python.implementation
            && interpreter.version().as_ref() == Some(&self.python.version)
            && identity.soabi == self.python.soabi;
        if same {
            Ok(interpreter)
        } else {
            Err(Error::Other {
                name: self.name(),
                found: format!(
                    "{} {} with the ABI {}",
                    identity.implementation, identity.version, identity.soabi
                ),
            })
        }
    }

    fn make(&self, home: &Path, context: &Context, workers: &Workers) -> Result<(), Error> {
        let root = context.root;
        let archive = self.fetch(context)?;
        files::create_directories(&root.pythons())?;
        let staging = Staging(files::temporary_directory(&root.pythons(), STAGING)?.keep());
        files::set_mode(&staging.0, 0o755)?;
        unpack::unpack(&archive, &staging.0).map_err(|source| Error::Unpack {
            name: self.name(),
            source,
        })?;
        let interpreter = self.ask(&staging.0, context)?;
        compile(&staging.0, &interpreter, context.variables, workers)?;
        workers.install(|| write_lists(&staging.0, &self.archive.sha256))?;
        make_read_only(root, &staging.0)?;
        match files::rename(&staging.0, home) {
            Ok(()) => files::flush_directory(&root.pythons())?,
            // Another process was first with the same.
            Err(error) if error.is_occupied() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(files::remove_if_present(&archive)?)
    }

    /// The archive, in the store.
    fn fetch(&self, context: &Context) -> Result<PathBuf, Error> {
        let LockedArchive { url, sha256, .. } = self.archive;
        let to = stored(context.root, self.archive);
        if files::exists(&to) {
            let (found, _) = Digest::of_reader(files::open(&to)?).context("read", &to)?;
            if found == *sha256 {
                return Ok(to);
            }
            files::remove_if_present(&to)?;
        }
        let address = |network: &Network| match &network.mirror {
            Some(mirror) => mirror.address(url),
            None => url.clone(),
        };
        let source = context
            .supply
            .source(supply::Item::Archive(sha256), address);
        let source = source.map_err(|Offline| Error::Offline(self.name()))?;
        let downloads = Downloads::begin(context.supply.client(), 1, 0, context.progress);
        let fetched = downloads.fetch(&source, &to, sha256, None);
        downloads.finish();
        fetched.map_err(|source| Error::Download {
            name: self.name(),
            source,
        })?;
        Ok(to)
    }
}

/// An interpreter that is not visible yet; removed when dropped.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        // Where it was published its old name is gone; what cannot be removed is swept another time.
        let _ = files::remove_tree(&self.0);
    }
}

/// Compiles the standard library: the tree is read-only, so Python could not keep what it compiles, and every start of
/// a worker would do it again. The tests of the library and what is installed beside it are not compiled.
fn compile(
    home: &Path,
    interpreter: &Interpreter,
    variables: &BTreeMap<OsString, OsString>,
    workers: &Workers,
) -> Result<(), Error> {
    let (major, minor) = interpreter.series();
    let name = format!("lib/python{major}.{minor}/");
    let library = home.join(&name);
    let modules: Vec<String> = files::walk(&library)?
        .into_iter()
        .filter(|entry| entry.kind == Kind::File)
        .map(|entry| entry.path.to_string_lossy().into_owned())
        .filter(|path| Path::new(path).extension().is_some_and(|e| e == "py"))
        .filter(|path| {
            !["site-packages/", "test/"]
                .iter()
                .any(|no| path.starts_with(no))
        })
        .collect();
    let modules: Vec<&str> = modules.iter().map(String::as_str).collect();
    // Beside the library first: what one process compiles must not be what another one is just started with, because
    // the bytes depend on that.
    let compiled = home.join(".bytecode");
    files::create_directory(&compiled)?;
    // What does not compile is not compiled when it is imported either: Python reports the error then.
    Modules {
        sources: &library,
        targets: &compiled,
        name: &name,
    }
    .compile(&modules, interpreter, variables, workers)?;
    for entry in files::walk(&compiled)? {
        let to = library.join(&entry.path);
        match entry.kind {
            Kind::Directory => files::create_directories(&to)?,
            _ => files::rename(&compiled.join(&entry.path), &to)?,
        }
    }
    Ok(files::remove_tree(&compiled)?)
}

/// Writes the list of all files and, last, the stamp.
fn write_lists(home: &Path, archive: &Digest) -> files::Result<()> {
    let mut entries = files::walk(home)?;
    entries.retain(|entry| entry.kind != Kind::Directory);
    let items: Vec<(String, Item, u64)> = entries
        .par_iter()
        .map(|entry| {
            let path = home.join(&entry.path);
            let (item, size) = match files::link_target(&path) {
                Ok(Some(target)) => (Item::Link(target.to_string_lossy().into_owned()), 0),
                _ => {
                    let file = files::open(&path)?;
                    let (sha256, size) = Digest::of_reader(&file).context("read", &path)?;
                    let executable = entry.mode & 0o111 != 0;
                    files::make_reproducible(&file, &path, executable)?;
                    (Item::File { sha256, executable }, size)
                }
            };
            Ok((entry.path.to_string_lossy().into_owned(), item, size))
        })
        .collect::<files::Result<_>>()?;
    let bytes = items.iter().map(|(_, _, size)| size).sum();
    let tree = Tree(
        items
            .into_iter()
            .map(|(path, item, _)| (path, item))
            .collect(),
    );
    let text = tree.text();
    write_read_only(&home.join(inside::TREE), text.as_bytes())?;
    let stamp = Stamp {
        schema: SCHEMA,
        archive: *archive,
        tree: Digest::of(&text),
        files: tree.0.len() as u64,
        bytes,
    };
    write_read_only(&home.join(inside::STAMP), stamp.text().as_bytes())
}
