//! The reasons why an image cannot be made or read, and what is reported meanwhile.

use crate::build::pythons;
use crate::digest::Digest;
use crate::files;
use crate::name::EnvironmentName;
use crate::process::threads::NoThread;
use crate::runtime::Unusable;

use std::path::PathBuf;

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
        /// The environment's name.
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
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
        /// Advice, as a sentence.
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
        /// The path of the file or directory.
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
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A later rootstock made it.
    #[error("`{}` was made by a newer rootstock (schema {schema}, this one knows {})", path.display(), super::contents::SCHEMA)]
    #[diagnostic(help("use the rootstock that made it or a newer one"))]
    Newer {
        /// The path of the file.
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
        /// The path of the file.
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
    pub(super) fn damaged(path: PathBuf, wrong: impl Into<String>, owner: &Owner) -> Self {
        Self::Damaged {
            path,
            wrong: wrong.into(),
            help: owner.repair(),
        }
    }
}

/// What a piece belongs to.
#[derive(Debug, Clone)]
pub(super) enum Owner {
    Environment(EnvironmentName),
    Python,
    Cache,
}

impl Owner {
    /// How it is repaired.
    pub(super) fn repair(&self) -> String {
        match self {
            Owner::Environment(name) => format!("repair it: `rootstock sync --repair {name}`"),
            Owner::Python | Owner::Cache => "repair it: `rootstock sync --repair`".to_owned(),
        }
    }
}
