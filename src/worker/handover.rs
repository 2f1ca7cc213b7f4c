//! The hand-over between the launcher and its Python: a shared file for the numbers, a socket pair for the turn. Starts
//! nothing and does not know the process at the other end.
//!
//! The shared file is in memory and holds frames as `layout.py` describes them; `worker::layout` has its constants. It grows
//! when necessary and never shrinks. The launcher copies with one `pwritev` and one `preadv` a frame, which costs less
//! than the system calls of a wake-up and needs no `unsafe`; Python maps it.
//!
//! On the socket every message begins with two int32, kind and value:
//!
//! | kind       | from the launcher                    | from Python                                                        |
//! |------------|--------------------------------------|--------------------------------------------------------------------|
//! | STEP       | compute `value` frames of all atoms  | done; `value` is 2 n, plus 1 if there is a stress; then n bytes of JSON: further results |
//! | TEXT       | `value` bytes of JSON follow         | ready; `value` bytes of JSON follow                                |
//! | STRESSES   | the stresses of single atoms, of the frame computed last | as STEP                                        |
//! | MEMORY     | a client's memory, for `value` atoms (see `memory`): a byte follows, with the file and its bell (`SCM_RIGHTS`) | no answer |
//! | ERROR      |                                      | `value` bytes of JSON follow: `{"error", "kind", "traceback"}`      |
//! | RESULTS    | all further results of that frame; `value` bytes follow: the name of one to compute if necessary | as STEP |
//! | EVERYTHING | as STEP, with all further results of each frame | as STEP; the text has a line for each frame             |
//!
//! The launcher's first JSON is the order (what to load) and carries the shared file's descriptor (`SCM_RIGHTS`, so that
//! no other child inherits it); later ones are systems, without an answer. Python's first message is ready,
//! `{"system": …}` (null if it has none), or an error; any step may be answered with an error. Unknown fields are refused.
//! Python shortens and escapes the texts of an error, so that every exception fits. A closed socket means: end.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use ipi_client::{Floats, Frame, Results};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{StepError, Waiting};
use super::layout::{CELL, HEAD, frame_size, kind};
use super::memory::Memory;
use super::polling::Polling;
use super::wait::wait_until;

const NUMBER: usize = size_of::<f64>();
/// Longer than any list of species.
const LONGEST_TEXT: usize = 256 << 20;
/// Longer than any error: Python shortens its texts.
const LONGEST_ERROR: usize = 1 << 20;

/// Energy and stress of a frame.
#[derive(Debug, Default)]
pub(super) struct Computed {
    pub(super) energy: f64,
    /// By rows; `None` if the model computed none.
    pub(super) stress: Option<[f64; 9]>,
}

/// The launcher's side of the hand-over.
pub(super) struct HandOver {
    turn: UnixStream,
    file: OwnedFd,
    /// In bytes.
    size: usize,
    polling: Polling,
}

impl HandOver {
    /// The launcher's end, and the socket that becomes Python's standard input.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (turn, theirs) = UnixStream::pair()?;
        let file = memfd_create("rootstock-frame", MemfdFlags::CLOEXEC)?;
        let ours = Self {
            turn,
            file,
            size: 0,
            polling: Polling::new(),
        };
        Ok((ours, theirs.into()))
    }

    /// Sends the program that Python runs, and then the order.
    pub(super) fn send_order(&mut self, program: &str, order: &impl Serialize) -> io::Result<()> {
        self.turn.write_all(program.as_bytes())?;
        let text = serde_json::to_vec(order)?;
        self.send_files(&word(kind::TEXT, text.len())?, &[self.file.as_fd()])?;
        self.turn.write_all(&text)
    }

    /// Sends one or two descriptors with a few bytes, which always fit into the socket's buffer.
    fn send_files(&self, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(files));
        let parts = [IoSlice::new(bytes)];
        sendmsg(&self.turn, &parts, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Receives Python's first message.
    pub(super) fn receive_ready<T: DeserializeOwned>(&mut self) -> Result<T, StepError> {
        match self.read_word()? {
            (kind::TEXT, length) => {
                let text = self.read_bytes(length, LONGEST_TEXT)?;
                strict_json::from_slice(&text).map_err(|_| invalid())
            }
            (kind, length) => Err(self.read_error(kind, length)),
        }
    }

    /// Sends a system; there is no answer.
    pub(super) fn send_system(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(message)?;
        text.splice(..0, word(kind::TEXT, text.len())?);
        self.turn.write_all(&text)
    }

    /// Passes a client's memory on; there is no answer.
    pub(super) fn send_memory(&mut self, memory: &Memory, atoms: usize) -> io::Result<()> {
        self.turn.write_all(&word(kind::MEMORY, atoms)?)?;
        self.send_files(b"m", &[memory.file.as_fd(), memory.bell.as_fd()])
    }

    /// Has frames computed. Forces are written into `results`; energies, stresses and the JSON of further results are
    /// returned, with `everything` one line of JSON for each frame.
    pub(super) fn step(
        &mut self,
        frames: &[Frame],
        results: &mut [Results],
        everything: bool,
        waiting: Waiting<'_>,
    ) -> Result<(Vec<Computed>, Vec<u8>), StepError> {
        self.write_frames(frames)?;
        let kind = if everything {
            kind::EVERYTHING
        } else {
            kind::STEP
        };
        self.turn.write_all(&word(kind, frames.len())?)?;
        let (stress, more) = self.answer(waiting)?;
        let mut computed = Vec::with_capacity(frames.len());
        for (place, (frame, results)) in frames.iter().zip(results).enumerate() {
            let offset = place * frame_size(frame.atoms());
            computed.push(self.read_results(frame, offset, stress, &mut results.forces)?);
        }
        Ok((computed, more))
    }

    /// Asks for the stresses of single atoms, 3x3 by rows, of the frame computed last, which had this many atoms.
    pub(super) fn stresses(
        &mut self,
        atoms: usize,
        stresses: &mut Floats,
        waiting: Waiting<'_>,
    ) -> Result<(), StepError> {
        self.grow(frame_size(atoms) + 9 * atoms)?;
        self.turn.write_all(&word(kind::STRESSES, 1)?)?;
        self.answer(waiting)?;
        stresses.resize(9 * atoms);
        let offset = NUMBER * frame_size(atoms);
        let read = rustix::io::pread(&self.file, stresses.bytes_mut(), offset as u64)?;
        Ok(complete(read, stresses.bytes().len())?)
    }

    /// Asks for all further results of the frame computed last, as JSON.
    pub(super) fn further_results(
        &mut self,
        name: &str,
        waiting: Waiting<'_>,
    ) -> Result<Vec<u8>, StepError> {
        let mut message = word(kind::RESULTS, name.len())?.to_vec();
        message.extend_from_slice(name.as_bytes());
        self.turn.write_all(&message)?;
        let (_, text) = self.answer(waiting)?;
        Ok(text)
    }

    /// Waits for an answer that is not needed any more; an error is one, too.
    pub(super) fn discard_answer(&mut self, waiting: Waiting<'_>) -> Result<(), StepError> {
        match self.answer(waiting) {
            Ok(_) | Err(StepError::Raised(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether Python has closed its end. Only between two steps, when it sends nothing.
    pub(super) fn is_closed(&self) -> bool {
        wait_until(&self.turn, Instant::now())
    }

    /// The socket, for waiting.
    pub(super) fn socket(&self) -> &UnixStream {
        &self.turn
    }

    /// Whether there is a stress, and further results.
    fn answer(&mut self, waiting: Waiting<'_>) -> Result<(bool, Vec<u8>), StepError> {
        waiting.wait(self.turn.as_fd(), &mut self.polling)?;
        match self.read_word()? {
            (kind::STEP, value) => {
                let more = self.read_bytes(value >> 1, LONGEST_TEXT)?;
                Ok((value & 1 == 1, more))
            }
            (kind, length) => Err(self.read_error(kind, length)),
        }
    }

    fn grow(&mut self, numbers: usize) -> io::Result<()> {
        let size = NUMBER * numbers;
        if size > self.size {
            ftruncate(&self.file, size as u64)?;
            self.size = size;
        }
        Ok(())
    }

    fn write_frames(&mut self, frames: &[Frame]) -> io::Result<()> {
        self.grow(frames.iter().map(|frame| frame_size(frame.atoms())).sum())?;
        for (place, frame) in frames.iter().enumerate() {
            let cell: Floats = frame.cell.into_iter().collect();
            let positions = frame.positions.bytes();
            let parts = [IoSlice::new(cell.bytes()), IoSlice::new(positions)];
            let offset = NUMBER * place * frame_size(frame.atoms());
            let written = rustix::io::pwritev(&self.file, &parts, offset as u64)?;
            complete(written, cell.bytes().len() + positions.len())?;
        }
        Ok(())
    }

    fn read_results(
        &mut self,
        frame: &Frame,
        offset: usize,
        stress: bool,
        forces: &mut Floats,
    ) -> Result<Computed, StepError> {
        let mut head = Floats::default();
        head.resize(HEAD);
        forces.resize(frame.positions.len());
        let offset = NUMBER * (offset + CELL + frame.positions.len());
        let expected = NUMBER * (HEAD + frame.positions.len());
        let mut parts = [
            IoSliceMut::new(head.bytes_mut()),
            IoSliceMut::new(forces.bytes_mut()),
        ];
        let read = rustix::io::preadv(&self.file, &mut parts, offset as u64)?;
        complete(read, expected)?;
        Ok(Computed {
            energy: head.get(0),
            stress: stress.then(|| std::array::from_fn(|place| head.get(1 + place))),
        })
    }

    fn read_word(&mut self) -> io::Result<(i32, i32)> {
        let mut bytes = [0; 8];
        self.turn.read_exact(&mut bytes)?;
        let [a, b, c, d, rest @ ..] = bytes;
        Ok((i32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes(rest)))
    }

    fn read_bytes(&mut self, length: i32, longest: usize) -> Result<Vec<u8>, StepError> {
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= longest)
            .ok_or_else(invalid)?;
        let mut bytes = vec![0; length];
        self.turn.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads an error; any other kind is invalid here.
    fn read_error(&mut self, kind: i32, length: i32) -> StepError {
        if kind != kind::ERROR {
            return invalid();
        }
        let text = match self.read_bytes(length, LONGEST_ERROR) {
            Ok(text) => text,
            Err(error) => return error,
        };
        strict_json::from_slice(&text).map_or_else(|_| invalid(), StepError::Raised)
    }
}

fn word(kind: i32, value: usize) -> io::Result<[u8; 8]> {
    let value = i32::try_from(value).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
    let mut word = [0; 8];
    word[..4].copy_from_slice(&kind.to_ne_bytes());
    word[4..].copy_from_slice(&value.to_ne_bytes());
    Ok(word)
}

/// A file in memory transfers everything at once, up to the 2 GiB of one system call.
fn complete(done: usize, expected: usize) -> io::Result<()> {
    if done == expected {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::FileTooLarge,
        format!("{expected} bytes do not pass through the shared file at once"),
    ))
}

fn invalid() -> StepError {
    StepError::Gone(io::Error::new(
        ErrorKind::InvalidData,
        "Python sent an invalid answer",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::signals::Signals;
    use super::*;

    fn without_limit(signals: &Signals) -> Waiting<'_> {
        Waiting {
            timeout: None,
            heartbeat: None,
            signals,
            server: None,
        }
    }

    /// Python's end, in Rust: the force is the position plus one.
    fn answer(mut socket: UnixStream, file: &OwnedFd, atoms: usize) {
        let mut word = [0; 8];
        socket.read_exact(&mut word).unwrap();
        assert_eq!(word[4..], 1_i32.to_ne_bytes());
        let mut numbers = Floats::default();
        numbers.resize(9 + 3 * atoms);
        rustix::io::pread(file, numbers.bytes_mut(), 0).unwrap();
        let results: Floats = [-1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
            .into_iter()
            .chain(numbers.iter().skip(9).map(|number| number + 1.0))
            .collect();
        rustix::io::pwrite(file, results.bytes(), numbers.bytes().len() as u64).unwrap();
        word[4..].copy_from_slice(&1_i32.to_ne_bytes());
        socket.write_all(&word).unwrap();
    }

    #[test]
    fn frames_of_changing_size_pass_to_python_and_back() {
        let (mut ours, theirs) = HandOver::new().unwrap();
        let theirs = UnixStream::from(theirs);
        let file = ours.file.try_clone().unwrap();
        let signals = Signals::listen().unwrap();
        for atoms in [1_u8, 5, 2] {
            let frame = Frame {
                cell: [1.0; 9],
                positions: (0..3 * atoms).map(f64::from).collect(),
            };
            let mut results = [Results::default()];
            let (computed, _) = std::thread::scope(|scope| {
                let other = theirs.try_clone().unwrap();
                scope.spawn(|| answer(other, &file, atoms.into()));
                ours.step(&[frame], &mut results, false, without_limit(&signals))
                    .unwrap()
            });
            assert!(
                results[0]
                    .forces
                    .iter()
                    .eq((0..3 * atoms).map(|number| f64::from(number) + 1.0))
            );
            assert!(
                computed[0]
                    .stress
                    .unwrap()
                    .iter()
                    .eq(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
            );
            assert!((computed[0].energy + 1.0).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn a_closed_socket_is_an_error() {
        let (mut ours, theirs) = HandOver::new().unwrap();
        drop(theirs);
        let signals = Signals::listen().unwrap();
        let error = ours
            .step(
                &[Frame::default()],
                &mut [Results::default()],
                false,
                without_limit(&signals),
            )
            .unwrap_err();
        assert!(matches!(error, StepError::Gone(_)));
    }
}
