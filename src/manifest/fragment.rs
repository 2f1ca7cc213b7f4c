//! What stands behind the `#` of a direct reference: `#sha256=…&subdirectory=python&egg=name`. Checked, in normal form.

use std::fmt;

use crate::digest::{Algorithm, Checksum};

/// Why a text is not a reference, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Invalid {
    /// What is wrong.
    pub reason: String,
    /// Advice, as a sentence.
    pub help: &'static str,
}

/// The fragment of a direct reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fragment {
    /// Where in the archive the project is.
    pub subdirectory: Option<String>,
    /// Digests that the file must have, sorted.
    pub checksums: Vec<Checksum>,
}

const KEYS: &str = "an address may end in `#` and `sha256=…` (or md5, sha1, sha224, sha384, sha512, blake2b), \
                    `subdirectory=DIR` and `egg=NAME`, with `&` between them";

impl Fragment {
    /// Parses what stands behind the first `#`.
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let mut fragment = Self::default();
        // pip takes a second `#` for a `&`.
        for part in text.split(['&', '#']).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match (key, Algorithm::named(key)) {
                // The name is the requirement's.
                ("egg", _) => {}
                ("subdirectory", _) => fragment.within(value)?,
                (_, Some(algorithm)) => fragment.expect(algorithm, value)?,
                _ => {
                    return Err(Invalid {
                        reason: format!("`{key}` is not understood behind `#`"),
                        help: KEYS,
                    });
                }
            }
        }
        fragment.checksums.sort();
        fragment.checksums.dedup();
        Ok(fragment)
    }

    fn within(&mut self, directory: &str) -> Result<(), Invalid> {
        let invalid = |reason: &str, help| Invalid {
            reason: reason.to_owned(),
            help,
        };
        let directory = directory.trim_matches('/');
        if directory.is_empty() || directory == "." {
            return Ok(());
        }
        if directory
            .split('/')
            .any(|part| matches!(part, "" | "." | ".."))
        {
            return Err(invalid(
                "its subdirectory leads out of the project",
                "write it without `..`",
            ));
        }
        if self.subdirectory.as_deref().is_some_and(|d| d != directory) {
            return Err(invalid("it names two subdirectories", "keep one of them"));
        }
        self.subdirectory = Some(directory.to_owned());
        Ok(())
    }

    fn expect(&mut self, algorithm: Algorithm, digits: &str) -> Result<(), Invalid> {
        let checksum = Checksum::new(algorithm, digits).map_err(|malformed| Invalid {
            reason: format!("its {} is not one: {malformed}", algorithm.name()),
            help: "write the whole digest, as its publisher or `sha256sum FILE` prints it",
        })?;
        let contradicts = |known: &&Checksum| known.algorithm() == algorithm && **known != checksum;
        if self.checksums.iter().any(|known| contradicts(&known)) {
            return Err(Invalid {
                reason: format!("it has two values of {}", algorithm.name()),
                help: "keep the one of the file that you trust",
            });
        }
        self.checksums.push(checksum);
        Ok(())
    }
}

/// Nothing, or `#` and the fragment.
impl fmt::Display for Fragment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = '#';
        for checksum in &self.checksums {
            write!(out, "{separator}{checksum}")?;
            separator = '&';
        }
        match &self.subdirectory {
            Some(directory) => write!(out, "{separator}subdirectory={directory}"),
            None => Ok(()),
        }
    }
}
