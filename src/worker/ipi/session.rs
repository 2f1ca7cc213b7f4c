//! Whose turn it is: one conversation with one i-PI server, from the first header to the last. It answers and never
//! speaks unasked; what it answers with comes from a [`Calculator`].
//!
//! The first STATUS is always answered with NEEDINIT, because only an INIT tells which server this is (`dialect`), and
//! because a client that skips it would take i-PI's batches for a giant structure. Positions are computed at once, so a
//! server may ask for the forces in the same write or after another STATUS. An INIT is accepted whenever it comes.
//!
//! A failed computation never becomes a number that looks like a result: servers that send JSON get NaN everywhere and
//! the error in the extras; for the others the session ends, and its caller drains and closes the connection. So do
//! all when the calculator is gone for good, but those that send JSON are told before.

use std::io::{self, Read, Write};

use serde_json::json;

use super::dialect::{self, Dialect, Init, Units};
use super::segments::{self, Open, Segments};
use super::wire::{self, Header, Status};
use crate::worker::floats::Floats;
use crate::worker::step::{Failure, Frame, Raised, Results, System};

/// What computes.
pub trait Calculator {
    /// How many atoms there are; `None` until somebody says which.
    fn atoms(&self) -> Option<usize>;
    /// From now on it is about these atoms.
    fn take(&mut self, system: System) -> Result<(), Failure>;
    /// Computes frames, at least one, each of as many atoms as there are.
    fn calculate(&mut self, frames: &[Frame], results: &mut [Results]) -> Result<(), Failure>;
    /// Minus the virial of each atom, 3x3, of the frame that was computed last.
    fn stresses(&mut self, frame: &Frame, stresses: &mut Floats) -> Result<(), Failure>;
    /// From now on all results of each frame are wanted with it, as the text of a JSON object.
    fn want_everything(&mut self) {}
    /// All further results of the frame computed last, as JSON; the one of this name is computed if it has to be.
    fn results(&mut self, _name: &str) -> Result<Vec<u8>, Failure> {
        Ok(br#"{"gone": true}"#.to_vec())
    }
    /// Where the model comes from, as the text of a JSON object.
    fn origin(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(b"{}".to_vec())
    }
    /// May answer steps of so many atoms in memory from now on, of which it knows by itself.
    fn share(&mut self, _atoms: usize) {}
    /// Waits until there is a message, and sees to it meanwhile that what is asked in memory is answered there.
    fn attend(&mut self) -> Result<(), Failure> {
        Ok(())
    }
    /// Something a person should know.
    fn remark(&mut self, text: &str);
}

/// How a conversation ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server said EXIT.
    Exit,
    /// The server closed the connection between two messages.
    Closed,
    /// The server was gone when it was answered.
    Gone,
}

/// How a conversation ended badly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something unreadable.
    #[error(transparent)]
    Wire(#[from] wire::Error),
    /// An INIT that cannot be met.
    #[error(transparent)]
    Init(#[from] dialect::Error),
    /// Shared memory that cannot be used.
    #[error(transparent)]
    Segments(#[from] segments::Error),
    /// The connection broke while answering.
    #[error("cannot answer the server")]
    Write(#[source] io::Error),
    /// Results were asked for that nobody ordered.
    #[error("the server asked for forces before it sent positions")]
    Order,
    /// Nobody knows which atoms these are.
    #[error("the server does not say which atoms its positions belong to")]
    NoSpecies,
    /// Other atoms than expected.
    #[error("the server sent positions of {sent} atoms, but this worker's system has {expected}")]
    Atoms {
        /// As the template has it.
        expected: usize,
        /// As the server has it.
        sent: usize,
    },
    /// The model has no stress, and the server stops at anything but a number.
    #[error("the model computes no stress, which this server wants for a periodic system")]
    NoStress,
    /// The computation failed.
    #[error("{0}")]
    Failed(Failure),
}

/// One conversation.
pub struct Session<'a, S> {
    stream: S,
    // How the segments of i-PI's `shm` mode are opened, if it is in that mode.
    open: Option<&'a Open<'a>>,
    segments: Option<Segments>,
    dialect: Dialect,
    initialised: bool,
    // The text of the last JSON INIT: rootstock 1.x repeats it before every step.
    said: Vec<u8>,
    // What was wrong with it, if there is somebody to tell.
    refused: Option<Raised>,
    // How many structures the server sends at once.
    structures: usize,
    // Those that it sent last, and their results: there are none before they were read, whatever was announced.
    frames: Vec<Frame>,
    results: Vec<Results>,
    // How many atoms the server last sent.
    sent: usize,
    // Whether the first frame and its results are of that message.
    computed: bool,
    answer: Option<Result<(), Raised>>,
    // What ends the session once the server was told.
    last: Option<Failure>,
    buffer: Vec<u8>,
    warned: bool,
}

impl<'a, S: Read + Write> Session<'a, S> {
    /// A conversation over this stream, which has to be connected already.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            open: None,
            segments: None,
            dialect: Dialect::default(),
            initialised: false,
            said: Vec::new(),
            refused: None,
            structures: 1,
            frames: Vec::new(),
            results: Vec::new(),
            sent: 0,
            computed: false,
            answer: None,
            last: None,
            buffer: Vec::new(),
            warned: false,
        }
    }

    /// The same with an i-PI whose numbers lie in shared memory.
    #[must_use]
    pub fn with_segments(mut self, open: &'a Open<'a>) -> Self {
        self.open = Some(open);
        self
    }

    /// Answers until the server has had enough.
    pub fn serve(&mut self, calculator: &mut impl Calculator) -> Result<End, Error> {
        loop {
            if let Err(failure) = calculator.attend() {
                return self.end_in_memory(calculator, failure);
            }
            let Some(header) = wire::read_header(&mut self.stream)? else {
                return Ok(End::Closed);
            };
            let answered = match header {
                Header::Status => self.write(self.status().bytes()),
                Header::Init => self.init(calculator).map(|()| true),
                Header::Positions => self.positions(calculator).map(|()| true),
                Header::GetForce => self.forces(calculator),
                Header::GetStresses => self.stresses(calculator),
                Header::Stresses => Ok(true),
                Header::GetResults => self.results(calculator),
                Header::GetOrigin => self.origin(calculator),
                Header::Memory => self.memory(calculator).map(|()| true),
                Header::Exit => return Ok(End::Exit),
            };
            match answered {
                Ok(true) => {}
                Ok(false) | Err(Error::Failed(Failure::Abandoned)) => return Ok(End::Gone),
                Err(error) => return Err(error),
            }
        }
    }

    fn results(&mut self, calculator: &mut impl Calculator) -> Result<bool, Error> {
        self.only_of_ours("GETRESULTS")?;
        let name = wire::read_result_name(&mut self.stream)?;
        let results = calculator.results(&name);
        self.answer_in_words(results)
    }

    fn origin(&mut self, calculator: &mut impl Calculator) -> Result<bool, Error> {
        self.only_of_ours("GETORIGIN")?;
        let origin = calculator.origin();
        self.answer_in_words(origin)
    }

    fn only_of_ours(&self, header: &str) -> Result<(), Error> {
        match self.dialect {
            Dialect::Rootstock => Ok(()),
            _ => Err(wire::Error::Unknown(header.to_owned()).into()),
        }
    }

    fn answer_in_words(&mut self, text: Result<Vec<u8>, Failure>) -> Result<bool, Error> {
        let (text, last) = match text {
            Ok(text) => (text, None),
            Err(Failure::Raised(raised)) => (error_text(&raised), None),
            Err(Failure::Died(cause)) => {
                let text = error_text(&Raised::new("WorkerDied", cause.clone()));
                (text, Some(Failure::Died(cause)))
            }
            Err(failure) => return Err(Error::Failed(failure)),
        };
        let mut message = b"RESULTS     ".to_vec();
        wire::push_text(&mut message, &text);
        let answered = self.write(&message);
        last.map_or(answered, |failure| Err(Error::Failed(failure)))
    }

    /// An offer, which needs no answer: whether it was taken is seen in the memory.
    fn memory(&mut self, calculator: &mut impl Calculator) -> Result<(), Error> {
        self.only_of_ours("MEMORY")?;
        let atoms = wire::read_atoms(&mut self.stream)?;
        if calculator.atoms() == Some(atoms) && self.refused.is_none() {
            calculator.share(atoms);
        }
        Ok(())
    }

    /// Says what became of a step that was asked for in memory, and never will be answered there.
    fn end_in_memory(
        &mut self,
        calculator: &impl Calculator,
        failure: Failure,
    ) -> Result<End, Error> {
        self.sent = calculator.atoms().unwrap_or_default();
        self.prepare_error(&Raised::new("WorkerDied", failure.to_string()));
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        Err(Error::Failed(failure))
    }

    /// The stream, to be closed as the caller sees fit.
    pub fn into_stream(self) -> S {
        self.stream
    }

    fn status(&self) -> Status {
        match (&self.answer, self.initialised) {
            (Some(_), _) => Status::HaveData,
            (None, true) => Status::Ready,
            (None, false) => Status::NeedInit,
        }
    }

    fn init(&mut self, calculator: &mut impl Calculator) -> Result<(), Error> {
        let text = wire::read_init(&mut self.stream)?;
        self.initialised = true;
        if self.dialect.is_json() && text == self.said {
            return Ok(());
        }
        self.refused = None;
        match dialect::understand(&text) {
            Ok(Init::Stock(..)) if calculator.atoms().is_none() => return Err(Error::NoSpecies),
            Ok(Init::Stock(dialect, structures)) => {
                self.dialect = dialect;
                self.expect(structures);
                if dialect == Dialect::Ipi {
                    calculator.want_everything();
                }
            }
            Ok(Init::System(dialect, system)) => {
                self.dialect = dialect;
                self.expect(1);
                calculator.take(system).map_err(Error::Failed)?;
            }
            // A client of ours is told when it asks for forces, and may do better afterwards.
            Err(error) if error.is_ours() || self.dialect == Dialect::Rootstock => {
                self.dialect = Dialect::Rootstock;
                self.expect(1);
                self.refused = Some(Raised::new("InitError", error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
        self.said = text;
        Ok(())
    }

    /// From now on that many structures come at once.
    fn expect(&mut self, structures: usize) {
        if structures != self.structures {
            self.structures = structures;
            self.frames = Vec::new();
            self.results = Vec::new();
            self.computed = false;
            self.segments = None;
        }
    }

    fn positions(&mut self, calculator: &mut impl Calculator) -> Result<(), Error> {
        self.initialised = true;
        self.computed = false;
        let shared = self.open.filter(|_| self.dialect == Dialect::Ipi);
        let single = shared.is_none() && self.structures == 1;
        let cell = if single {
            Some(wire::read_cell(&mut self.stream)?)
        } else {
            None
        };
        self.sent = wire::read_atoms(&mut self.stream)?;
        // Checked before room is made for them: a wrong count would be the size of the next allocation.
        if let Some(raised) = self.unexpected(calculator)? {
            wire::skip_positions(&mut self.stream, self.sent)?;
            calculator.remark(&format!("{}, and the server was told so", raised.error));
            self.answer = Some(Err(raised));
            return Ok(());
        }
        match shared {
            Some(open) => self.fetch_frames(open)?,
            None => self.read_frames(cell)?,
        }
        self.results.resize(self.frames.len(), Results::default());
        let bohr = self.dialect.units().bohr;
        for frame in &mut self.frames {
            frame.cell = frame.cell.map(|length| length * bohr);
            frame.positions.scale(bohr);
        }
        self.answer = Some(self.compute(calculator)?);
        self.computed = self.answer == Some(Ok(()));
        Ok(())
    }

    fn read_frames(&mut self, cell: Option<[f64; 9]>) -> Result<(), Error> {
        for place in 0..self.structures {
            let cell = match cell {
                Some(cell) => cell,
                None => wire::read_cell(&mut self.stream)?,
            };
            self.frame(place).cell = cell;
        }
        for frame in &mut self.frames {
            frame.positions.resize(3 * self.sent);
            wire::read_positions(&mut self.stream, &mut frame.positions)?;
        }
        Ok(())
    }

    /// The frame at this place, or the first behind those that there are.
    fn frame(&mut self, place: usize) -> &mut Frame {
        if place == self.frames.len() {
            self.frames.push(Frame::default());
        }
        &mut self.frames[place]
    }

    /// The frames from shared memory, whose segments are named the first time.
    fn fetch_frames(&mut self, open: &Open<'_>) -> Result<(), Error> {
        let segments = match self.segments.take() {
            Some(segments) => segments,
            None => {
                let mut names: [String; 6] = Default::default();
                for name in &mut names {
                    *name = wire::read_name(&mut self.stream)?;
                }
                Segments::open(names, self.structures, self.sent, open)?
            }
        };
        for place in 0..self.structures {
            let atoms = self.sent;
            let frame = self.frame(place);
            frame.positions.resize(3 * atoms);
            frame.cell = segments.read(place, frame.positions.bytes_mut())?;
        }
        self.segments = Some(segments);
        Ok(())
    }

    /// Why these positions cannot be computed, if the server can be told.
    fn unexpected(&self, calculator: &impl Calculator) -> Result<Option<Raised>, Error> {
        if let Some(raised) = &self.refused {
            return Ok(Some(raised.clone()));
        }
        let expected = calculator.atoms().ok_or(Error::NoSpecies)?;
        if expected == self.sent && self.structures * self.sent <= wire::MOST_ATOMS {
            return Ok(None);
        }
        let error = Error::Atoms {
            expected,
            sent: self.sent,
        };
        if self.dialect.is_json() {
            Ok(Some(Raised::new("ValueError", error.to_string())))
        } else {
            Err(error)
        }
    }

    /// Computes the frame; an error that the server can be told is an answer.
    fn compute(&mut self, calculator: &mut impl Calculator) -> Result<Result<(), Raised>, Error> {
        let failure = match calculator.calculate(&self.frames, &mut self.results) {
            Ok(()) => match self.unreadable() {
                None => return Ok(Ok(())),
                Some(raised) => Failure::Raised(raised),
            },
            Err(failure) => failure,
        };
        match failure {
            Failure::Abandoned => Err(Error::Failed(failure)),
            failure if !self.dialect.is_json() => Err(Error::Failed(failure)),
            Failure::Raised(raised) => {
                calculator.remark(&format!(
                    "the calculation failed, and the server was told so:\n{}",
                    raised.reason()
                ));
                Ok(Err(raised))
            }
            Failure::Died(cause) => {
                let raised = Raised::new("WorkerDied", cause.clone());
                self.last = Some(Failure::Died(cause));
                Ok(Err(raised))
            }
        }
    }

    /// What makes the results unfit to be sent: a number that is none.
    fn unreadable(&self) -> Option<Raised> {
        self.results.iter().find_map(not_finite)
    }

    fn stresses(&mut self, calculator: &mut impl Calculator) -> Result<bool, Error> {
        if !self.computed {
            return Err(Error::Order);
        }
        let mut stresses = Floats::default();
        calculator
            .stresses(&self.frames[0], &mut stresses)
            .map_err(Error::Failed)?;
        let hartree = self.dialect.units().hartree;
        let mut message = b"STRESSREADY ".to_vec();
        wire::push_count(&mut message, self.sent);
        wire::push(&mut message, stresses.iter().map(|energy| energy / hartree));
        self.write(&message)
    }

    fn forces(&mut self, calculator: &mut impl Calculator) -> Result<bool, Error> {
        let answer = self.answer.take().ok_or(Error::Order)?;
        match answer {
            Ok(()) => self.prepare(calculator)?,
            Err(raised) => self.prepare_error(&raised),
        }
        if self.dialect.names_species_every_step() {
            self.initialised = false;
        }
        let buffer = std::mem::take(&mut self.buffer);
        let answered = self.write(&buffer);
        self.buffer = buffer;
        match self.last.take() {
            Some(failure) => Err(Error::Failed(failure)),
            None => answered,
        }
    }

    fn prepare(&mut self, calculator: &mut impl Calculator) -> Result<(), Error> {
        let units = self.dialect.units();
        let tensors = self.tensors(calculator)?;
        let message = &mut self.buffer;
        message.clear();
        let start = if self.segments.is_some() { 0 } else { 12 };
        message.extend_from_slice(&b"FORCEREADY  "[..start]);
        wire::push(
            message,
            self.results.iter().map(|one| one.energy / units.hartree),
        );
        let energies = message.len();
        if self.segments.is_none() {
            wire::push_count(message, self.sent);
        }
        let to_force = units.bohr / units.hartree;
        for one in &self.results {
            wire::push_scaled(message, &one.forces, to_force);
        }
        let forces = message.len();
        for tensor in tensors {
            wire::push(message, tensor.into_iter());
        }
        if let Some(segments) = &self.segments {
            segments.write(
                &message[..energies],
                &message[energies..forces],
                &message[forces..],
            )?;
            message.clear();
            message.extend_from_slice(b"FORCEREADY  ");
        }
        for one in &self.results {
            let extras = match self.dialect {
                Dialect::Ipi => &one.more[..],
                Dialect::Rootstock if !one.more.is_empty() => &one.more[..],
                // The Python rootstock wants at least a byte; stock servers take none for none.
                dialect if dialect.is_json() => b"{}",
                _ => b"",
            };
            wire::push_text(message, extras);
        }
        Ok(())
    }

    /// The virials as they go out, or what our own client has in their place.
    fn tensors(&mut self, calculator: &mut impl Calculator) -> Result<Vec<[f64; 9]>, Error> {
        let Units { hartree, .. } = self.dialect.units();
        let nothing = [f64::NAN; 9];
        if self.dialect == Dialect::Rootstock {
            // A client that is told that there is no stress has nothing to be warned of.
            let stresses = self.results.iter().map(|one| one.stress.unwrap_or(nothing));
            return Ok(stresses.collect());
        }
        if self.results.iter().any(|one| one.virial.is_none()) {
            if !self.dialect.reads_nan() {
                return Err(Error::NoStress);
            }
            if !std::mem::replace(&mut self.warned, true) {
                calculator.remark("the model computes no stress: the virial is sent as NaN, and pressure means nothing");
            }
        }
        let virials = self.results.iter().map(|one| {
            let virial = one.virial.unwrap_or(nothing);
            wire::transposed(virial.map(|energy| energy / hartree))
        });
        Ok(virials.collect())
    }

    /// NaN, never zero: who does not read the extras must not take this for a result.
    fn prepare_error(&mut self, raised: &Raised) {
        let extras = error_text(raised);
        let message = &mut self.buffer;
        message.clear();
        message.extend_from_slice(b"FORCEREADY  ");
        let nothing = |count| std::iter::repeat_n(f64::NAN, count);
        wire::push(message, nothing(1));
        wire::push_count(message, self.sent);
        wire::push(message, nothing(3 * self.sent + 9));
        wire::push_text(message, &extras);
    }

    /// Sends an answer in one write; `false` if nobody is there to read it.
    fn write(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        match self
            .stream
            .write_all(bytes)
            .and_then(|()| self.stream.flush())
        {
            Ok(()) => Ok(true),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(Error::Write(error)),
        }
    }
}

/// Where each of nine numbers of a stress stands.
const COMPONENTS: [&str; 9] = ["xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz"];

/// What a client that reads JSON is told of an error.
fn error_text(raised: &Raised) -> Vec<u8> {
    let text = json!({ "error": raised.reason(), "kind": raised.kind, "retryable": false });
    text.to_string().into_bytes()
}

/// What makes a result unfit to be sent, if anything does.
fn not_finite(results: &Results) -> Option<Raised> {
    let energy = results.energy;
    let stress = results.stress.unwrap_or_default();
    let error = if !energy.is_finite() {
        format!("the model computed an energy of {energy} eV")
    } else if let Some(place) = results.forces.first_not_finite() {
        let atom = place / 3;
        format!(
            "the model computed forces that are not finite, first that on atom {atom} (counted from 0)"
        )
    } else {
        let place = stress.iter().position(|number| !number.is_finite())?;
        let component = COMPONENTS[place];
        format!("the model computed a stress that is not finite, first its {component}")
    };
    Some(Raised::new("NotFinite", error))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
