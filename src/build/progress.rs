//! The events of a build. How they are shown is the watcher's business.

use crate::name::{EnvironmentName, ModelId};
use crate::store::claims::Claim;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// So many files of so many bytes are about to be downloaded.
    Downloading {
        /// How many files.
        files: usize,
        /// How many bytes they have.
        bytes: u64,
    },
    /// So many bytes of all of them are here.
    Downloaded(u64),
    /// All of them are here, or failed.
    DownloadsDone,
    /// So many packages are about to be unpacked, checked and compiled.
    Preparing(usize),
    /// This one is ready to be linked, or failed.
    Prepared(String),
    /// All of them are.
    PreparationsDone,
    /// Another process builds what is needed here, and is waited for.
    Waiting(Claim),
    /// An environment's files are being linked together.
    Assembling(EnvironmentName),
    /// An environment is finished, well or not.
    Finished(EnvironmentName, bool),
    /// A model is loaded once so that it fetches what it needs, and why.
    Loading(ModelId, String),
    /// Something that a person has to know.
    Warning(String),
}

/// A watcher. Events come from several threads.
pub trait Progress: Sync {
    /// Something happened.
    fn on_event(&self, event: Event);
}
