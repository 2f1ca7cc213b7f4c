//! Memory that a rootstock client shares with the Python that computes: a step needs no message then. The launcher sleeps
//! meanwhile, but sees in the memory which steps were requested and answered. Maps nothing, writes nothing.
//!
//! The client makes the file (in memory, sealed against shrinking) and a socket pair, the bell. It sends the file and one
//! end of the bell with the message `MEMORY`, before the POSDATA of a second step of the same atoms. `layout.py` describes
//! the file.
//!
//! To request or to answer a step, a process first writes the data, then the step's number, and then rings: it sends a
//! byte. A byte only means "look", so one too many or too few, because a process died between two of these, does no harm:
//! a Python that has just started rings, looks, and only then waits, and a client that waits wakes up when the last of the
//! others has closed the bell. A new system (`INIT`) ends the use of the memory; with the next one all numbers begin at 0.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{SealFlags, fcntl_get_seals, fstat};
use rustix::net::{SocketType, sockopt};

use super::layout::{STATE, TEXT_ROOM, frame_size};

/// A file and a bell.
pub(super) struct Memory {
    pub(super) file: OwnedFd,
    pub(super) bell: OwnedFd,
}

/// The steps that were requested and answered last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) requested: u64,
    pub(super) answered: u64,
}

impl Progress {
    /// The step that waits for its answer, if any.
    pub(super) fn pending(self) -> Option<u64> {
        (self.requested != self.answered).then_some(self.requested)
    }
}

impl Memory {
    /// Takes what a client has sent, if it can be used for this many atoms.
    pub(super) fn accept(files: Vec<OwnedFd>, atoms: usize) -> Option<Self> {
        let [file, bell] = <[OwnedFd; 2]>::try_from(files).ok()?;
        let size = u64::try_from(fstat(&file).ok()?.st_size).ok()?;
        let cannot_shrink = fcntl_get_seals(&file).ok()?.contains(SealFlags::SHRINK);
        let is_socket = sockopt::socket_type(&bell) == Ok(SocketType::STREAM);
        let needed = STATE + 8 * frame_size(atoms) + TEXT_ROOM;
        (cannot_shrink && is_socket && size >= needed as u64).then_some(Self { file, bell })
    }

    /// Reads which steps were requested and answered.
    pub(super) fn progress(&self) -> io::Result<Progress> {
        let mut bytes = [0; 16];
        rustix::io::pread(&self.file, &mut bytes, 0)?;
        let [requested, answered] = [&bytes[..8], &bytes[8..]]
            .map(|number| u64::from_ne_bytes(number.try_into().expect("these are eight bytes")));
        Ok(Progress {
            requested,
            answered,
        })
    }
}
