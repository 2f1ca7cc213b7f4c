//! Stop signals: SIGHUP, SIGINT and SIGTERM become a descriptor that every wait of a worker also polls. Decides nothing
//! about what happens then.
//!
//! i-PI hangs forever when a client that owes it an answer just dies, so a worker must end in order even then. The signals
//! are blocked and read from a descriptor; there is no handler and no global state. A signal that was ignored when this
//! process was started (`nohup`) stays ignored.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::files::proc;

/// A signal that ends a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// The terminal was closed.
    HangUp,
    /// Ctrl-C.
    Interrupt,
    /// Sent by a scheduler or a user.
    Terminate,
}

const STOP_SIGNALS: [(Signal, StopSignal); 3] = [
    (Signal::SIGHUP, StopSignal::HangUp),
    (Signal::SIGINT, StopSignal::Interrupt),
    (Signal::SIGTERM, StopSignal::Terminate),
];

impl StopSignal {
    /// The exit code of a process that it has ended: 128+N, as in shells.
    pub(crate) fn exit(self) -> u8 {
        128 + match self {
            StopSignal::HangUp => 1,
            StopSignal::Interrupt => 2,
            StopSignal::Terminate => 15,
        }
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            StopSignal::HangUp => "SIGHUP",
            StopSignal::Interrupt => "SIGINT",
            StopSignal::Terminate => "SIGTERM",
        })
    }
}

/// Receives stop signals for as long as it lives.
pub(crate) struct Signals {
    descriptor: SignalFd,
    mask_before: SigSet,
    received: Cell<Option<StopSignal>>,
}

impl Signals {
    /// Receives stop signals from now on in this thread, and in the threads and programs that it starts.
    pub(crate) fn listen() -> io::Result<Self> {
        let ignored = proc::ignored_signals();
        let set: SigSet = STOP_SIGNALS
            .into_iter()
            .map(|(signal, _)| signal)
            .filter(|signal| ignored >> (*signal as i32 - 1) & 1 == 0)
            .collect();
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let descriptor = SignalFd::with_flags(&set, flags)?;
        let mask_before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self {
            descriptor,
            mask_before,
            received: Cell::new(None),
        })
    }

    /// Whether [`Self::received`] has returned a signal before.
    pub(crate) fn is_stopped(&self) -> bool {
        self.received.get().is_some()
    }

    /// The first stop signal that was received, if any.
    pub(crate) fn received(&self) -> Option<StopSignal> {
        if self.received.get().is_none()
            && let Ok(Some(signal)) = self.descriptor.read_signal()
        {
            let stop = STOP_SIGNALS
                .into_iter()
                .find(|(number, _)| u32::try_from(*number as i32) == Ok(signal.ssi_signo));
            self.received.set(stop.map(|(_, stop)| stop));
        }
        self.received.get()
    }
}

impl Signals {
    /// Ends receiving them, and keeps them blocked: this process only has to print why it ends, and one that comes then must not
    /// end it before.
    pub(crate) fn stay_blocked(mut self) {
        if let Ok(mask) = SigSet::thread_get_mask() {
            self.mask_before = mask;
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // Fails only for an invalid mask.
        let _ = self.mask_before.thread_set_mask();
    }
}
