//! What is staged, where, and why it cannot be.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::place::Place;
use crate::digest::Digest;
use crate::files;
use crate::image::{self, Image, Watch};
use crate::name::EnvironmentName;
use crate::process::threads::NoThread;
use crate::python::{self, Identity};
use crate::store::claims::Claim;
use crate::store::{Root, layout, policy};

/// What is staged.
pub(crate) enum Source<'a> {
    /// Environments of a root.
    Root(&'a Root, Box<image::Contents>),
    /// An image.
    Image {
        /// The path of the file.
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
    /// The directory for stages.
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
        /// The environment's name.
        environment: EnvironmentName,
        /// The cause.
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
        /// The environment's name.
        environment: EnvironmentName,
        /// What it was built on.
        wanted: Box<Identity>,
        /// Where that is to be.
        executable: PathBuf,
        /// What is there.
        found: String,
        /// Advice, as a sentence.
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

impl Source<'_> {
    pub(super) fn contents(&self) -> &image::Contents {
        match self {
            Source::Root(_, contents) => contents,
            Source::Image { image, .. } => &image.contents,
        }
    }
}
