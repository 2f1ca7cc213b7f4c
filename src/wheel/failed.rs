//! The reasons why a wheel cannot be used.

use crate::digest::Digest;
use crate::files;
use crate::store::wheels::{self};

/// A wheel cannot be unpacked.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It is not the file that was locked.
    #[error("`{file}` has the sha256 {got}, but {expected} is expected")]
    #[diagnostic(help(
        "the file was changed after it was downloaded: run `rootstock sync` again to fetch it again"
    ))]
    Digest {
        /// The locked file's name.
        file: String,
        /// Its digest by the lock.
        expected: Digest,
        /// The digest of what was found.
        got: Digest,
    },
    /// It is the locked file, but not one that may be installed.
    #[error("`{file}` cannot be installed: {defect}")]
    #[diagnostic(help(
        "the file is as its publisher made it: exclude this version in `constraints`, or report it to the publisher"
    ))]
    Refused {
        /// The locked file's name.
        file: String,
        /// What is wrong with it.
        defect: Defect,
    },
    /// The wheel store cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Store(#[from] wheels::Error),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// What is wrong with a wheel, in words. One type for all of it: whatever it is, people can only choose another file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Defect(pub(super) String);
