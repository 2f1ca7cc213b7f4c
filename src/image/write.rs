//! One file of an image, from where it is to where it is to be, digested on the way.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::Error;
use super::inventory::{Kind, Piece};
use crate::digest::{Digest, Hashing};
use crate::files::{self, Context as _};

/// How a file that is written must turn out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) sha256: Digest,
    pub(super) mode: u32,
}

/// Why a file is not there.
pub(super) enum Failed {
    /// It cannot be read.
    Read(io::Error),
    /// It cannot be written.
    Write(files::Error),
    /// Its contents are not what they should be.
    Content,
}

/// Writes a new file from what a reader yields, with the directories it is in; what is there must be as wanted. The answer is the number of its
/// bytes.
pub(super) fn file(from: &mut dyn Read, to: &Path, wanted: Wanted) -> Result<u64, Failed> {
    let out = match files::create_new(to, wanted.mode) {
        Err(error) if error.is_missing() => {
            let above = to.parent().unwrap_or(to);
            files::create_directories(above).map_err(Failed::Write)?;
            files::create_new(to, wanted.mode)
        }
        out => out,
    };
    let mut out = Hashing::new(out.map_err(Failed::Write)?);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        // What cannot be read is the source's fault, what cannot be written is the disk's.
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                let written = out.write_all(&buffer[..n]).context("write", to);
                written.map_err(Failed::Write)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failed::Read(error)),
        }
    }
    let (sha256, bytes) = out.finish();
    if sha256 == wanted.sha256 {
        Ok(bytes)
    } else {
        Err(Failed::Content)
    }
}

/// Makes a link with the directories it is in.
pub(super) fn link(target: &str, to: &Path) -> files::Result<()> {
    let link = || files::symlink(Path::new(target), to);
    match link() {
        Err(error) if error.is_missing() => {
            files::create_directories(to.parent().unwrap_or(to))?;
            link()
        }
        made => made,
    }
}

/// Whether a link of a root reads as it should.
pub(super) fn check_link(piece: &Piece) -> Result<(), Error> {
    let Kind::Link(target) = &piece.kind else {
        return Ok(());
    };
    if files::link_target(&piece.from)? == Some(PathBuf::from(target)) {
        Ok(())
    } else {
        Err(changed(piece))
    }
}

/// A file of a root, opened. One that is gone is damage, and one that may not be read is an error of its own.
pub(super) fn open(piece: &Piece) -> Result<files::File, Error> {
    match files::open(&piece.from) {
        Err(error) if error.is_missing() => Err(Error::damaged(
            piece.from.clone(),
            "is missing",
            &piece.owner,
        )),
        file => Ok(file?),
    }
}

/// The error about a file that has other contents than it was built with.
pub(super) fn changed(piece: &Piece) -> Error {
    Error::damaged(
        piece.from.clone(),
        "has changed since it was built",
        &piece.owner,
    )
}
