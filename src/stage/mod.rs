//! Stages: roots on a node's own disk, made once by all tasks of the node, from a root or from an image.
//!
//! ```text
//! {base}/rootstock-<uid>/stages/      0700, of this user alone
//! ├── <id>/                           a root; the id is the digest of what it holds (see `image::contents`)
//! │   ├── rootstock-stage.json        which boot of the node it was made in; its time is when it was last asked for
//! │   ├── rootstock-image.json        what it holds
//! │   └── envs/ generations/ pythons/ cache/ prefetched/ models.json layout.json
//! ├── .staging-<maker>-…              one that is being made
//! └── claims/                         who makes it (see `store::claims`)
//! ```
//!
//! A stage is made beside its place and renamed when every file of it was compared with its list. It counts only in the boot of
//! the node in which it was made, so that nothing needs to be flushed to disk, and only while every file of it is there: what
//! cleans up temporary directories may have taken some.

mod clean;
mod fill;
mod finish;
mod look;
mod place;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::build::waiting::{Claims, wait};
use crate::digest::Digest;
use crate::files;
use crate::image::{self, Image, Watch};
use crate::name::EnvironmentName;
use crate::process::threads::{self, NoThread};
use crate::python::{self, Identity};
use crate::store::claims::Claim;
use crate::store::{Root, layout, policy, unfinished};

pub(crate) use clean::{Cleaned, clean};
pub(crate) use look::Found;
pub(crate) use place::Place;

/// What is staged.
pub(crate) enum Source<'a> {
    /// Environments of a root.
    Root(&'a Root, Box<image::Contents>),
    /// An image.
    Image {
        /// The file.
        path: &'a Path,
        /// Its beginning.
        image: Box<Image>,
        /// Its digest, where that is known.
        sha256: Option<Digest>,
    },
}

/// What staging needs.
pub(crate) struct Request<'a> {
    /// What is staged.
    pub(crate) source: Source<'a>,
    /// Where.
    pub(crate) place: &'a Place,
    /// How many threads copy or unpack.
    pub(crate) jobs: usize,
    /// Variables of the interpreters that are asked who they are.
    pub(crate) variables: &'a BTreeMap<OsString, OsString>,
    /// Called as the work goes on.
    pub(crate) watch: Watch<'a>,
    /// Called before it is waited for another process.
    pub(crate) waits: &'a (dyn Fn(&Claim) + Sync),
}

/// A stage that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Staged {
    /// The root.
    pub(crate) root: PathBuf,
    /// Whether this call has made it.
    pub(crate) new: bool,
}

/// Nothing can be staged.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// The image, or what would be in one.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Image(#[from] image::Error),
    /// The directory of the job does not exist.
    #[error("`{}`{origin} is not a directory", path.display())]
    #[diagnostic(help("name a directory on the node's own disk with `--to DIR`"))]
    NoDirectory {
        /// As it was given.
        path: PathBuf,
        /// Where that comes from: `, of SLURM_TMPDIR,`.
        origin: String,
    },
    /// Other users can write there.
    #[error("nothing is staged in `{}`: {why}", path.display())]
    #[diagnostic(help(
        "name another directory on the node's own disk with `--to DIR`, one that belongs to you"
    ))]
    NotPrivate {
        /// The directory.
        path: PathBuf,
        /// Who could replace what is in it.
        why: String,
    },
    /// The path cannot be printed, nor written into an environment.
    #[error("nothing is staged in `{}`: the path has a control character, or is not UTF-8", .0.display())]
    #[diagnostic(help("name another directory on the node's own disk with `--to DIR`"))]
    Unprintable(PathBuf),
    /// The image is for other machines.
    #[error("`{}` is for {target}, and this machine is {here}", path.display())]
    #[diagnostic(help("make one from a root of this machine's own: `rootstock image`"))]
    Foreign {
        /// The image.
        path: PathBuf,
        /// What it is for.
        target: String,
        /// This machine.
        here: String,
    },
    /// The interpreter does not run.
    #[error("the Python of environment `{environment}` does not run here")]
    #[diagnostic(help(
        "where the directory is mounted `noexec`, name another one with `--to DIR`"
    ))]
    Python {
        /// The environment.
        environment: EnvironmentName,
        /// Why.
        source: python::Error,
    },
    /// The interpreter is another one.
    #[error(
        "environment `{environment}` needs {} {} ({}, {}) at `{}`, and there is {found}",
        wanted.implementation,
        wanted.version,
        wanted.soabi,
        wanted.platform,
        executable.display()
    )]
    #[diagnostic(help("{help}"))]
    OtherPython {
        /// The environment.
        environment: EnvironmentName,
        /// What it was built on.
        wanted: Box<Identity>,
        /// Where that is to be.
        executable: PathBuf,
        /// What is there.
        found: String,
        /// What to do.
        help: &'static str,
    },
    /// The policy of a stage cannot be followed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Policy(#[from] policy::Error),
    /// The root that was made cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Layout(#[from] layout::Error),
    /// There are no threads.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Threads(#[from] NoThread),
}

impl Display for Staged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.root.display())
    }
}

impl Source<'_> {
    fn contents(&self) -> &image::Contents {
        match self {
            Source::Root(_, contents) => contents,
            Source::Image { image, .. } => &image.contents,
        }
    }
}

/// Stages, unless that was done before; while another process of the node does it, waits for that.
pub(crate) fn stage(request: &Request) -> Result<Staged, Error> {
    let contents = request.source.contents();
    let id = contents.id();
    let directory = request.place.directory();
    let stages = Root::at(directory, None);
    unfinished::sweep(&stages);
    let to = directory.join(&id);
    let found = |new| Staged {
        root: to.clone(),
        new,
    };
    // The claim bears a name; a root without any environment cannot be staged.
    let Some(name) = contents.environments.keys().next() else {
        return Ok(found(false));
    };
    loop {
        if look::look(&to, &id)? == Found::Whole {
            look::touch(&to)?;
            return Ok(found(false));
        }
        let (mut held, others) = Claims::take(&stages, &[(name.clone(), id.clone())]);
        if let Some(Some(other)) = others.into_iter().next() {
            (request.waits)(&other);
            wait(&stages, &other);
            continue;
        }
        // Between the first look and the claim another process may have finished.
        let there = look::look(&to, &id)?;
        if there == Found::Whole {
            look::touch(&to)?;
            return Ok(found(false));
        }
        held.with_heartbeat(|| make(request, &to, &id, there))?;
        return Ok(found(true));
    }
}

fn make(request: &Request, to: &Path, id: &str, there: Found) -> Result<(), Error> {
    if there == Found::Damaged {
        clean::remove(to)?;
    }
    let staging = place::Staging::new(request.place)?;
    let pool = threads::pool(request.jobs)?;
    let image = pool.install(|| fill::fill(request, staging.path()))?;
    pool.install(|| finish::finish(&image, request.variables, staging.path(), to, id))?;
    match files::rename(staging.path(), to) {
        // Without claims, as on a full disk, another process may have been first with the same.
        Err(error) if error.is_occupied() && look::look(to, id)? == Found::Whole => Ok(()),
        renamed => Ok(renamed?),
    }
}
