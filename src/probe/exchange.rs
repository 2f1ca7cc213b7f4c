//! What an exchange costs where nothing is computed: the messages of a step over a socket pair, Rust at both ends, the
//! worker's own session at one of them. Needs no environment.

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use super::latency::median;
use super::server::{self, Server};
use super::structure::Structure;
use crate::process::threads::{self, NoThread};
use ipi_client::Floats;
use ipi_client::{Calculator, Failure, Frame, Results, Session, System};

/// The median of so many steps, in microseconds.
pub fn measure(structure: &Structure, steps: u32) -> Result<f64, super::Error> {
    let (ours, theirs) = UnixStream::pair().map_err(super::Error::Socket)?;
    let took = std::thread::scope(|scope| {
        let serve = move || {
            Session::new(Buffered::new(theirs)?)
                .serve(&mut Zero(None))
                .map_err(io::Error::other)
        };
        threads::spawn(scope, serve)?;
        let mut server = Server::new(ours);
        Ok::<_, NoThread>(
            (0..steps)
                .map(|_| Ok(1e6 * server.ask(structure)?.took.as_secs_f64()))
                .collect::<Result<Vec<f64>, server::Error>>(),
        )
    })?;
    match took {
        Ok(took) => Ok(median(took)),
        Err(server::Error::Nonsense(error)) => Err(super::Error::Answer(error)),
        Err(server::Error::Refused(said)) => Err(super::Error::Refused { said }),
        Err(server::Error::Gone) => Err(super::Error::Answer(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// Reads like a worker's connection: what has come, at once.
struct Buffered {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Buffered {
    fn new(stream: UnixStream) -> io::Result<Self> {
        Ok(Self {
            reader: BufReader::with_capacity(64 * 1024, stream.try_clone()?),
            writer: stream,
        })
    }
}

impl Read for Buffered {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reader.read(into)
    }
}

impl Write for Buffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Computes nothing; how many atoms it was told.
struct Zero(Option<usize>);

impl Calculator for Zero {
    fn atoms(&self) -> Option<usize> {
        self.0
    }

    fn set_system(&mut self, system: System) -> Result<(), Failure> {
        self.0 = Some(system.numbers.len());
        Ok(())
    }

    fn calculate(&mut self, frames: &[Frame], results: &mut [Results]) -> Result<(), Failure> {
        for (frame, results) in frames.iter().zip(results) {
            results.forces.resize(frame.positions.len());
        }
        Ok(())
    }

    fn stresses(&mut self, frame: &Frame, stresses: &mut Floats) -> Result<(), Failure> {
        stresses.resize(9 * frame.atoms());
        Ok(())
    }

    fn warn(&mut self, _: &str) {}
}
