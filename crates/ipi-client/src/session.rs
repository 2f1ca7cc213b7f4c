//! The state of one conversation with one server, from the first header to the last. It only answers, and never sends
//! anything unasked; its results come from a [`Calculator`].
//!
//! The first STATUS is always answered with NEEDINIT: only an INIT identifies the server (`dialect`), and without one
//! i-PI's batches would be read as one giant structure. Positions are computed as soon as they arrive, so a server may
//! request the forces in the same write or after another STATUS. An INIT is accepted at any time.
//!
//! A failed computation never becomes a number that looks like a result. Servers that send JSON get NaN everywhere and
//! the error in the extras; for the others the session ends, and the caller drains and closes the connection. It also
//! ends when the calculator itself has ended; servers that send JSON get that error first.

use std::io::{Read, Write};

use crate::answer::{error_text, invalid, stresses_message, tensors, write_error, write_results};
use crate::calculator::{Calculator, Exception, Failure};
use crate::dialect::{self, Dialect, Init};
use crate::floats::Floats;
use crate::outcome::{End, Error};
use crate::segments::{Open, Segments};
use crate::step::{Frame, Results};
use crate::wire::{self, Header, Status};

/// One conversation with one server.
pub struct Session<'a, S> {
    stream: S,
    // Opens the segments of i-PI's `shm` mode, if it is in that mode.
    open: Option<&'a Open<'a>>,
    segments: Option<Segments>,
    dialect: Dialect,
    initialised: bool,
    // The text of the last INIT, which rootstock 1.x repeats before every step.
    last_init: Vec<u8>,
    // What is wrong with it, where the server can be sent errors.
    refused: Option<Exception>,
    // How many structures the server sends at once.
    structures: usize,
    // Those that it sent last, and their results. They grow as frames are read: a number that was only announced
    // reserves no memory.
    frames: Vec<Frame>,
    results: Vec<Results>,
    // How many atoms the server sent last.
    sent: usize,
    // Whether the results are those of the frames that were sent last.
    computed: bool,
    answer: Option<Result<(), Exception>>,
    // Ends the session as soon as the server has been sent the error.
    fatal: Option<Failure>,
    buffer: Vec<u8>,
    warned: bool,
}

impl<'a, S: Read + Write> Session<'a, S> {
    /// A conversation over this connected stream. Reads are small: wrap a socket in a buffer.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            open: None,
            segments: None,
            dialect: Dialect::default(),
            initialised: false,
            last_init: Vec::new(),
            refused: None,
            structures: 1,
            frames: Vec::new(),
            results: Vec::new(),
            sent: 0,
            computed: false,
            answer: None,
            fatal: None,
            buffer: Vec::new(),
            warned: false,
        }
    }

    /// The same with an i-PI in `shm` mode, whose numbers are in shared memory.
    #[must_use]
    pub fn with_segments(mut self, open: &'a Open<'a>) -> Self {
        self.open = Some(open);
        self
    }

    /// Answers the server until it ends the conversation.
    pub fn serve(&mut self, calculator: &mut impl Calculator) -> Result<End, Error> {
        loop {
            if let Err(failure) = calculator.wait_for_message() {
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
                Header::GetResults => self.further_results(calculator),
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

    fn further_results(&mut self, calculator: &mut impl Calculator) -> Result<bool, Error> {
        self.only_rootstock("GETRESULTS")?;
        let name = wire::read_result_name(&mut self.stream)?;
        let results = calculator.further_results(&name);
        self.answer_text(results)
    }

    fn origin(&mut self, calculator: &mut impl Calculator) -> Result<bool, Error> {
        self.only_rootstock("GETORIGIN")?;
        let origin = calculator.origin();
        self.answer_text(origin)
    }

    fn only_rootstock(&self, header: &str) -> Result<(), Error> {
        match self.dialect {
            Dialect::Rootstock => Ok(()),
            _ => Err(wire::Error::Unknown(header.to_owned()).into()),
        }
    }

    fn answer_text(&mut self, text: Result<Vec<u8>, Failure>) -> Result<bool, Error> {
        let (text, fatal) = match text {
            Ok(text) => (text, None),
            Err(Failure::Raised(exception)) => (error_text(&exception), None),
            Err(Failure::Died(cause)) => {
                let text = error_text(&Exception::new("WorkerDied", cause.clone()));
                (text, Some(Failure::Died(cause)))
            }
            Err(failure) => return Err(Error::Failed(failure)),
        };
        let mut message = b"RESULTS     ".to_vec();
        wire::push_text(&mut message, &text);
        let answered = self.write(&message);
        fatal.map_or(answered, |failure| Err(Error::Failed(failure)))
    }

    /// An offer, without an answer: the memory itself shows whether it was accepted.
    fn memory(&mut self, calculator: &mut impl Calculator) -> Result<(), Error> {
        self.only_rootstock("MEMORY")?;
        let atoms = wire::read_atoms(&mut self.stream)?;
        if calculator.atoms() == Some(atoms) && self.refused.is_none() {
            calculator.accept_memory(atoms);
        }
        Ok(())
    }

    /// Sends the error of a step that was requested in memory and cannot be answered there.
    fn end_in_memory(
        &mut self,
        calculator: &impl Calculator,
        failure: Failure,
    ) -> Result<End, Error> {
        self.sent = calculator.atoms().unwrap_or_default();
        let exception = Exception::new("WorkerDied", failure.to_string());
        write_error(&mut self.buffer, self.sent, &exception);
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        Err(Error::Failed(failure))
    }

    /// The stream, for the caller to close.
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
        if self.dialect.is_json() && text == self.last_init {
            return Ok(());
        }
        self.refused = None;
        match dialect::parse(&text) {
            Ok(Init::Stock(..)) if calculator.atoms().is_none() => return Err(Error::NoSpecies),
            Ok(Init::Stock(dialect, structures)) => {
                self.dialect = dialect;
                self.expect(structures);
                if dialect == Dialect::Ipi {
                    calculator.want_all_results();
                }
            }
            Ok(Init::System(dialect, system)) => {
                self.dialect = dialect;
                self.expect(1);
                calculator.set_system(system).map_err(Error::Failed)?;
            }
            // A rootstock client gets the error when it requests forces, and may send a better INIT afterwards.
            Err(error) if error.is_rootstock() || self.dialect == Dialect::Rootstock => {
                self.dialect = Dialect::Rootstock;
                self.expect(1);
                self.refused = Some(Exception::new("InitError", error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
        self.last_init = text;
        Ok(())
    }

    /// From now on a message holds this many structures.
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
        // Checked before memory is reserved: a wrong count would be the size of the next allocation.
        if let Some(exception) = self.unexpected(calculator)? {
            wire::skip_positions(&mut self.stream, self.sent)?;
            self.refuse(exception, calculator);
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
        // A model may compute plausible numbers of such a frame.
        if let Some(what) = self.frames.iter().find_map(Frame::not_finite) {
            let error = Error::NotFinite(what);
            if !self.dialect.is_json() {
                return Err(error);
            }
            self.refuse(Exception::new("ValueError", error.to_string()), calculator);
            return Ok(());
        }
        self.answer = Some(self.compute(calculator)?);
        self.computed = self.answer == Some(Ok(()));
        Ok(())
    }

    /// The answer to these positions is an error.
    fn refuse(&mut self, exception: Exception, calculator: &mut impl Calculator) {
        let error = &exception.error;
        calculator.warn(&format!("{error}; the server was sent this error"));
        self.answer = Some(Err(exception));
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

    /// The frame at this place; a new one behind the last.
    fn frame(&mut self, place: usize) -> &mut Frame {
        if place == self.frames.len() {
            self.frames.push(Frame::default());
        }
        &mut self.frames[place]
    }

    /// Reads the frames from shared memory; the first message names its segments.
    fn fetch_frames(&mut self, open: &Open<'_>) -> Result<(), Error> {
        let segments = match self.segments.take() {
            Some(segments) => segments,
            None => {
                let mut names: [String; 6] = Default::default();
                for name in &mut names {
                    *name = wire::read_segment_name(&mut self.stream)?;
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

    /// Why these positions cannot be computed, where the server can be sent the error.
    fn unexpected(&self, calculator: &impl Calculator) -> Result<Option<Exception>, Error> {
        if let Some(exception) = &self.refused {
            return Ok(Some(exception.clone()));
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
            Ok(Some(Exception::new("ValueError", error.to_string())))
        } else {
            Err(error)
        }
    }

    /// Computes the frames. An error that can be sent to the server is an answer.
    fn compute(
        &mut self,
        calculator: &mut impl Calculator,
    ) -> Result<Result<(), Exception>, Error> {
        let failure = match calculator.calculate(&self.frames, &mut self.results) {
            Ok(()) => match self.results.iter().find_map(|one| invalid(one, self.sent)) {
                None => return Ok(Ok(())),
                Some(exception) => Failure::Raised(exception),
            },
            Err(failure) => failure,
        };
        match failure {
            Failure::Abandoned => Err(Error::Failed(failure)),
            failure if !self.dialect.is_json() => Err(Error::Failed(failure)),
            Failure::Raised(exception) => {
                calculator.warn(&format!(
                    "the calculation failed; the server was sent this error:\n{}",
                    exception.reason()
                ));
                Ok(Err(exception))
            }
            Failure::Died(cause) => {
                let exception = Exception::new("WorkerDied", cause.clone());
                self.fatal = Some(Failure::Died(cause));
                Ok(Err(exception))
            }
        }
    }

    fn stresses(&mut self, calculator: &mut impl Calculator) -> Result<bool, Error> {
        if !self.computed {
            return Err(Error::Order);
        }
        let mut stresses = Floats::default();
        calculator
            .stresses(&self.frames[0], &mut stresses)
            .map_err(Error::Failed)?;
        if stresses.len() != 9 * self.sent {
            let (numbers, atoms) = (stresses.len(), self.sent);
            let error =
                format!("the model computed {numbers} components of stresses for {atoms} atoms");
            return Err(Error::Failed(Exception::new("ValueError", error).into()));
        }
        self.write(&stresses_message(&stresses, self.sent, self.dialect))
    }

    fn forces(&mut self, calculator: &mut impl Calculator) -> Result<bool, Error> {
        let answer = self.answer.take().ok_or(Error::Order)?;
        match answer {
            Ok(()) => self.prepare(calculator)?,
            Err(exception) => write_error(&mut self.buffer, self.sent, &exception),
        }
        if self.dialect.names_species_every_step() {
            self.initialised = false;
        }
        let buffer = std::mem::take(&mut self.buffer);
        let answered = self.write(&buffer);
        self.buffer = buffer;
        match self.fatal.take() {
            Some(failure) => Err(Error::Failed(failure)),
            None => answered,
        }
    }

    fn prepare(&mut self, calculator: &mut impl Calculator) -> Result<(), Error> {
        let tensors = self.tensors(calculator)?;
        write_results(
            &mut self.buffer,
            &self.results,
            &tensors,
            self.sent,
            self.dialect,
            self.segments.as_ref(),
        )?;
        Ok(())
    }

    /// A missing virial is NaN, or an error where the server cannot read that.
    fn tensors(&mut self, calculator: &mut impl Calculator) -> Result<Vec<[f64; 9]>, Error> {
        // A rootstock client reads NaN as "no stress": there is nothing to warn of.
        let is_ours = self.dialect == Dialect::Rootstock;
        if !is_ours && self.results.iter().any(|one| one.virial.is_none()) {
            if !self.dialect.reads_nan() {
                return Err(Error::NoStress);
            }
            if !std::mem::replace(&mut self.warned, true) {
                calculator.warn("the model computes no stress: the virial is sent as NaN, and the pressure is meaningless");
            }
        }
        Ok(tensors(&self.results, self.dialect))
    }

    /// Sends an answer in one write; `false` if the server has closed the connection.
    fn write(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        match self
            .stream
            .write_all(bytes)
            .and_then(|()| self.stream.flush())
        {
            Ok(()) => Ok(true),
            Err(error) if wire::is_closed(&error) => Ok(false),
            Err(error) => Err(Error::Write(error)),
        }
    }
}
