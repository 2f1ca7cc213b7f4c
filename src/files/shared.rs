//! Reading one open file from many places at once. Writing to it is not possible.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{Context, Result, open};

/// An open file that many threads read at once: clones share it, and each has a position of its own.
#[derive(Debug, Clone)]
pub(crate) struct SharedFile {
    file: Arc<File>,
    size: u64,
    position: u64,
}

impl SharedFile {
    /// Opens a file for reading.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let size = file.metadata().context("examine", path)?.len();
        Ok(Self {
            file: Arc::new(file),
            size,
            position: 0,
        })
    }
}

impl Read for SharedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buffer, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for SharedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::End(by) => (self.size, by),
            SeekFrom::Current(by) => (self.position, by),
        };
        self.position = from
            .checked_add_signed(by)
            .ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_have_their_own_position() {
        let temporary = tempfile::NamedTempFile::new().unwrap();
        super::super::write(temporary.path(), b"0123456789").unwrap();
        let mut one = SharedFile::open(temporary.path()).unwrap();
        let mut two = one.clone();
        let mut text = String::new();
        one.seek(SeekFrom::End(-3)).unwrap();
        two.seek(SeekFrom::Start(8)).unwrap();
        one.read_to_string(&mut text).unwrap();
        two.read_to_string(&mut text).unwrap();
        assert_eq!(text, "78989");
        assert_eq!(two.seek(SeekFrom::Current(-4)).unwrap(), 6);
        assert!(one.seek(SeekFrom::End(-11)).is_err());
    }
}
