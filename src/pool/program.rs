//! What the processes of a pool run, and how they end.

use std::time::Duration;

use crate::runtime::{Selected, Variables};

/// What every process of a pool runs.
pub(crate) struct Program<'a> {
    /// The environment and its generation.
    pub(crate) selected: &'a Selected,
    /// All its variables.
    pub(crate) variables: &'a Variables,
    /// The text of the program.
    pub(crate) text: &'a str,
    /// The first message, as JSON.
    pub(crate) order: &'a [u8],
    /// How long it may take until it is ready.
    pub(crate) startup_timeout: Duration,
    /// How many bytes of each output are kept.
    pub(crate) capture: usize,
    /// The longest message it may send.
    pub(crate) longest: usize,
}

/// What a process did.
#[derive(Debug)]
pub(crate) enum Event {
    /// It is ready; its first message.
    Ready(Vec<u8>),
    /// Its answer.
    Answer(Vec<u8>),
    /// It cannot be used any more.
    Ended(End),
}

/// Why a process cannot be used any more.
#[derive(Debug)]
pub(crate) enum End {
    /// An exception while it loaded: the report, as JSON.
    Raised(Vec<u8>),
    /// By a signal.
    Killed { signal: i32, while_loading: bool },
    /// With this code.
    Exited { code: i32, while_loading: bool },
    /// It has closed its socket, and still runs.
    Closed,
    /// It has sent what is no answer.
    Invalid,
    /// It took too long; where it was, as `faulthandler` writes it.
    TimedOut { while_loading: bool, trace: String },
}
