//! i-PI messages as bytes: their layout, not their order.
//!
//! The server listens; the client connects and sends only replies. Every message begins with a header: 12 bytes of
//! ASCII, padded with spaces. Messages carry no total length, so after one wrong count the stream cannot be read any more.
//! Integers are int32 and numbers float64, in the machine's byte order (here little-endian); nothing is aligned.
//! Lengths are in bohr, energies in hartree (each server's own, see [`dialect`](crate::dialect)).
//!
//! | from   | header                           | what follows                                                    |
//! |--------|----------------------------------|-----------------------------------------------------------------|
//! | server | `STATUS`                         |                                                                 |
//! | client | `NEEDINIT`, `READY`, `HAVEDATA`  |                                                                 |
//! | server | `INIT`                           | i32 bead, i32 n, n bytes of text                                |
//! | server | `POSDATA`                        | f64\[9\] cell, f64\[9\] inverse, i32 atoms, f64\[3 atoms\] positions |
//! | server | `GETFORCE`                       |                                                                 |
//! | client | `FORCEREADY`                     | f64 energy, i32 atoms, f64\[3 atoms\] forces, f64\[9\] virial, i32 n, n bytes of extras |
//! | server | `EXIT`                           |                                                                 |
//!
//! i-PI 3.3 has two other forms of POSDATA and FORCEREADY. With `batch_size:N` in its INIT, N structures:
//!
//! | header       | what follows                                                                          |
//! |--------------|---------------------------------------------------------------------------------------|
//! | `POSDATA`    | i32 atoms, N times (f64\[9\] cell, f64\[9\] inverse), f64\[3 atoms N\] positions |
//! | `FORCEREADY` | f64\[N\] energies, i32 atoms, f64\[3 atoms N\] forces, f64\[9 N\] virials, N times (i32 n, n bytes) |
//!
//! and in shared memory (`mode='shm'`, which it does not announce), where the numbers lie in six segments:
//!
//! | header       | what follows                                                                          |
//! |--------------|---------------------------------------------------------------------------------------|
//! | `POSDATA`    | i32 atoms, and the first time the segments' names: 6 times (i32 n, n bytes)           |
//! | `FORCEREADY` | N times (i32 n, n bytes)                                                              |
//!
//! FHI-aims and FHI-vibes request stresses of single atoms, of the frame computed last, times the volume:
//!
//! | from   | header                           | what follows                                                    |
//! |--------|----------------------------------|-----------------------------------------------------------------|
//! | server | `STRESSES_ON`, `STRESSES_OFF`    | nothing, and no answer                                          |
//! | server | `GETSTRESSES`                    |                                                                 |
//! | client | `STRESSREADY`                    | i32 atoms, f64\[9 atoms\]                                       |
//!
//! Servers of the `Rootstock` dialect offer shared memory for the following steps, passing two file descriptors along, and
//! request further results and the model's origin between two steps:
//!
//! | from   | header                           | what follows                                                    |
//! |--------|----------------------------------|-----------------------------------------------------------------|
//! | server | `MEMORY`                         | i32 atoms; no answer                                            |
//! | server | `GETRESULTS`                     | i32 n, n bytes: the name of a result, or nothing                |
//! | server | `GETORIGIN`                      |                                                                 |
//! | client | `RESULTS`                        | i32 n, n bytes of JSON: the answer to either                    |
//!
//! - The cell has its vectors as **columns**: ax bx cx ay by cy az bz cz.
//! - The inverse is never used: i-PI sends the inverse of what is on the wire, ASE its transpose.
//! - The virial is minus the derivative of the energy by strain, not divided by the volume, and transposed like the cell.

use std::io::{self, ErrorKind, Read};

use crate::floats::Floats;

/// The longest accepted text of an INIT: the species of about fifty million atoms.
pub const LONGEST_INIT: usize = 256 << 20;

/// The longest of one that is no JSON, and names no species.
const LONGEST_PLAIN_INIT: usize = 1 << 20;

/// The most atoms of a message: their positions are 2 GB, the most that one system call transfers.
pub const MOST_ATOMS: usize = 80_000_000;

/// The longest accepted name of a segment or of a result.
const LONGEST_NAME: usize = 255;

/// The header of a server's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Asks for the client's [`Status`].
    Status,
    /// Configures the client, before the first step or at any time.
    Init,
    /// Sends the cell and the positions.
    Positions,
    /// Asks for energy, forces and virial.
    GetForce,
    /// Asks for the stresses of single atoms.
    GetStresses,
    /// Switches them on or off; this client computes them when they are requested.
    Stresses,
    /// Offers shared memory for the following steps.
    Memory,
    /// Asks for all further results of the step before.
    GetResults,
    /// Asks for the model's origin.
    GetOrigin,
    /// Ends the conversation.
    Exit,
}

/// The state of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It needs an INIT.
    NeedInit,
    /// It waits for positions.
    Ready,
    /// It has results.
    HaveData,
}

impl Status {
    /// The message.
    pub fn bytes(self) -> &'static [u8; 12] {
        match self {
            Status::NeedInit => b"NEEDINIT    ",
            Status::Ready => b"READY       ",
            Status::HaveData => b"HAVEDATA    ",
        }
    }
}

/// A message that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream ended inside it.
    #[error("the connection ended in the middle of {0}")]
    Truncated(&'static str, #[source] io::Error),
    /// An unknown header.
    #[error("the server sent `{0}`, which is not an i-PI message")]
    Unknown(String),
    /// An announced count is negative or too large.
    #[error("the server announced {what} of {count}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// The count.
        count: i64,
    },
}

/// Reads the next message's header; `None` if the server has closed the connection, as ASE does at its end.
pub fn read_header(stream: &mut impl Read) -> Result<Option<Header>, Error> {
    let mut header = [0; 12];
    let mut have = 0;
    while have < header.len() {
        match stream.read(&mut header[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => {
                return Err(Error::Truncated(
                    "a header",
                    ErrorKind::UnexpectedEof.into(),
                ));
            }
            Ok(count) => have += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if have == 0 && error.kind() == ErrorKind::ConnectionReset => {
                return Ok(None);
            }
            Err(error) => return Err(Error::Truncated("a header", error)),
        }
    }
    match header.trim_ascii_end() {
        b"STATUS" => Ok(Some(Header::Status)),
        b"INIT" => Ok(Some(Header::Init)),
        b"POSDATA" => Ok(Some(Header::Positions)),
        b"GETFORCE" => Ok(Some(Header::GetForce)),
        b"GETSTRESSES" => Ok(Some(Header::GetStresses)),
        b"STRESSES_ON" | b"STRESSES_OFF" => Ok(Some(Header::Stresses)),
        b"MEMORY" => Ok(Some(Header::Memory)),
        b"GETRESULTS" => Ok(Some(Header::GetResults)),
        b"GETORIGIN" => Ok(Some(Header::GetOrigin)),
        b"EXIT" => Ok(Some(Header::Exit)),
        unknown => Err(Error::Unknown(unknown.escape_ascii().to_string())),
    }
}

/// Reads the text of an INIT.
pub fn read_init(stream: &mut impl Read) -> Result<Vec<u8>, Error> {
    let _bead = read_count(stream, "an INIT message")?;
    let count = read_count(stream, "an INIT message")?;
    let length = usize::try_from(count)
        .ok()
        .filter(|length| *length <= LONGEST_INIT)
        .ok_or(Error::Count {
            what: "an INIT text",
            count: count.into(),
        })?;
    // Grows as the bytes arrive: an announced length alone reserves no memory.
    let mut text = Vec::new();
    let mut stream = stream.take(length as u64);
    let first = std::io::Read::by_ref(&mut stream)
        .take(1)
        .read_to_end(&mut text);
    first.map_err(|error| Error::Truncated("an INIT message", error))?;
    if length > LONGEST_PLAIN_INIT && text.first().is_some_and(|first| *first != b'{') {
        return Err(Error::Count {
            what: "an INIT text",
            count: count.into(),
        });
    }
    stream
        .read_to_end(&mut text)
        .map_err(|error| Error::Truncated("an INIT message", error))?;
    if text.len() < length {
        let end = ErrorKind::UnexpectedEof.into();
        return Err(Error::Truncated("an INIT message", end));
    }
    Ok(text)
}

/// Reads a cell, returned with its vectors as rows, and skips its inverse.
pub fn read_cell(stream: &mut impl Read) -> Result<[f64; 9], Error> {
    let mut bytes = [0; 144];
    fill(stream, &mut bytes, "a POSDATA message")?;
    Ok(cell(&bytes))
}

/// Converts a cell from its bytes on the wire; the result has the vectors as rows.
pub fn cell(bytes: &[u8]) -> [f64; 9] {
    transposed(std::array::from_fn(|index| {
        let number = &bytes[index * 8..][..8];
        f64::from_le_bytes(number.try_into().expect("a number has eight bytes"))
    }))
}

/// Reads the number of atoms in each structure of a POSDATA.
pub fn read_atoms(stream: &mut impl Read) -> Result<usize, Error> {
    atoms(read_count(stream, "a POSDATA message")?)
}

/// Reads the name of a segment of shared memory.
pub fn read_segment_name(stream: &mut impl Read) -> Result<String, Error> {
    let name = read_name(stream, "a POSDATA message", "the name of a segment")?;
    Ok(name.escape_ascii().to_string())
}

/// Reads the name of a result.
pub fn read_result_name(stream: &mut impl Read) -> Result<String, Error> {
    let name = read_name(stream, "a GETRESULTS message", "the name of a result")?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

fn read_name(
    stream: &mut impl Read,
    message: &'static str,
    what: &'static str,
) -> Result<Vec<u8>, Error> {
    let count = read_count(stream, message)?;
    let length = usize::try_from(count)
        .ok()
        .filter(|length| *length <= LONGEST_NAME)
        .ok_or(Error::Count {
            what,
            count: count.into(),
        })?;
    let mut name = vec![0; length];
    fill(stream, &mut name, message)?;
    Ok(name)
}

/// Checks a number of atoms.
fn atoms(sent: i32) -> Result<usize, Error> {
    usize::try_from(sent)
        .ok()
        .filter(|atoms| *atoms <= MOST_ATOMS)
        .ok_or(Error::Count {
            what: "a number of atoms",
            count: sent.into(),
        })
}

/// Skips the positions of a POSDATA.
pub fn skip_positions(stream: &mut impl Read, atoms: usize) -> Result<(), Error> {
    let mut left = 24 * atoms;
    let mut bytes = [0; 16 * 1024];
    while left > 0 {
        let part = left.min(bytes.len());
        fill(stream, &mut bytes[..part], "a POSDATA message")?;
        left -= part;
    }
    Ok(())
}

/// Reads positions of a POSDATA, as many as `positions` holds.
pub fn read_positions(stream: &mut impl Read, positions: &mut Floats) -> Result<(), Error> {
    fill(stream, positions.bytes_mut(), "a POSDATA message")
}

/// Appends numbers to a message.
pub fn push(message: &mut Vec<u8>, numbers: impl ExactSizeIterator<Item = f64>) {
    let start = message.len();
    message.resize(start + numbers.len() * 8, 0);
    for (bytes, number) in message[start..].chunks_exact_mut(8).zip(numbers) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
}

/// Appends numbers to a message, each multiplied by `factor`.
#[allow(clippy::float_cmp, reason = "only a factor of exactly 1 is a copy")]
pub fn push_scaled(message: &mut Vec<u8>, numbers: &Floats, factor: f64) {
    if factor == 1.0 {
        message.extend_from_slice(numbers.bytes());
    } else {
        push(message, numbers.iter().map(|number| number * factor));
    }
}

/// Appends a count to a message.
pub fn push_count(message: &mut Vec<u8>, count: usize) {
    let count = i32::try_from(count)
        .expect("the server counted the atoms in an int32, and extras are short");
    message.extend_from_slice(&count.to_le_bytes());
}

/// Appends a text to a message, after its length.
pub fn push_text(message: &mut Vec<u8>, text: &[u8]) {
    push_count(message, text.len());
    message.extend_from_slice(text);
}

fn read_count(stream: &mut impl Read, message: &'static str) -> Result<i32, Error> {
    let mut bytes = [0; 4];
    fill(stream, &mut bytes, message)?;
    Ok(i32::from_le_bytes(bytes))
}

fn fill(stream: &mut impl Read, bytes: &mut [u8], message: &'static str) -> Result<(), Error> {
    stream
        .read_exact(bytes)
        .map_err(|error| Error::Truncated(message, error))
}

/// Whether a write failed because the other side has closed the connection.
pub(crate) fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    )
}

/// Transposes a 3x3 matrix.
pub fn transposed(matrix: [f64; 9]) -> [f64; 9] {
    std::array::from_fn(|place| matrix[place % 3 * 3 + place / 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_header_is_named_in_the_error() {
        let read = |bytes: &[u8]| read_header(&mut &bytes[..]);
        assert_eq!(read(b"STATUS      ").unwrap(), Some(Header::Status));
        assert_eq!(read(b"").unwrap(), None);
        assert!(matches!(
            read(b"STATUS"),
            Err(Error::Truncated("a header", _))
        ));
        assert!(
            matches!(read(b"status\x00     "), Err(Error::Unknown(sent)) if sent == "status\\x00")
        );
    }

    #[test]
    fn an_announced_length_reserves_no_memory() {
        let mut bytes = vec![0; 4];
        bytes.extend(200_000_000_i32.to_le_bytes());
        assert!(matches!(
            read_init(&mut &bytes[..]),
            Err(Error::Truncated(..))
        ));
        bytes[4..].copy_from_slice(&i32::MAX.to_le_bytes());
        assert!(matches!(
            read_init(&mut &bytes[..]),
            Err(Error::Count { .. })
        ));
        bytes[4..].copy_from_slice(&(-1_i32).to_le_bytes());
        assert!(matches!(
            read_init(&mut &bytes[..]),
            Err(Error::Count { count: -1, .. })
        ));
    }
}
