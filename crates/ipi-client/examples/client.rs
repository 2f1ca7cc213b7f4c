//! A client that computes harmonic wells, E = k/2 Σ|x|², for any server that listens at a TCP port.
//!
//! ```text
//! cargo run -p ipi-client --example server 31415 &
//! cargo run -p ipi-client --example client 127.0.0.1:31415 2
//! ```
//!
//! Or in place of i-PI's own driver: `<ffsocket mode='inet'><address>127.0.0.1</address><port>31415</port></ffsocket>`.

use std::error::Error;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;

use ipi_client::{Calculator, Failure, Frame, Results, Session, System};

/// In eV/Å².
const K: f64 = 0.1;

struct Wells {
    atoms: usize,
}

impl Calculator for Wells {
    fn atoms(&self) -> Option<usize> {
        Some(self.atoms)
    }

    fn set_system(&mut self, system: System) -> Result<(), Failure> {
        self.atoms = system.numbers.len();
        Ok(())
    }

    fn calculate(&mut self, frames: &[Frame], results: &mut [Results]) -> Result<(), Failure> {
        for (frame, results) in frames.iter().zip(results) {
            results.energy = frame.positions.iter().map(|x| K / 2.0 * x * x).sum();
            results.forces = frame.positions.iter().map(|x| -K * x).collect();
            results.virial = Some([0.0; 9]);
        }
        Ok(())
    }

    fn warn(&mut self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// A socket whose reads are buffered.
struct Connection {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Read for Connection {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.reader.read(bytes)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, atoms] = &arguments[..] else {
        return Err("usage: client HOST:PORT ATOMS".into());
    };
    let writer = TcpStream::connect(address)?;
    writer.set_nodelay(true)?;
    let reader = BufReader::new(writer.try_clone()?);
    let atoms = atoms.parse()?;
    Session::new(Connection { reader, writer }).serve(&mut Wells { atoms })?;
    Ok(())
}
