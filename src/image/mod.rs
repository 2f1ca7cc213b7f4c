//! Images: one file with everything that environments need on a node, or the same as a directory. The store is no part of it, and
//! nothing in it names a root, a user or a time: the same lock on the same interpreter gives the same bytes.
//!
//! ```text
//! rootstock-image.json                       what follows (see `contents`)
//! pythons/<id>/rootstock-tree.txt            sha256, mode and path of every file, then those files
//! generations/<env>/<id>/rootstock-tree.txt  the same
//! cache/<path>                               weights
//! ```
//!
//! A `.tar.zst` is a tar archive (GNU) in this order, each directory sorted by path: files 0444 or 0555, links, no directories, no
//! owner, time 0; in one zstd frame with a checksum. What names a place is left out, because it is written when an image is unpacked:
//! stamps, `pyvenv.cfg` and `bin/python` of each environment, `models.json`.

pub(crate) mod contents;
mod copy;
mod decoder;
mod format;
mod inventory;
mod pack;
pub(crate) mod read;
mod report;
mod room;
mod select;
mod write;

use std::path::PathBuf;

use crate::build::pythons;
use crate::digest::Digest;
use crate::files;
use crate::name::EnvironmentName;
use crate::process::threads::NoThread;
use crate::runtime::Unusable;
use crate::store::prefetched;

pub(crate) use contents::{Contents, Image, Totals};
pub(crate) use copy::copy;
pub(crate) use format::Format;
pub(crate) use inventory::inventory;
pub(crate) use pack::{Packed, pack};
pub(crate) use read::{head, unpack};
pub(crate) use report::Report;
pub(crate) use room::{beside, check_room, sweep};
pub(crate) use select::{NamedError, Selection, SystemPython, select};

/// How far the work is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// So many files with so many bytes are to be read.
    Begin(u64, u64),
    /// So many more bytes have been.
    Bytes(u64),
    /// That was all.
    End,
}

/// Called as the work goes on.
pub(crate) type Watch<'a> = &'a (dyn Fn(Event) + Sync);

/// An image cannot be made, or not be read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// What should go into it cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unusable(Box<Unusable>),
    /// An environment needs what an image has only if asked for.
    #[error(
        "environment `{environment}` runs on this machine's own Python, `{}`, which is no part of an image",
        executable.display()
    )]
    #[diagnostic(help(
        "take it along with `--with-python`, or require the same one of every node with `--allow-system-python`; managed \
         interpreters (`python-source = \"managed\"`) are always taken along"
    ))]
    SystemPython {
        /// The environment.
        environment: EnvironmentName,
        /// Its interpreter.
        executable: PathBuf,
    },
    /// The machine's Python cannot be taken along.
    #[error("the machine's own Python cannot be taken along")]
    #[diagnostic(help(
        "use a managed interpreter (`python-source = \"managed\"`), or require the same one of every node with \
         `--allow-system-python`"
    ))]
    Python(#[source] Box<pythons::Error>),
    /// Something in the root is not as it was built.
    #[error("`{}` {wrong}", path.display())]
    #[diagnostic(help("{help}"))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
        /// What to do.
        help: String,
    },
    /// A file has a name that no image may have.
    #[error("`{}` cannot be in an image: its path {why}", path.escape_debug())]
    Name {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is too little room.
    #[error("`{}` has {what}", path.display())]
    #[diagnostic(help("free some, or choose another place with `{option} PATH`"))]
    Full {
        /// Where.
        path: PathBuf,
        /// What is there and what is needed.
        what: String,
        /// How another place is named.
        option: &'static str,
    },
    /// The file is no image, or damaged.
    #[error("`{}` is not an image, or is damaged: {why}", path.display())]
    #[diagnostic(help(
        "make it again with `rootstock image`, or copy it again; `sha256sum` says whether two copies are the same"
    ))]
    NoImage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A later rootstock made it.
    #[error("`{}` was made by a newer rootstock (schema {schema}, this one knows {})", path.display(), contents::SCHEMA)]
    #[diagnostic(help("use the rootstock that made it or a newer one"))]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        schema: u32,
    },
    /// It is another image than was asked for.
    #[error("`{}` has the sha256 {found}, not {wanted}", path.display())]
    #[diagnostic(help(
        "copy or make it again; `rootstock image` prints the sha256 of what it makes"
    ))]
    Another {
        /// The file.
        path: PathBuf,
        /// The digest that it should have.
        wanted: Digest,
        /// The one it has.
        found: Digest,
    },
    /// There are no threads.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Threads(#[from] NoThread),
}

impl From<Unusable> for Error {
    fn from(error: Unusable) -> Self {
        Self::Unusable(Box::new(error))
    }
}

impl Error {
    /// What environments and interpreters of a root are repaired with.
    fn damaged(path: PathBuf, wrong: impl Into<String>, owner: &inventory::Owner) -> Self {
        Self::Damaged {
            path,
            wrong: wrong.into(),
            help: owner.repair(),
        }
    }
}

/// The record of a model, if it has one that is whole.
pub(crate) type Record = prefetched::Record;
