//! i-PI's `shm` mode: the numbers are in six segments of shared memory that i-PI creates, names and removes, for as many
//! structures as it sends at once. The caller opens them; nothing is mapped, so a segment that is truncated while in use
//! is an error and not a crash.

use std::os::fd::OwnedFd;

use crate::wire;

/// Opens a segment of this name (below `/dev/shm`) for reading and writing; returns it with its size in bytes.
pub type Open<'a> = dyn Fn(&str) -> std::io::Result<(OwnedFd, u64)> + 'a;

/// A segment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that i-PI does not use.
    #[error("the server named shared memory `{0}`; i-PI uses names like `ipi_shm_…`")]
    Name(String),
    /// It is missing, belongs to another user, or ended early.
    #[error("cannot use the server's shared memory `{name}`")]
    System {
        /// The segment.
        name: String,
        /// The cause.
        source: std::io::Error,
    },
    /// It is too small for the structures.
    #[error(
        "the server's shared memory `{name}` has {size} bytes, and its structures need {needed}"
    )]
    Small {
        /// The segment.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// The size that the structures need.
        needed: usize,
    },
}

/// One segment.
struct Segment {
    name: String,
    file: OwnedFd,
}

impl Segment {
    fn open(name: String, needed: usize, open: &Open<'_>) -> Result<Self, Error> {
        let is_of_ipi = name.strip_prefix("ipi_shm_").is_some_and(|rest| {
            !rest.is_empty()
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        if !is_of_ipi {
            return Err(Error::Name(name));
        }
        match open(&name) {
            Ok((_, size)) if size < needed as u64 => Err(Error::Small { name, size, needed }),
            Ok((file, _)) => Ok(Self { name, file }),
            Err(source) => Err(Error::System { name, source }),
        }
    }

    fn read(&self, into: &mut [u8], offset: usize) -> Result<(), Error> {
        let read = rustix::io::pread(&self.file, &mut *into, offset as u64);
        self.complete(read, into.len())
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        let written = rustix::io::pwrite(&self.file, bytes, 0);
        self.complete(written, bytes.len())
    }

    fn complete(&self, done: rustix::io::Result<usize>, expected: usize) -> Result<(), Error> {
        let source = match done {
            Ok(done) if done == expected => return Ok(()),
            Ok(_) => std::io::ErrorKind::UnexpectedEof.into(),
            Err(error) => error.into(),
        };
        let name = self.name.clone();
        Err(Error::System { name, source })
    }
}

/// The segments of one run.
pub struct Segments {
    positions: Segment,
    cells: Segment,
    energies: Segment,
    forces: Segment,
    virials: Segment,
}

impl Segments {
    /// Opens the segments, named in i-PI's order.
    pub fn open(
        names: [String; 6],
        structures: usize,
        atoms: usize,
        open: &Open<'_>,
    ) -> Result<Self, Error> {
        let [positions, cells, _inverses, energies, forces, virials] = names;
        let numbers = |count: usize| 8 * structures * count;
        Ok(Self {
            positions: Segment::open(positions, numbers(3 * atoms), open)?,
            cells: Segment::open(cells, numbers(9), open)?,
            energies: Segment::open(energies, numbers(1), open)?,
            forces: Segment::open(forces, numbers(3 * atoms), open)?,
            virials: Segment::open(virials, numbers(9), open)?,
        })
    }

    /// The cell of a structure, vectors as rows, and its positions.
    pub fn read(&self, structure: usize, positions: &mut [u8]) -> Result<[f64; 9], Error> {
        let mut cell = [0; 72];
        self.cells.read(&mut cell, 72 * structure)?;
        self.positions
            .read(positions, structure * positions.len())?;
        Ok(wire::cell(&cell))
    }

    /// Writes the results of all structures.
    pub fn write(&self, energies: &[u8], forces: &[u8], virials: &[u8]) -> Result<(), Error> {
        self.energies.write(energies)?;
        self.forces.write(forces)?;
        self.virials.write(virials)
    }
}
