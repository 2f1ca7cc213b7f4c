//! Digests that others give of a file, in the algorithms that addresses (PEP 440, PEP 508) and indexes (PEP 503, PEP 691)
//! name: parsed, printed, compared with the file's bytes. What is locked is always a sha256.

use std::fmt::{self, Write as _};
use std::io::{self, Read};

use blake2::Blake2b512;
use md5::Md5;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Sha224, Sha256, Sha384, Sha512};

/// A hash algorithm by the name that Python's `hashlib` has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// `BLAKE2b` with 64 bytes.
    Blake2b,
}

const ALL: [Algorithm; 7] = [
    Algorithm::Md5,
    Algorithm::Sha1,
    Algorithm::Sha224,
    Algorithm::Sha256,
    Algorithm::Sha384,
    Algorithm::Sha512,
    Algorithm::Blake2b,
];

/// What stands in an address or an index is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {} has {} hexadecimal digits", algorithm.name(), algorithm.digits())]
pub struct Malformed {
    algorithm: Algorithm,
}

impl Algorithm {
    /// The algorithm of this name, in whatever case.
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// Its name: `sha256`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "md5",
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha224 => "sha224",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
            Algorithm::Blake2b => "blake2b",
        }
    }

    fn digits(self) -> usize {
        2 * self.hasher().output_size()
    }

    fn hasher(self) -> Box<dyn DynDigest> {
        match self {
            Algorithm::Md5 => Box::new(Md5::default()),
            Algorithm::Sha1 => Box::new(Sha1::default()),
            Algorithm::Sha224 => Box::new(Sha224::default()),
            Algorithm::Sha256 => Box::new(Sha256::default()),
            Algorithm::Sha384 => Box::new(Sha384::default()),
            Algorithm::Sha512 => Box::new(Sha512::default()),
            Algorithm::Blake2b => Box::new(Blake2b512::default()),
        }
    }
}

/// A digest with its algorithm; prints as `sha256=<hexadecimal digits>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum {
    algorithm: Algorithm,
    digits: String,
}

impl Checksum {
    /// From an algorithm and hexadecimal digits of either case.
    pub fn new(algorithm: Algorithm, digits: &str) -> Result<Self, Malformed> {
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits.len() != algorithm.digits() || !hexadecimal {
            return Err(Malformed { algorithm });
        }
        Ok(Self {
            algorithm,
            digits: digits.to_ascii_lowercase(),
        })
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its hexadecimal digits, in lower case.
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// The sha256 that it is, if it is one.
    pub fn sha256(&self) -> Option<super::Digest> {
        (self.algorithm == Algorithm::Sha256).then(|| self.digits.parse().ok())?
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}", self.algorithm.name(), self.digits)
    }
}

/// A file has another digest than the one that was given of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("has the {} {got}, but {} is expected", expected.algorithm.name(), expected.digits)]
pub struct Mismatch {
    /// The digest that was given.
    pub expected: Checksum,
    /// The digits of the file's own.
    pub got: String,
}

/// Compares all that a reader still yields with these digests; the first that differs, if one does.
pub fn compare(mut reader: impl Read, expected: &[Checksum]) -> io::Result<Result<(), Mismatch>> {
    let mut hashers: Vec<_> = expected
        .iter()
        .map(|checksum| (checksum, checksum.algorithm.hasher()))
        .collect();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                for (_, hasher) in &mut hashers {
                    hasher.update(&buffer[..n]);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    for (expected, hasher) in hashers {
        let mut got = String::new();
        for byte in hasher.finalize() {
            let _ = write!(got, "{byte:02x}");
        }
        if got != expected.digits {
            return Ok(Err(Mismatch {
                expected: expected.clone(),
                got,
            }));
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the bytes `abc`, as `hashlib` computes them.
    const ABC: [(&str, &str); 4] = [
        ("md5", "900150983cd24fb0d6963f7d28e17f72"),
        ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "SHA224",
            "23097D223405D8228642A477BDA255B32AADBCE4BDA0B3F7E36C9DA7",
        ),
        (
            "sha256",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
    ];

    #[test]
    fn digests_of_every_algorithm_are_compared() {
        let checksum = |name: &str, digits: &str| {
            Checksum::new(Algorithm::named(name).unwrap(), digits).unwrap()
        };
        let all: Vec<Checksum> = ABC
            .iter()
            .map(|(name, text)| checksum(name, text))
            .collect();
        assert_eq!(compare(&b"abc"[..], &all).unwrap(), Ok(()));
        for algorithm in ALL {
            let zeros = Checksum::new(algorithm, &"0".repeat(algorithm.digits())).unwrap();
            let mismatch = compare(&b"abc"[..], std::slice::from_ref(&zeros)).unwrap();
            assert_eq!(mismatch.unwrap_err().expected, zeros);
        }
    }

    #[test]
    fn what_is_too_short_is_no_digest() {
        let error = Checksum::new(Algorithm::Sha512, "12").unwrap_err();
        assert_eq!(error.to_string(), "a sha512 has 128 hexadecimal digits");
        assert!(Checksum::new(Algorithm::Md5, &"g".repeat(32)).is_err());
        assert_eq!(Algorithm::named("shake_128"), None);
    }
}
