//! Writing the files of a wheel, each verified while it is written.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::build::shelf::{ShelvedFile, Staging};
use crate::digest::{Digest, Hashing};
use crate::files::{self, Context};

use super::archive::{Archive, unreadable};
use super::layout::Item;
use super::record::Checksum;
use super::{Defect, Error, scripts};
use crate::build::shelf::Place;

/// What every installed file has as its time of last change: 1980-01-01, the earliest that zip archives know. Times
/// of their own would make two builds differ.
pub(in crate::build) const MODIFIED: u64 = 315_532_800;

/// Creates the directories these items go to.
pub(super) fn create_directories(items: &[Item], staging: &Staging) -> files::Result<()> {
    let mut directories = BTreeSet::new();
    for Item { place, path, .. } in items {
        let below = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        directories.insert(staging.place(*place).join(below));
    }
    directories
        .iter()
        .try_for_each(|directory| files::create_directories(directory))
}

/// Unpacks one member. Its contents must be those that `RECORD` speaks of.
pub(super) fn unpack(
    archive: &Archive,
    item: &Item,
    staging: &Staging,
    refused: &(dyn Fn(Defect) -> Error + Sync),
) -> Result<ShelvedFile, Error> {
    let Item {
        member,
        place,
        path,
        checksum,
        size,
    } = item;
    let to = staging.place(*place).join(path);
    let script = *place == Place::Scripts;
    let executable = script || member.executable;
    let copied = archive
        .with(member, |from| {
            let mut copy = Copy {
                from,
                checksum,
                to: &to,
                executable,
                member: &member.path,
            };
            if script {
                copy.script()
            } else {
                copy.stream(&[])
            }
        })
        .map_err(refused)?;
    let (read, written) = copied.map_err(|failure| match failure {
        Failure::Defect(defect) => refused(defect),
        Failure::Files(error) => error.into(),
    })?;
    if size.is_some_and(|size| size != read) {
        let path = &member.path;
        return Err(refused(Defect(format!(
            "`{path}` is {read} bytes long, and its RECORD says otherwise"
        ))));
    }
    let (sha256, size) = written;
    Ok(ShelvedFile {
        place: *place,
        path: path.clone(),
        sha256,
        size,
        executable,
    })
}

/// Writes a file that we made ourselves.
pub(super) fn write(
    (file, text): (ShelvedFile, String),
    staging: &Staging,
) -> Result<ShelvedFile, Error> {
    let to = staging.place(file.place).join(&file.path);
    files::create_directories(to.parent().expect("it is below the staging"))?;
    write_whole(&to, text.as_bytes(), file.executable)?;
    Ok(file)
}

fn write_whole(to: &Path, bytes: &[u8], executable: bool) -> files::Result<()> {
    let mut out = files::create_new(to, 0o600)?;
    out.write_all(bytes).context("write", to)?;
    seal(&out, to, executable)
}

/// Gives a written file its final mode and time.
pub(in crate::build) fn seal(
    file: &files::File,
    path: &Path,
    executable: bool,
) -> files::Result<()> {
    files::set_mode_of(file, path, if executable { 0o555 } else { 0o444 })?;
    files::set_modified(file, path, MODIFIED)
}

/// A member on its way to its place.
struct Copy<'a> {
    from: &'a mut dyn Read,
    checksum: &'a Checksum,
    to: &'a Path,
    executable: bool,
    member: &'a str,
}

enum Failure {
    Defect(Defect),
    Files(files::Error),
}

impl From<files::Error> for Failure {
    fn from(error: files::Error) -> Self {
        Failure::Files(error)
    }
}

/// How many bytes were read, and digest and size of what was written.
type Copied = Result<(u64, (Digest, u64)), Failure>;

impl Copy<'_> {
    /// A script: one that asks for the environment's Python is rewritten, after it was verified.
    fn script(&mut self) -> Copied {
        let mut start = Vec::new();
        let length = scripts::MARK.len() as u64;
        self.read(|from| from.take(length).read_to_end(&mut start))?;
        if start != scripts::MARK {
            return self.stream(&start);
        }
        self.read(|from| from.read_to_end(&mut start))?;
        let mut check = Check::new(self.checksum);
        check.update(&start);
        let (digest, _) = digest_of(&start);
        self.verify(check, digest)?;
        let script = scripts::rewritten(&start);
        write_whole(self.to, &script, self.executable)?;
        Ok((start.len() as u64, digest_of(&script)))
    }

    /// Any other file: `start`, which was read already, and the rest, in pieces.
    fn stream(&mut self, start: &[u8]) -> Copied {
        let file = files::create_new(self.to, 0o600)?;
        let mut out = Hashing::new(&file);
        let mut check = Check::new(self.checksum);
        check.update(start);
        out.write_all(start).context("write", self.to)?;
        // 256 KiB: large enough that system calls vanish beside the unpacking.
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let n = self.read(|from| read_some(from, &mut buffer))?;
            if n == 0 {
                break;
            }
            check.update(&buffer[..n]);
            out.write_all(&buffer[..n]).context("write", self.to)?;
        }
        let written = out.finish();
        self.verify(check, written.0)?;
        seal(&file, self.to, self.executable)?;
        Ok((written.1, written))
    }

    fn read<T>(&mut self, read: impl FnOnce(&mut dyn Read) -> io::Result<T>) -> Result<T, Failure> {
        read(self.from).map_err(|error| Failure::Defect(unreadable(self.member, &error)))
    }

    fn verify(&self, check: Check, sha256: Digest) -> Result<(), Failure> {
        if check.accepts(sha256) {
            return Ok(());
        }
        Err(Failure::Defect(Defect(format!(
            "`{}` does not have the digest that its RECORD says",
            self.member
        ))))
    }
}

fn digest_of(bytes: &[u8]) -> (Digest, u64) {
    (Digest::of(bytes), bytes.len() as u64)
}

fn read_some(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// The comparison with `RECORD`. The sha256 is computed anyway; any other digest is computed here.
struct Check<'a> {
    checksum: &'a Checksum,
    hasher: Option<Box<dyn sha2::digest::DynDigest>>,
}

impl<'a> Check<'a> {
    fn new(checksum: &'a Checksum) -> Self {
        let hasher = match checksum {
            Checksum::Sha256(_) => None,
            Checksum::Other(algorithm, _) => Some(algorithm.hasher()),
        };
        Self { checksum, hasher }
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
    }

    fn accepts(self, sha256: Digest) -> bool {
        match (self.checksum, self.hasher) {
            (Checksum::Sha256(expected), _) => *expected == sha256,
            (Checksum::Other(_, expected), Some(hasher)) => *hasher.finalize() == **expected,
            (Checksum::Other(..), None) => false,
        }
    }
}
