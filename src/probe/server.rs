//! The client's side of rootstock's dialect, which is a server in i-PI's sense: an INIT when the atoms change, then one write
//! and one answer for each step. Knows no process.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use ipi_client::Floats;
use ipi_client::dialect::VERSION;
use ipi_client::wire::transposed;

use super::structure::Structure;
use crate::numbers::Conditions;

/// A worker's answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// In eV.
    pub energy: f64,
    /// x, y, z of every atom, in eV/Å.
    pub forces: Floats,
    /// By rows, in eV/Å³; NaN if there is none.
    pub stress: [f64; 9],
    /// Where the time went, if the worker reports it.
    pub timings: Option<Timings>,
    /// The conditions, with the first answer for these atoms.
    pub conditions: Option<Conditions>,
    /// From the first byte sent to the last byte received.
    pub took: Duration,
}

/// The part of an answer's extras that is used.
#[derive(Debug, Deserialize)]
struct Extras {
    error: Option<String>,
    timings: Option<Timings>,
    conditions: Option<Conditions>,
}

/// Where the time of a step went, in seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Timings {
    /// In the calculator's `calculate()`.
    pub compute: f64,
    /// In the launcher, from the frame to the results: the calculator, and the hand-over to Python and back.
    pub step: f64,
}

/// There is no answer.
#[derive(Debug)]
pub(crate) enum AskError {
    /// The worker has closed the connection.
    Gone,
    /// The answer is invalid.
    Invalid(io::Error),
    /// The calculation failed, with this traceback. The worker serves on.
    Refused(String),
}

impl From<io::Error> for AskError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                AskError::Gone
            }
            _ => AskError::Invalid(error),
        }
    }
}

/// One end of a connection.
pub(crate) struct Server<S> {
    stream: S,
    last_init: String,
    message: Vec<u8>,
}

impl<S: Read + Write> Server<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            last_init: String::new(),
            message: Vec::new(),
        }
    }

    /// Has a structure computed.
    pub(crate) fn ask(&mut self, structure: &Structure) -> Result<Answer, AskError> {
        self.write(structure);
        let begin = Instant::now();
        self.stream.write_all(&self.message)?;
        let mut head = [0; 24];
        self.stream.read_exact(&mut head)?;
        let atoms = i32::from_le_bytes(head[20..].try_into().expect("four bytes are left"));
        if head[..12] != *b"FORCEREADY  " || usize::try_from(atoms) != Ok(structure.atoms()) {
            let sent = head.escape_ascii().to_string();
            let error = io::Error::new(ErrorKind::InvalidData, format!("it begins with `{sent}`"));
            return Err(AskError::Invalid(error));
        }
        let mut forces = Floats::default();
        forces.resize(3 * structure.atoms());
        self.stream.read_exact(forces.bytes_mut())?;
        let mut tail = [0; 76];
        self.stream.read_exact(&mut tail)?;
        let length = u32::from_le_bytes(tail[72..].try_into().expect("four bytes are left"));
        let mut extras = Vec::new();
        (&mut self.stream)
            .take(length.into())
            .read_to_end(&mut extras)?;
        let took = begin.elapsed();
        let extras: Extras =
            strict_json::from_slice(&extras).map_err(|error| AskError::Invalid(error.into()))?;
        if let Some(error) = extras.error {
            return Err(AskError::Refused(error));
        }
        Ok(Answer {
            energy: number(&head[12..20]),
            forces,
            stress: std::array::from_fn(|place| number(&tail[place * 8..][..8])),
            timings: extras.timings,
            conditions: extras.conditions,
            took,
        })
    }

    /// Writes a whole step into one message.
    fn write(&mut self, structure: &Structure) {
        let Structure {
            numbers,
            positions,
            cell,
            pbc,
            info,
            ..
        } = structure;
        let init = json!({
            "rs": VERSION, "numbers": numbers, "pbc": pbc, "info": info, "timings": true,
        })
        .to_string();
        let message = &mut self.message;
        message.clear();
        if init != self.last_init {
            message.extend(b"INIT        \0\0\0\0");
            message.extend(count(init.len()));
            message.extend(init.as_bytes());
            self.last_init = init;
        }
        message.extend(b"POSDATA     ");
        message.extend(transposed(*cell).into_iter().flat_map(f64::to_le_bytes));
        // The inverse is not used.
        message.extend([0; 72]);
        message.extend(count(numbers.len()));
        message.extend(positions.iter().flat_map(|number| number.to_le_bytes()));
        message.extend(b"GETFORCE    ");
    }
}

fn count(count: usize) -> [u8; 4] {
    i32::try_from(count)
        .expect("structures of two billion atoms do not fit into memory")
        .to_le_bytes()
}

fn number(bytes: &[u8]) -> f64 {
    f64::from_le_bytes(bytes.try_into().expect("a number has eight bytes"))
}
