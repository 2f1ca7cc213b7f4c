//! Being told to end: SIGHUP, SIGINT and SIGTERM, which a scheduler, a person or a terminal send, become something that
//! every wait of the worker also waits for. Decides nothing about what is done then.
//!
//! i-PI hangs for ever when a client that owes it an answer just dies, so a worker must leave in order, also when it is
//! told to. The signals are blocked and read from a descriptor; there is no handler and no global state. A signal that
//! was ignored when we were started (`nohup`) stays ignored.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::files;

/// What a worker was told to end by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The terminal has gone.
    HangUp,
    /// Ctrl-C.
    Interrupt,
    /// A scheduler's or a person's wish.
    Terminate,
}

const HEARD: [(Signal, Told); 3] = [
    (Signal::SIGHUP, Told::HangUp),
    (Signal::SIGINT, Told::Interrupt),
    (Signal::SIGTERM, Told::Terminate),
];

impl fmt::Display for Told {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Told::HangUp => "SIGHUP",
            Told::Interrupt => "SIGINT",
            Told::Terminate => "SIGTERM",
        })
    }
}

/// The signals, heard for as long as this lives.
pub struct Signals {
    descriptor: SignalFd,
    before: SigSet,
    told: Cell<Option<Told>>,
}

impl Signals {
    /// Hears them from now on in this thread, and in those and the programs that it starts.
    pub fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let set: SigSet = HEARD
            .into_iter()
            .map(|(signal, _)| signal)
            .filter(|signal| ignored >> (*signal as i32 - 1) & 1 == 0)
            .collect();
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let descriptor = SignalFd::with_flags(&set, flags)?;
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self {
            descriptor,
            before,
            told: Cell::new(None),
        })
    }

    /// Whether an order was heard before; asks nobody.
    pub(super) fn is_told(&self) -> bool {
        self.told.get().is_some()
    }

    /// What we were told, if we were.
    pub fn told(&self) -> Option<Told> {
        if self.told.get().is_none()
            && let Ok(Some(signal)) = self.descriptor.read_signal()
        {
            let heard = HEARD
                .into_iter()
                .find(|(number, _)| u32::try_from(*number as i32) == Ok(signal.ssi_signo));
            self.told.set(heard.map(|(_, told)| told));
        }
        self.told.get()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // Fails only for a mask that is none.
        let _ = self.before.thread_set_mask();
    }
}

/// The set of signals that this process ignores, one bit each; none where nobody says.
fn ignored() -> u64 {
    let status = files::read_text("/proc/self/status".as_ref()).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
