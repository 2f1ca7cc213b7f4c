//! Memory that a client of ours shares with the Python that computes: a step needs no message then, and the launcher, which
//! sleeps meanwhile, can tell from the outside what was asked and what was answered. Maps nothing, writes nothing.
//!
//! The client makes the file (in memory, sealed against shrinking) and a socket pair, the bell, and sends the file and
//! one end of the bell along with the message `MEMORY`, before the POSDATA of a second step of the same atoms. Numbers
//! are native, of eight bytes; `N` is the number of atoms:
//!
//! | offset in numbers | what                                             | written by |
//! |-------------------|--------------------------------------------------|------------|
//! | 0                 | the number of the step that is asked for         | client     |
//! | 1                 | the number of the step that was answered last    | Python     |
//! | 2                 | 1 as soon as Python looks                        | Python     |
//! | 3                 | of the answer: 1 if there is a stress, 2 if it is an error | Python |
//! | 4                 | of the answer: how many bytes of text            | Python     |
//! | 8                 | a frame and its results, as in `handover`        | client, Python |
//! | 27 + 6 N          | text, 64 KiB: a JSON object, further results or what went wrong | Python |
//!
//! Who asks or answers writes first what it is about, then the number, and then rings: it sends a byte. A byte means
//! only: look. So one too many or one too few, because somebody died between the two, does no harm: a Python that has
//! just begun rings, looks, and only then waits; and a client that waits is woken when the last of the others is gone.
//! A new system (`INIT`) ends the use of the memory; with the next one everything begins at 0.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{SealFlags, fcntl_get_seals, fstat};
use rustix::net::{SocketType, sockopt};

/// What stands before the frame, in bytes.
const HEAD: usize = 64;
/// The room for text.
const TEXT: usize = 64 << 10;

/// A file and a bell.
pub(super) struct Memory {
    pub(super) file: OwnedFd,
    pub(super) bell: OwnedFd,
}

/// How far client and Python have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) asked: u64,
    pub(super) answered: u64,
}

impl Progress {
    /// The step that waits for its answer, if one does.
    pub(super) fn pending(self) -> Option<u64> {
        (self.asked != self.answered).then_some(self.asked)
    }
}

impl Memory {
    /// What a client has sent, if it is of use for a frame of so many numbers.
    pub(super) fn accept(files: Vec<OwnedFd>, frame: usize) -> Option<Self> {
        let [file, bell] = <[OwnedFd; 2]>::try_from(files).ok()?;
        let size = u64::try_from(fstat(&file).ok()?.st_size).ok()?;
        let cannot_shrink = fcntl_get_seals(&file).ok()?.contains(SealFlags::SHRINK);
        let is_socket = sockopt::socket_type(&bell) == Ok(SocketType::STREAM);
        let needed = HEAD + 8 * frame + TEXT;
        (cannot_shrink && is_socket && size >= needed as u64).then_some(Self { file, bell })
    }

    /// How far they have come.
    pub(super) fn progress(&self) -> io::Result<Progress> {
        let mut bytes = [0; 16];
        rustix::io::pread(&self.file, &mut bytes, 0)?;
        let [asked, answered] = [&bytes[..8], &bytes[8..]]
            .map(|number| u64::from_ne_bytes(number.try_into().expect("these are eight bytes")));
        Ok(Progress { asked, answered })
    }
}
