//! An image as one file, `.tar.zst`: the order, the modes and the number of threads that compress have no part in its bytes.

use std::io::{self, Read, Write};
use std::path::Path;

use rayon::prelude::*;

use super::inventory::{Inventory, Kind, Piece};
use super::{Error, Event, Watch, write};
use crate::digest::{Digest, Hashing};
use crate::files::{self, Beside, Context as _};
use crate::store::tree::Item;

/// zstd's own default: higher levels take longer to make and save little of what wheels have.
const LEVEL: i32 = 3;

/// Files up to this size are read ahead, in parallel.
const SMALL: u64 = 1 << 20;

/// How many bytes are read ahead at once.
const AHEAD: u64 = 32 << 20;

/// A file that was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packed {
    /// Its digest.
    pub(crate) sha256: Digest,
    /// Its size in bytes.
    pub(crate) size: u64,
}

type Builder<'a> = ::tar::Builder<zstd::Encoder<'a, Hashing<&'a files::File>>>;

/// Writes the image; every file is compared with its list on the way, and the image gets its name when it is whole. Uses the
/// rayon pool it is called in.
pub(crate) fn pack(
    inventory: &Inventory,
    to: &Path,
    jobs: usize,
    watch: Watch,
) -> Result<Packed, Error> {
    let totals = &inventory.image.totals;
    watch(Event::Begin(totals.files, totals.bytes));
    let beside = Beside::new(to)?;
    let packed = {
        let mut builder = begin(beside.file(), jobs).context("write", to)?;
        let (name, text) = inventory.beginning();
        let header = header(text.len() as u64, Item::mode(false));
        append(&mut builder, header, name, text.as_bytes()).context("write", to)?;
        for pieces in chunks(&inventory.pieces) {
            let read = pieces.par_iter().map(read_ahead);
            let read = read.collect::<Result<Vec<_>, Error>>()?;
            for (piece, contents) in pieces.iter().zip(read) {
                add(&mut builder, piece, contents, to, watch)?;
            }
        }
        finish(builder).context("write", to)?
    };
    beside.publish()?;
    watch(Event::End);
    Ok(packed)
}

fn begin(file: &files::File, jobs: usize) -> io::Result<Builder<'_>> {
    let mut encoder = zstd::Encoder::new(Hashing::new(file), LEVEL)?;
    encoder.include_checksum(true)?;
    // With one thread or more the bytes are the same; without any they would be others.
    let threads = u32::try_from(jobs.max(1)).unwrap_or(1);
    encoder.multithread(threads)?;
    Ok(::tar::Builder::new(encoder))
}

fn finish(builder: Builder) -> io::Result<Packed> {
    let mut hashing = builder.into_inner()?.finish()?;
    hashing.flush()?;
    let (sha256, size) = hashing.finish();
    Ok(Packed { sha256, size })
}

/// The header of a member: nothing in it is about this machine.
fn header(size: u64, mode: u32) -> ::tar::Header {
    let mut header = ::tar::Header::new_gnu();
    header.set_entry_type(::tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn append(
    builder: &mut Builder,
    mut header: ::tar::Header,
    path: &str,
    data: impl Read,
) -> io::Result<()> {
    builder.append_data(&mut header, path, data)
}

/// Runs of pieces whose small files together are read ahead.
fn chunks(pieces: &[Piece]) -> impl Iterator<Item = &[Piece]> {
    let mut bytes = 0;
    pieces.chunk_by(move |piece, _| {
        bytes += piece.small().unwrap_or(0);
        let go_on = bytes < AHEAD;
        if !go_on {
            bytes = 0;
        }
        go_on
    })
}

/// The bytes of a small file, compared with its list.
fn read_ahead(piece: &Piece) -> Result<Option<Vec<u8>>, Error> {
    if piece.small().is_none() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    // One that has grown meanwhile differs anyway.
    let limited = write::open(piece)?.take(SMALL + 1);
    { limited }
        .read_to_end(&mut bytes)
        .context("read", &piece.from)?;
    match &piece.kind {
        Kind::File { sha256, .. } if Digest::of(&bytes) == *sha256 => Ok(Some(bytes)),
        _ => Err(write::changed(piece)),
    }
}

fn add(
    builder: &mut Builder,
    piece: &Piece,
    contents: Option<Vec<u8>>,
    to: &Path,
    watch: Watch,
) -> Result<(), Error> {
    let (sha256, executable, size) = match &piece.kind {
        Kind::Link(target) => {
            write::check_link(piece)?;
            let mut header = header(0, 0o777);
            header.set_entry_type(::tar::EntryType::Symlink);
            let added = builder.append_link(&mut header, &piece.path, target);
            return Ok(added.context("write", to)?);
        }
        Kind::File {
            sha256,
            executable,
            size,
        } => (*sha256, *executable, *size),
    };
    let mode = Item::mode(executable);
    if let Some(bytes) = contents {
        let header = header(bytes.len() as u64, mode);
        append(builder, header, &piece.path, &bytes[..]).context("write", to)?;
        watch(Event::Bytes(bytes.len() as u64));
        return Ok(());
    }
    let mut reading = Reading {
        file: write::open(piece)?,
        hashing: Hashing::new(io::sink()),
        failed: None,
        watch,
    };
    let added = append(builder, header(size, mode), &piece.path, &mut reading);
    if let Some(error) = reading.failed {
        return Err(error).context("read", &piece.from)?;
    }
    added.context("write", to)?;
    if reading.hashing.finish() == (sha256, size) {
        Ok(())
    } else {
        Err(write::changed(piece))
    }
}

/// A large file on its way into an archive.
struct Reading<'a> {
    file: files::File,
    hashing: Hashing<io::Sink>,
    /// Why it could not be read: the archive's errors do not say whether reading or writing failed.
    failed: Option<io::Error>,
    watch: Watch<'a>,
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(n) => {
                self.hashing.write_all(&buffer[..n])?;
                (self.watch)(Event::Bytes(n as u64));
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

impl Piece {
    /// The size of a file that is read ahead.
    fn small(&self) -> Option<u64> {
        match self.kind {
            Kind::File { size, .. } if size <= SMALL => Some(size),
            _ => None,
        }
    }
}
