//! What passes between the launcher and its Python: a shared file for the numbers, a socket pair for the turn. Starts
//! nothing; which process is at the other end is not known here.
//!
//! The shared file lives in memory and holds float64 numbers; for each frame of N atoms, one after another:
//!
//! | offset in numbers | what                                 | written by |
//! |-------------------|--------------------------------------|------------|
//! | 0                 | cell, vectors as rows: 9             | launcher   |
//! | 9                 | positions: 3 N                       | launcher   |
//! | 9 + 3 N           | energy: 1                            | Python     |
//! | 10 + 3 N          | stress, 3x3 by rows: 9               | Python     |
//! | 19 + 3 N          | forces: 3 N                          | Python     |
//!
//! and, where somebody asks, the stresses of single atoms, 9 N, behind the first frame. It grows when it must and never
//! shrinks. Units are ASE's. The launcher copies with one `pwritev` and one `preadv` a frame, which costs less than the
//! system calls of a wake-up and needs no `unsafe`; Python maps it.
//!
//! On the socket everything begins with a word of two int32, kind and value:
//!
//! | kind | from the launcher                    | from Python                                                              |
//! |------|--------------------------------------|--------------------------------------------------------------------------|
//! | 1    | compute `value` frames of all atoms  | done; `value` is 2 n, and 1 more if there is a stress; then n bytes of JSON: further results |
//! | 2    | `value` bytes of JSON follow         | ready; `value` bytes of JSON follow                                      |
//! | 3    | the stresses of single atoms, of the frame computed last | as 1                                                 |
//! | 4    | a client's memory, for `value` atoms (see `memory`): a byte follows, with the file and its bell (`SCM_RIGHTS`); not answered | |
//! | 6    | all further results of that frame; `value` bytes follow: the name of one that is computed if it has to be | as 1 |
//! | 7    | as 1, and all further results of each frame | as 1; the text has a line for each frame            |
//! | 5    |                                      | an error; `value` bytes of JSON follow: `{"error", "kind", "traceback"}`  |
//!
//! The launcher's first JSON is the order (what to load), and carries the shared file's descriptor (`SCM_RIGHTS`, so
//! that no other child inherits it); later ones are systems and are not answered. Python's first message is ready,
//! `{"system": …}` (null if it has none), or an error; any step may be answered with an error, too. The kind alone says
//! which of them a message is, and fields that are not known here are refused. Python cuts and escapes the texts of an
//! error, so that every exception fits. A closed socket means: end.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::memory::Memory;
use super::signals::Signals;
use super::wait::{Awaited, Wake, wait_for_either, wait_until};
use ipi_client::Floats;
use ipi_client::{Exception, Frame, Results};

const STEP: i32 = 1;
const TEXT: i32 = 2;
const STRESSES: i32 = 3;
const MEMORY: i32 = 4;
const ERROR: i32 = 5;
const RESULTS: i32 = 6;
const EVERYTHING: i32 = 7;
const NUMBER: usize = size_of::<f64>();
/// Energy and stress.
const HEAD: usize = 10;
/// Longer than any list of species.
const LONGEST_TEXT: usize = 256 << 20;
/// Longer than any error: Python cuts its texts.
const LONGEST_ERROR: usize = 1 << 20;

/// What Python computed, as it lies in the file.
#[derive(Debug, Default)]
pub(super) struct Computed {
    pub(super) energy: f64,
    /// By rows; `None` if the model gave none.
    pub(super) stress: Option<[f64; 9]>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Silence {
    /// Python raised an exception.
    Raised(Exception),
    /// Python is gone, or talks nonsense.
    Gone(io::Error),
    /// Python has not answered in time.
    Late(Duration),
    /// We were told to end.
    Told,
    /// Nobody waits for the answer any more.
    Abandoned,
}

impl From<io::Error> for Silence {
    fn from(error: io::Error) -> Self {
        Silence::Gone(error)
    }
}

impl From<rustix::io::Errno> for Silence {
    fn from(error: rustix::io::Errno) -> Self {
        Silence::Gone(error.into())
    }
}

/// What is waited for beside Python's answer.
#[derive(Clone, Copy)]
pub(super) struct Meanwhile<'a> {
    /// How long it may take, if there is an end to it.
    pub(super) patience: Option<Duration>,
    /// An order to end.
    pub(super) signals: &'a Signals,
    /// The end of whoever the answer is for.
    pub(super) server: Option<Awaited<'a>>,
    /// Who is to know that it takes long.
    pub(super) beat: Option<Beat<'a>>,
}

/// Hears every so often for how long an answer has been waited for.
#[derive(Clone, Copy)]
pub(super) struct Beat<'a> {
    pub(super) every: Duration,
    pub(super) say: &'a dyn Fn(Duration),
}

/// Our side of the hand-over.
pub(super) struct HandOver {
    turn: UnixStream,
    file: OwnedFd,
    size: usize,
}

impl HandOver {
    /// Both ends: ours, and the socket that becomes Python's standard input.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (turn, theirs) = UnixStream::pair()?;
        let file = memfd_create("rootstock-frame", MemfdFlags::CLOEXEC)?;
        let ours = Self {
            turn,
            file,
            size: 0,
        };
        Ok((ours, theirs.into()))
    }

    /// Sends the program that Python runs, and then the order.
    pub(super) fn begin(&mut self, program: &str, order: &impl Serialize) -> io::Result<()> {
        self.turn.write_all(program.as_bytes())?;
        let text = serde_json::to_vec(order)?;
        self.send_files(&word(TEXT, text.len())?, &[self.file.as_fd()])?;
        self.turn.write_all(&text)
    }

    /// A few bytes, which go into a socket's buffer whole, and one descriptor or two.
    fn send_files(&self, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(files));
        let parts = [IoSlice::new(bytes)];
        sendmsg(&self.turn, &parts, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Python's first message.
    pub(super) fn ready<T: DeserializeOwned>(&mut self) -> Result<T, Silence> {
        match self.read_word()? {
            (TEXT, length) => {
                let text = self.read_bytes(length, LONGEST_TEXT)?;
                serde_json::from_slice(&text).map_err(|_| nonsense())
            }
            (kind, length) => Err(self.read_error(kind, length)),
        }
    }

    /// Says something that is not answered.
    pub(super) fn tell(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(message)?;
        text.splice(..0, word(TEXT, text.len())?);
        self.turn.write_all(&text)
    }

    /// Hands a client's memory on.
    pub(super) fn share(&mut self, memory: &Memory, atoms: usize) -> io::Result<()> {
        self.turn.write_all(&word(MEMORY, atoms)?)?;
        self.send_files(b"m", &[memory.file.as_fd(), memory.bell.as_fd()])
    }

    /// Has frames computed; forces lie where the results are wanted. With further results: the text of a JSON object, or
    /// nothing; if `everything` is wanted, a line for each frame.
    pub(super) fn step(
        &mut self,
        frames: &[Frame],
        results: &mut [Results],
        everything: bool,
        meanwhile: Meanwhile<'_>,
    ) -> Result<(Vec<Computed>, Vec<u8>), Silence> {
        self.write_frames(frames)?;
        let kind = if everything { EVERYTHING } else { STEP };
        self.turn.write_all(&word(kind, frames.len())?)?;
        let (stress, more) = self.answer(meanwhile)?;
        let mut computed = Vec::with_capacity(frames.len());
        for (place, (frame, results)) in frames.iter().zip(results).enumerate() {
            let offset = place * size(frame.atoms());
            computed.push(self.read_results(frame, offset, stress, &mut results.forces)?);
        }
        Ok((computed, more))
    }

    /// Asks for the stresses of single atoms, of the frame computed last, which had this many: 3x3 by rows for each.
    pub(super) fn stresses(
        &mut self,
        atoms: usize,
        stresses: &mut Floats,
        meanwhile: Meanwhile<'_>,
    ) -> Result<(), Silence> {
        self.grow(size(atoms) + 9 * atoms)?;
        self.turn.write_all(&word(STRESSES, 1)?)?;
        self.answer(meanwhile)?;
        stresses.resize(9 * atoms);
        let offset = NUMBER * size(atoms);
        let read = rustix::io::pread(&self.file, stresses.bytes_mut(), offset as u64)?;
        Ok(whole(read, stresses.bytes().len())?)
    }

    /// Asks for all further results of the frame computed last, as the text of a JSON object.
    pub(super) fn results(
        &mut self,
        name: &str,
        meanwhile: Meanwhile<'_>,
    ) -> Result<Vec<u8>, Silence> {
        let mut message = word(RESULTS, name.len())?.to_vec();
        message.extend_from_slice(name.as_bytes());
        self.turn.write_all(&message)?;
        let (_, text) = self.answer(meanwhile)?;
        Ok(text)
    }

    /// Whether the other end is gone. Asked between two steps, when Python has nothing to say.
    pub(super) fn is_closed(&self) -> bool {
        wait_until(&self.turn, Instant::now())
    }

    /// The socket, to be waited on.
    pub(super) fn socket(&self) -> &UnixStream {
        &self.turn
    }

    /// Whether there is a stress, and further results.
    fn answer(&mut self, meanwhile: Meanwhile<'_>) -> Result<(bool, Vec<u8>), Silence> {
        let Meanwhile {
            patience,
            signals,
            server,
            beat,
        } = meanwhile;
        let begun = Instant::now();
        let deadline = patience.map(|patience| begun + patience);
        let python = (self.turn.as_fd(), PollFlags::IN);
        let mut now = begun;
        loop {
            let next = beat.map(|beat| now + beat.every);
            let until = deadline.into_iter().chain(next).min();
            match wait_for_either(python, server, until, Some(signals)) {
                Wake::Ready => break,
                Wake::Second => return Err(Silence::Abandoned),
                Wake::Told => return Err(Silence::Told),
                Wake::Late => now = Instant::now(),
            }
            if let (Some(patience), Some(deadline)) = (patience, deadline)
                && now >= deadline
            {
                return Err(Silence::Late(patience));
            }
            if let Some(beat) = beat {
                (beat.say)(now - begun);
            }
        }
        match self.read_word()? {
            (STEP, value) => {
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
        self.grow(frames.iter().map(|frame| size(frame.atoms())).sum())?;
        for (place, frame) in frames.iter().enumerate() {
            let cell: Floats = frame.cell.into_iter().collect();
            let positions = frame.positions.bytes();
            let parts = [IoSlice::new(cell.bytes()), IoSlice::new(positions)];
            let offset = NUMBER * place * size(frame.atoms());
            let written = rustix::io::pwritev(&self.file, &parts, offset as u64)?;
            whole(written, cell.bytes().len() + positions.len())?;
        }
        Ok(())
    }

    fn read_results(
        &mut self,
        frame: &Frame,
        offset: usize,
        stress: bool,
        forces: &mut Floats,
    ) -> Result<Computed, Silence> {
        let mut head = Floats::default();
        head.resize(HEAD);
        forces.resize(frame.positions.len());
        let offset = NUMBER * (offset + frame.cell.len() + frame.positions.len());
        let expected = NUMBER * (HEAD + frame.positions.len());
        let mut parts = [
            IoSliceMut::new(head.bytes_mut()),
            IoSliceMut::new(forces.bytes_mut()),
        ];
        let read = rustix::io::preadv(&self.file, &mut parts, offset as u64)?;
        whole(read, expected)?;
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

    fn read_bytes(&mut self, length: i32, longest: usize) -> Result<Vec<u8>, Silence> {
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= longest)
            .ok_or_else(nonsense)?;
        let mut bytes = vec![0; length];
        self.turn.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The error that a message of this kind is; every other kind is no answer.
    fn read_error(&mut self, kind: i32, length: i32) -> Silence {
        if kind != ERROR {
            return nonsense();
        }
        let text = match self.read_bytes(length, LONGEST_ERROR) {
            Ok(text) => text,
            Err(silence) => return silence,
        };
        serde_json::from_slice(&text).map_or_else(|_| nonsense(), Silence::Raised)
    }
}

/// How many numbers a frame and its results are.
pub(super) fn size(atoms: usize) -> usize {
    9 + HEAD + 6 * atoms
}

fn word(kind: i32, value: usize) -> io::Result<[u8; 8]> {
    let value = i32::try_from(value).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
    let mut word = [0; 8];
    word[..4].copy_from_slice(&kind.to_ne_bytes());
    word[4..].copy_from_slice(&value.to_ne_bytes());
    Ok(word)
}

/// A file in memory takes and gives everything at once, up to the 2 GiB of one system call.
fn whole(done: usize, expected: usize) -> io::Result<()> {
    if done == expected {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::FileTooLarge,
        format!("{expected} bytes do not pass through the shared file at once"),
    ))
}

fn nonsense() -> Silence {
    Silence::Gone(io::Error::new(
        ErrorKind::InvalidData,
        "Python answered something else than it was asked",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(signals: &Signals) -> Meanwhile<'_> {
        Meanwhile {
            patience: None,
            signals,
            server: None,
            beat: None,
        }
    }

    /// The other end, in Rust: adds one to every position and calls it a force.
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
    fn a_frame_passes_over_and_its_results_come_back_while_it_grows() {
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
                ours.step(&[frame], &mut results, false, only(&signals))
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
    fn an_end_that_is_gone_is_noticed() {
        let (mut ours, theirs) = HandOver::new().unwrap();
        drop(theirs);
        let signals = Signals::listen().unwrap();
        let silence = ours
            .step(
                &[Frame::default()],
                &mut [Results::default()],
                false,
                only(&signals),
            )
            .unwrap_err();
        assert!(matches!(silence, Silence::Gone(_)));
    }
}
