//! The archive in an image, decompressed and digested as it is read, and how much of it may be read until its next member: names
//! that do not fit into a header come into memory whole, and a few bytes of zstd can hold gigabytes of one.

use std::cell::Cell;
use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;
use std::rc::Rc;

use crate::digest::{Digest, Hashing};
use crate::files::{self, Context as _};

/// What may stand between the contents of two members: headers, names, padding.
const BETWEEN: u64 = 1 << 20;

/// A file, digested as it is read.
pub(super) struct Source {
    file: files::File,
    hashing: Hashing<io::Sink>,
}

impl Source {
    /// The digest of all that was read.
    pub(super) fn finish(self) -> (Digest, u64) {
        self.hashing.finish()
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.hashing.write_all(&buffer[..n])?;
        Ok(n)
    }
}

pub(super) type Unmetered = zstd::Decoder<'static, BufReader<Source>>;
pub(super) type Decoder = Metered<Unmetered>;

/// The archive in this file, and what limits the reading of it.
pub(super) fn open(path: &Path) -> files::Result<(::tar::Archive<Decoder>, Meter)> {
    let file = files::open(path)?;
    let source = Source {
        file,
        hashing: Hashing::new(io::sink()),
    };
    let decoder = zstd::Decoder::new(source).context("read", path)?;
    let meter = Meter::default();
    let metered = Metered {
        from: decoder,
        meter: meter.clone(),
    };
    Ok((::tar::Archive::new(metered), meter))
}

/// How many bytes may still be read.
#[derive(Debug, Clone)]
pub(super) struct Meter(Rc<Cell<u64>>);

impl Default for Meter {
    fn default() -> Self {
        Self(Rc::new(Cell::new(BETWEEN)))
    }
}

impl Meter {
    /// The contents of a member of this size may be read, too.
    pub(super) fn allow(&self, size: u64) {
        self.0.set(self.0.get().saturating_add(size));
    }

    /// Does this with what may stand between two members. What was not read of the one before counts as well.
    pub(super) fn between<T>(&self, next: impl FnOnce() -> T) -> T {
        self.0.set(BETWEEN);
        next()
    }
}

/// A reader that fails where more is read.
pub(super) struct Metered<R> {
    pub(super) from: R,
    pub(super) meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.meter.0.get()).unwrap_or(usize::MAX);
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other(
                "a name of its members is longer than 1 MiB",
            ));
        }
        let most = buffer.len().min(left);
        let count = self.from.read(&mut buffer[..most])?;
        self.meter.0.set((left - count) as u64);
        Ok(count)
    }
}
