//! The server's side of our own dialect: an INIT when the atoms change, then one write and one answer a step. Knows no
//! process.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::structure::Structure;
use ipi_client::Floats;
use ipi_client::wire::transposed;

/// What a worker answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// In eV.
    pub energy: f64,
    /// x, y, z of every atom, in eV/Å.
    pub forces: Floats,
    /// By rows, in eV/Å³; NaN where there is none.
    pub stress: [f64; 9],
    /// Where the time went, if it says so.
    pub timings: Option<Timings>,
    /// From the first byte of the question to the last of the answer.
    pub took: Duration,
}

/// The part of an answer's extras that is looked at.
#[derive(Debug, Deserialize)]
struct Extras {
    error: Option<String>,
    timings: Option<Timings>,
}

/// Where the time of a step went, in seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Timings {
    /// In the calculator's `calculate()`.
    pub compute: f64,
    /// In the launcher, from the frame to the results: the calculator, and the hand-over to its Python and back.
    pub step: f64,
}

/// There is no answer.
#[derive(Debug)]
pub enum Error {
    /// The connection has ended.
    Gone,
    /// Something else than an answer.
    Nonsense(io::Error),
    /// The calculation failed: the traceback, or what else is known. The worker serves on.
    Refused(String),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                Error::Gone
            }
            _ => Error::Nonsense(error),
        }
    }
}

/// One end of a connection.
pub struct Server<S> {
    stream: S,
    told: String,
    message: Vec<u8>,
}

impl<S: Read + Write> Server<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            told: String::new(),
            message: Vec::new(),
        }
    }

    /// Has a structure computed.
    pub fn ask(&mut self, structure: &Structure) -> Result<Answer, Error> {
        self.write(structure);
        let begin = Instant::now();
        self.stream.write_all(&self.message)?;
        let mut head = [0; 24];
        self.stream.read_exact(&mut head)?;
        let atoms = i32::from_le_bytes(head[20..].try_into().expect("four bytes are left"));
        if head[..12] != *b"FORCEREADY  " || usize::try_from(atoms) != Ok(structure.atoms()) {
            let said = head.escape_ascii().to_string();
            let error = io::Error::new(ErrorKind::InvalidData, format!("it began with `{said}`"));
            return Err(Error::Nonsense(error));
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
            serde_json::from_slice(&extras).map_err(|error| Error::Nonsense(error.into()))?;
        if let Some(error) = extras.error {
            return Err(Error::Refused(error));
        }
        Ok(Answer {
            energy: number(&head[12..20]),
            forces,
            stress: std::array::from_fn(|place| number(&tail[place * 8..][..8])),
            timings: extras.timings,
            took,
        })
    }

    /// All of a step in one message.
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
            "rs": super::VERSION, "numbers": numbers, "pbc": pbc, "info": info, "timings": true,
        })
        .to_string();
        let message = &mut self.message;
        message.clear();
        if init != self.told {
            message.extend(b"INIT        \0\0\0\0");
            message.extend(count(init.len()));
            message.extend(init.as_bytes());
            self.told = init;
        }
        message.extend(b"POSDATA     ");
        message.extend(transposed(*cell).into_iter().flat_map(f64::to_le_bytes));
        // Nobody reads the inverse.
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
