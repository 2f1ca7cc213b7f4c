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

use super::dialect::{self, Dialect, Init};
use super::wire::{self, Header, Status};
use crate::worker::step::{Failure, Frame, Raised, Results, System};

/// What computes.
pub trait Calculator {
    /// How many atoms there are; `None` until somebody says which.
    fn atoms(&self) -> Option<usize>;
    /// From now on it is about these atoms.
    fn take(&mut self, system: System) -> Result<(), Failure>;
    /// Computes a frame of as many atoms as there are.
    fn calculate(&mut self, frame: &Frame, results: &mut Results) -> Result<(), Failure>;
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
pub struct Session<S> {
    stream: S,
    dialect: Dialect,
    initialised: bool,
    // The text of the last JSON INIT: rootstock 1.x repeats it before every step.
    said: Vec<u8>,
    // What was wrong with it, if there is somebody to tell.
    refused: Option<Raised>,
    frame: Frame,
    // How many atoms the server last sent.
    sent: usize,
    results: Results,
    answer: Option<Result<(), Raised>>,
    // What ends the session once the server was told.
    last: Option<Failure>,
    buffer: Vec<u8>,
    warned: bool,
}

impl<S: Read + Write> Session<S> {
    /// A conversation over this stream, which has to be connected already.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            dialect: Dialect::default(),
            initialised: false,
            said: Vec::new(),
            refused: None,
            frame: Frame::default(),
            sent: 0,
            results: Results::default(),
            answer: None,
            last: None,
            buffer: Vec::new(),
            warned: false,
        }
    }

    /// Answers until the server has had enough.
    pub fn serve(&mut self, calculator: &mut impl Calculator) -> Result<End, Error> {
        while let Some(header) = wire::read_header(&mut self.stream)? {
            let answered = match header {
                Header::Status => self.write(self.status().bytes()),
                Header::Init => self.init(calculator).map(|()| true),
                Header::Positions => self.positions(calculator).map(|()| true),
                Header::GetForce => self.forces(calculator),
                Header::Exit => return Ok(End::Exit),
            }?;
            if !answered {
                return Ok(End::Gone);
            }
        }
        Ok(End::Closed)
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
            Ok(Init::Stock(_)) if calculator.atoms().is_none() => return Err(Error::NoSpecies),
            Ok(Init::Stock(dialect)) => self.dialect = dialect,
            Ok(Init::System(dialect, system)) => {
                self.dialect = dialect;
                calculator.take(system).map_err(Error::Failed)?;
            }
            // A client of ours is told when it asks for forces, and may do better afterwards.
            Err(error) if error.is_ours() || self.dialect == Dialect::Rootstock => {
                self.dialect = Dialect::Rootstock;
                self.refused = Some(Raised::new("InitError", error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
        self.said = text;
        Ok(())
    }

    fn positions(&mut self, calculator: &mut impl Calculator) -> Result<(), Error> {
        let (cell, sent) = wire::read_cell(&mut self.stream)?;
        self.initialised = true;
        self.sent = wire::atoms(sent)?;
        // Checked before room is made for them: a wrong count would be the size of the next allocation.
        if let Some(raised) = self.unexpected(calculator)? {
            wire::skip_positions(&mut self.stream, self.sent)?;
            calculator.remark(&format!("{}, and the server was told so", raised.error));
            self.answer = Some(Err(raised));
            return Ok(());
        }
        self.frame.positions.resize(3 * self.sent);
        wire::read_positions(&mut self.stream, &mut self.frame.positions)?;
        let bohr = self.dialect.units().bohr;
        self.frame.cell = cell.map(|length| length * bohr);
        self.frame.positions.scale(bohr);
        self.answer = Some(self.compute(calculator)?);
        Ok(())
    }

    /// Why these positions cannot be computed, if the server can be told.
    fn unexpected(&self, calculator: &impl Calculator) -> Result<Option<Raised>, Error> {
        if let Some(raised) = &self.refused {
            return Ok(Some(raised.clone()));
        }
        let expected = calculator.atoms().ok_or(Error::NoSpecies)?;
        if expected == self.sent {
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
        let failure = match calculator.calculate(&self.frame, &mut self.results) {
            Ok(()) => match self.unreadable() {
                None => return Ok(Ok(())),
                Some(raised) => Failure::Raised(raised),
            },
            Err(failure) => failure,
        };
        match failure {
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
        let Results { energy, forces, .. } = &self.results;
        if !energy.is_finite() {
            return Some(Raised::new(
                "NotFinite",
                format!("the model computed an energy of {energy} eV"),
            ));
        }
        let place = forces.iter().position(|force| !force.is_finite())?;
        let atom = place / 3;
        Some(Raised::new(
            "NotFinite",
            format!(
                "the model computed forces that are not finite, first that on atom {atom} (counted from 0)"
            ),
        ))
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
        let wanted = match self.dialect {
            // A client that is told that there is no stress has nothing to be warned of.
            Dialect::Rootstock => Some(self.results.stress.unwrap_or([f64::NAN; 9])),
            _ => self.results.virial,
        };
        let tensor = match wanted {
            Some(tensor) => tensor,
            None if !self.dialect.reads_nan() => return Err(Error::NoStress),
            None => {
                if !std::mem::replace(&mut self.warned, true) {
                    calculator.remark("the model computes no stress: the virial is sent as NaN, and pressure means nothing");
                }
                [f64::NAN; 9]
            }
        };
        let to_force = units.bohr / units.hartree;
        wire::reply(
            &mut self.buffer,
            self.results.energy / units.hartree,
            self.results.forces.iter().map(|force| force * to_force),
            match self.dialect {
                Dialect::Rootstock => tensor,
                _ => wire::transposed(tensor.map(|energy| energy / units.hartree)),
            },
            match self.dialect {
                Dialect::Rootstock if !self.results.more.is_empty() => &self.results.more,
                // The Python rootstock wants at least a byte; stock servers take none for none.
                dialect if dialect.is_json() => b"{}",
                _ => b"",
            },
        );
        Ok(())
    }

    /// NaN, never zero: who does not read the extras must not take this for a result.
    fn prepare_error(&mut self, raised: &Raised) {
        let extras = json!({ "error": raised.reason(), "kind": raised.kind, "retryable": false })
            .to_string();
        let nothing = std::iter::repeat_n(f64::NAN, 3 * self.sent);
        wire::reply(
            &mut self.buffer,
            f64::NAN,
            nothing,
            [f64::NAN; 9],
            extras.as_bytes(),
        );
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

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
