//! The one way in which files are read. What lies at a path may have been put there by another user, or by a pull request:
//! so nothing is waited for (a FIFO), only regular files are read (no device), whole ones only up to a limit, and what a
//! project names only where it lies in the project, links resolved.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{Context, Result, real_path};

/// No file that is read whole is larger: neither lists of files nor logs of processes come near.
const MOST: u64 = 64 << 20;
/// Nor is one that people write: a manifest, a lock, an environment's source.
const MOST_WRITTEN: u64 = 8 << 20;

/// Opens a regular file, or a directory, for reading; waits for nothing.
pub(crate) fn open(path: &Path) -> Result<File> {
    try_open(path).context("open", path)
}

/// As [`open`], for those in this room that give the context.
pub(super) fn try_open(path: &Path) -> io::Result<File> {
    try_open_examined(path).map(|(file, _)| file)
}

/// As [`open`], with what had to be examined for that.
pub(crate) fn open_examined(path: &Path) -> Result<(File, Metadata)> {
    try_open_examined(path).context("open", path)
}

fn try_open_examined(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).expect("they are few bits");
    // A socket cannot be opened at all; its kind explains more than the system's error.
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) => {
            let is_socket = std::fs::metadata(path).is_ok_and(|at| at.file_type().is_socket());
            return Err(if is_socket {
                no_regular_file("a socket")
            } else {
                error
            });
        }
    };
    let found = file.metadata()?;
    let kind = found.file_type();
    if kind.is_file() || kind.is_dir() {
        return Ok((file, found));
    }
    let what = if kind.is_fifo() { "a FIFO" } else { "a device" };
    Err(no_regular_file(what))
}

fn no_regular_file(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is {what}, not a regular file"),
    )
}

/// Makes sure that this leads to a regular file, no larger than any that is read whole: for a program that will read it.
pub(crate) fn check_regular(path: &Path) -> Result<()> {
    let check = || {
        let metadata = try_open(path)?.metadata()?;
        if metadata.is_dir() {
            return Err(no_regular_file("a directory"));
        }
        check_size(metadata.len(), MOST)
    };
    check().context("read", path)
}

/// Whether this is a regular file, no link to one, with exactly these bytes.
pub(crate) fn holds(path: &Path, bytes: &[u8]) -> bool {
    let same = || {
        let is_link = std::fs::symlink_metadata(path)?.is_symlink();
        let file = try_open(path)?;
        let metadata = file.metadata()?;
        if is_link || !metadata.is_file() || metadata.len() != bytes.len() as u64 {
            return Ok(false);
        }
        let (mut reader, mut rest) = (BufReader::new(file), bytes);
        while !rest.is_empty() {
            let part = reader.fill_buf()?;
            let count = part.len();
            if count == 0 || count > rest.len() || *part != rest[..count] {
                return Ok(false);
            }
            rest = &rest[count..];
            reader.consume(count);
        }
        Ok::<_, io::Error>(true)
    };
    same().unwrap_or(false)
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    read_some(path, MOST).context("read", path)
}

/// The text of a file; anything but UTF-8 is an error.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    read_some(path, MOST).and_then(text).context("read", path)
}

/// The text of a file, or `None` if there is no such file.
pub(crate) fn read_text_if_present(path: &Path) -> Result<Option<String>> {
    if_present(read_text(path))
}

/// The bytes of a file that a project names by a path below its directory.
pub(crate) fn read_of_project(project: &Path, below: &Path) -> Result<Vec<u8>> {
    let path = project.join(below);
    let real = in_project(project, below)?;
    read_some(&real, MOST_WRITTEN).context("read", &path)
}

/// The text of a file that a project names by a path below its directory.
pub(crate) fn read_text_of_project(project: &Path, below: &Path) -> Result<String> {
    let path = project.join(below);
    read_of_project(project, below).and_then(|bytes| text(bytes).context("read", &path))
}

/// The text of a file that a project names, or `None` if there is no such file.
pub(crate) fn read_text_of_project_if_present(
    project: &Path,
    below: &Path,
) -> Result<Option<String>> {
    if_present(read_text_of_project(project, below))
}

/// Where something that a project names really is, links resolved: in the project, or it is an error; or below the
/// directory above it that the path begins with (`../packages/a`), as everybody sees who reads it. What git keeps is not
/// the project: its configuration may hold credentials.
pub(crate) fn in_project(project: &Path, below: &Path) -> Result<PathBuf> {
    let path = project.join(below);
    let above = below
        .iter()
        .take_while(|name| *name == ".." || *name == ".");
    let top = real_path(&project.join(".").join(above.collect::<PathBuf>()))?;
    let real = std::fs::canonicalize(&path).context("read", &path)?;
    let within = real.strip_prefix(&top);
    let refused = match within {
        Err(_) => "it leads out of the project's directory: put the file itself into the project",
        Ok(within) if within.iter().any(|name| name == ".git") => {
            "it belongs to git, not to the project"
        }
        Ok(_) => return Ok(real),
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, refused)).context("read", &path)
}

fn read_some(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, found) = try_open_examined(path)?;
    let size = found.len();
    check_size(size, most)?;
    // Files of /proc have no size and some content.
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    file.take(most + 1).read_to_end(&mut bytes)?;
    check_size(bytes.len() as u64, most)?;
    Ok(bytes)
}

fn check_size(size: u64, most: u64) -> io::Result<()> {
    if size <= most {
        return Ok(());
    }
    let limit = most >> 20;
    Err(io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("it is larger than {limit} MiB, which no such file is"),
    ))
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

fn if_present<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
