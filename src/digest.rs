//! SHA-256 as a value: of bytes, of files while they are read, and of canonical texts.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

mod checksum;

pub use checksum::{Algorithm, Checksum, Malformed, Mismatch, compare};

/// A SHA-256 digest; prints as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct Digest([u8; 32]);

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sha256 digest (64 hexadecimal digits)")]
pub struct Invalid(pub String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// The digest of all that a reader still yields, and how many bytes that was.
    pub fn of_reader(mut reader: impl Read) -> io::Result<(Self, u64)> {
        let mut hashing = Hashing::new(io::sink());
        // Most files are small, and clearing a large buffer takes longer than reading them.
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(hashing.finish()),
                Ok(n) => {
                    hashing.write_all(&buffer[..n])?;
                    if n == buffer.len() {
                        // Large enough that system calls vanish beside the hashing.
                        buffer.resize(256 * 1024, 0);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The first `n` hexadecimal digits, for people and for names.
    pub fn short(&self, n: usize) -> String {
        self.digits()[..n].to_owned()
    }

    /// All 64 hexadecimal digits.
    pub fn digits(&self) -> String {
        base16ct::lower::encode_string(&self.0)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From 32 raw bytes, as wheels' `RECORD` files carry them in base64.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// A writer that digests what passes through it.
pub struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    /// Digests everything written to `inner` from here on.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            bytes: 0,
        }
    }

    /// The digest of what was written, and how many bytes that was.
    pub fn finish(self) -> (Digest, u64) {
        (Digest(self.hasher.finalize().into()), self.bytes)
    }

    /// Goes on with another writer; what has passed so far is kept.
    pub fn with_writer<V: Write>(self, inner: V) -> Hashing<V> {
        Hashing {
            inner,
            hasher: self.hasher,
            bytes: self.bytes,
        }
    }

    /// How many bytes have passed so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.digits())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256:{self}")
    }
}

impl FromStr for Digest {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut bytes = [0; 32];
        match base16ct::mixed::decode(text, &mut bytes) {
            Ok(decoded) if decoded.len() == 32 => Ok(Self(bytes)),
            _ => Err(Invalid(text.to_owned())),
        }
    }
}

impl TryFrom<Cow<'_, str>> for Digest {
    type Error = Invalid;
    fn try_from(text: Cow<'_, str>) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of("").to_string(), empty);
        assert_eq!(empty.parse::<Digest>().unwrap(), Digest::of(""));
        assert_eq!(Digest::of_reader(&b""[..]).unwrap(), (Digest::of(""), 0));
    }

    #[test]
    fn what_is_not_64_digits_is_refused() {
        for bad in [
            "",
            "e3b0",
            &"g".repeat(64),
            &("0x".to_owned() + &"1".repeat(64)),
            &("0x".to_owned() + &"1".repeat(62)),
            &"+1".repeat(32),
            &"é".repeat(32),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
