//! The client side of the i-PI protocol: a program that computes energies, forces and stresses answers a server that
//! moves atoms. Servers are i-PI, ASE's `SocketIOCalculator`, CP2K, FHI-aims and FHI-vibes, and rootstock's own clients.
//!
//! A [`Session`] runs the conversation over any `Read + Write`; a [`Calculator`] computes. The crate opens no socket and
//! no file and starts no thread, so both ends of a connection can be tested in memory.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::os::unix::net::UnixStream;
//!
//! use ipi_client::{Calculator, End, Failure, Frame, Results, Session, System};
//!
//! /// Independent atoms in the well E = k/2 |x|².
//! struct Well {
//!     k: f64,
//!     atoms: usize,
//! }
//!
//! impl Calculator for Well {
//!     fn atoms(&self) -> Option<usize> {
//!         Some(self.atoms)
//!     }
//!
//!     fn set_system(&mut self, system: System) -> Result<(), Failure> {
//!         self.atoms = system.numbers.len();
//!         Ok(())
//!     }
//!
//!     fn calculate(&mut self, frames: &[Frame], results: &mut [Results]) -> Result<(), Failure> {
//!         for (frame, results) in frames.iter().zip(results) {
//!             results.energy = frame.positions.iter().map(|x| 0.5 * self.k * x * x).sum();
//!             results.forces = frame.positions.iter().map(|x| -self.k * x).collect();
//!             results.virial = Some([0.0; 9]);
//!         }
//!         Ok(())
//!     }
//!
//!     fn warn(&mut self, text: &str) {
//!         eprintln!("{text}");
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut server, client) = UnixStream::pair()?;
//! // What a server sends for one atom at x = 1 bohr: positions, a request for forces, and the end.
//! server.write_all(b"POSDATA     ")?;
//! server.write_all(&[0; 144])?;
//! server.write_all(&1_i32.to_le_bytes())?;
//! server.write_all(&[1.0, 0.0, 0.0].map(f64::to_le_bytes).concat())?;
//! server.write_all(b"GETFORCE    EXIT        ")?;
//!
//! let end = Session::new(client).serve(&mut Well { k: 1.0, atoms: 1 })?;
//!
//! assert_eq!(end, End::Exit);
//! let mut answer = [0; 24];
//! server.read_exact(&mut answer)?;
//! assert_eq!(&answer[..12], b"FORCEREADY  ");
//! let energy = f64::from_le_bytes(answer[12..20].try_into()?);
//! assert!(energy > 0.0); // in hartree: k/2 · (1 bohr)²
//! # Ok(())
//! # }
//! ```
//!
//! # Units and shapes
//!
//! A calculator sees ASE's units, ångström and electronvolt; the session converts with the constants of the server at
//! the other end ([`dialect`]).
//!
//! | value                  | shape                        | unit  |
//! |------------------------|------------------------------|-------|
//! | [`Frame::cell`]        | 3x3, vectors as rows         | Å     |
//! | [`Frame::positions`]   | x, y, z of each atom         | Å     |
//! | [`Results::energy`]    | one number                   | eV    |
//! | [`Results::forces`]    | x, y, z of each atom         | eV/Å  |
//! | [`Results::virial`]    | 3x3 by rows, -dE/dstrain     | eV    |
//! | [`Results::stress`]    | 3x3 by rows, ASE's sign      | eV/Å³ |
//! | [`Calculator::stresses`] | 3x3 by rows for each atom, times the volume | eV |
//!
//! # Errors
//!
//! A failed computation never becomes a number. Servers that read JSON get NaN and the error's text in the extras, and
//! may go on; for all others the session ends with [`Error::Failed`], and closing the connection is up to the caller. A
//! message that cannot be read, a wrong number of atoms or an unsupported INIT end the session with an error that names
//! which. An announced length alone never reserves memory. Nothing here panics on what a server sends.
//!
//! # Modules
//!
//! [`wire`] has the layout of messages, [`dialect`] the kinds of servers and their units, [`segments`] i-PI's shared memory,
//! [`step`] the data of a step, [`floats`] its numbers, [`calculator`] what computes, [`session`] the conversation,
//! [`outcome`] its end. [`species`] reads species that a user writes on a command line, since most servers send none.
//!
//! # Sources
//!
//! The protocol is that of [i-PI](https://docs.ipi-code.org), as its sockets interface documents it and as i-PI 3.3's and
//! [ASE](https://ase-lib.org)'s `ase.calculators.socketio` implement it. The tests replay
//! conversations recorded from both.

mod answer;
pub mod calculator;
pub mod dialect;
pub mod floats;
pub mod outcome;
pub mod segments;
pub mod session;
pub mod species;
pub mod step;
pub mod wire;

pub use calculator::{Calculator, Exception, Failure};
pub use dialect::{Dialect, Units};
pub use floats::Floats;
pub use outcome::{End, Error};
pub use session::Session;
pub use step::{Frame, Results, System};
