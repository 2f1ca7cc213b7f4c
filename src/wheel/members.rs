//! Writing the files of a wheel, each verified while it is written.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::digest::{Digest, Hashing};
use crate::files::{self, Context, make_reproducible};
use crate::store::wheels::{Scheme, Staging, UnpackedFile};

use super::archive::{Archive, unreadable};
use super::layout::Item;
use super::record::{Checksum, Claim};
use super::{Defect, Error, scripts};

/// Creates the directories these items go to.
pub(super) fn create_directories(items: &[Item], staging: &Staging) -> files::Result<()> {
    let mut directories = BTreeSet::new();
    for Item { scheme, path, .. } in items.iter().filter(|item| item.written) {
        let below = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        directories.insert(staging.directory_of(*scheme).join(below));
    }
    directories
        .iter()
        .try_for_each(|directory| files::create_directories(directory))
}

/// Unpacks one member; none if it is only verified. Its contents must be those that `RECORD` speaks of.
pub(super) fn unpack(
    archive: &Archive,
    item: &Item,
    staging: &Staging,
    refused: &(dyn Fn(Defect) -> Error + Sync),
) -> Result<Option<UnpackedFile>, Error> {
    let Item {
        member,
        scheme,
        path,
        claim,
        written,
    } = item;
    if let Some(size) = claim.size
        && size != member.size
    {
        return Err(refused(Defect(format!(
            "`{}` is {} bytes long, not {size} as in its RECORD",
            member.path, member.size
        ))));
    }
    let to = staging.directory_of(*scheme).join(path);
    let executable = *scheme == Scheme::Scripts || member.executable;
    let copied = archive
        .with(member, |from| {
            let contents = Contents {
                from,
                check: Check::new(claim),
                left: member.size,
                member: &member.path,
            };
            if *written {
                contents.write(&to, *scheme == Scheme::Scripts, executable)
            } else {
                contents.verify_only()
            }
        })
        .map_err(refused)?;
    let (sha256, size) = copied.map_err(|failure| match failure {
        Failure::Defect(defect) => refused(defect),
        Failure::Files(error) => error.into(),
    })?;
    let file = UnpackedFile {
        scheme: *scheme,
        path: path.clone(),
        sha256,
        size,
        executable,
    };
    Ok(written.then_some(file))
}

/// Writes a file that we made ourselves.
pub(super) fn write(
    (file, text): (UnpackedFile, String),
    staging: &Staging,
) -> Result<UnpackedFile, Error> {
    let to = staging.directory_of(file.scheme).join(&file.path);
    files::create_directories(to.parent().expect("it is below the staging"))?;
    write_whole(&to, text.as_bytes(), file.executable)?;
    Ok(file)
}

fn write_whole(to: &Path, bytes: &[u8], executable: bool) -> files::Result<()> {
    let mut out = files::create_new(to, 0o600)?;
    out.write_all(bytes).context("write", to)?;
    make_reproducible(&out, to, executable)
}

/// What a member holds, on its way to its place: never more than the archive's directory states, never in memory as a whole.
struct Contents<'a> {
    from: &'a mut dyn Read,
    check: Check<'a>,
    /// How much more there may be.
    left: u64,
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

/// Digest and size of what was written.
type Copied = Result<(Digest, u64), Failure>;

/// 256 KiB: large enough that system calls vanish beside the unpacking.
const PIECE: usize = 256 * 1024;

impl Contents<'_> {
    /// Writes it. A script that asks for the environment's Python is rewritten, which its digest does not know.
    fn write(mut self, to: &Path, script: bool, executable: bool) -> Copied {
        let file = files::create_new(to, 0o600)?;
        let mut buffer = vec![0; PIECE];
        let mut n = self.start(&mut buffer)?;
        let written = if script && buffer[..n].starts_with(scripts::MARK) {
            let mut out = Hashing::new(&file);
            out.write_all(scripts::BEGINNING.as_bytes())
                .context("write", to)?;
            // The first line, which was replaced, ends somewhere.
            let mut replaced = false;
            while n > 0 {
                let piece = &buffer[..n];
                let end = piece.iter().position(|byte| *byte == b'\n');
                let from = if replaced {
                    0
                } else {
                    end.map_or(n, |end| end + 1)
                };
                replaced |= end.is_some();
                out.write_all(&piece[from..]).context("write", to)?;
                n = self.read(&mut buffer)?;
            }
            self.verify()?;
            out.finish()
        } else {
            while n > 0 {
                (&file).write_all(&buffer[..n]).context("write", to)?;
                n = self.read(&mut buffer)?;
            }
            self.verify()?
        };
        make_reproducible(&file, to, executable)?;
        Ok(written)
    }

    /// Reads it to its end and keeps nothing.
    fn verify_only(mut self) -> Copied {
        let mut buffer = vec![0; PIECE];
        while self.read(&mut buffer)? > 0 {}
        self.verify()
    }

    /// The first piece, long enough for the first line of a script.
    fn start(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let mut n = 0;
        while n < scripts::MARK.len() {
            match self.read(&mut buffer[n..])? {
                0 => break,
                more => n += more,
            }
        }
        Ok(n)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let n = loop {
            match self.from.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Defect(unreadable(self.member, &error))),
                Ok(n) => break n,
            }
        };
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            let member = self.member;
            Failure::Defect(Defect(format!(
                "`{member}` is longer than in the archive's directory"
            )))
        })?;
        self.check.update(&buffer[..n]);
        Ok(n)
    }

    fn verify(self) -> Copied {
        let member = self.member;
        self.check.finish().ok_or_else(|| {
            Failure::Defect(Defect(format!(
                "`{member}` does not have the digest in its RECORD"
            )))
        })
    }
}

/// The comparison with `RECORD`. The sha256 is needed anyway; any other digest is computed where it is asked for.
struct Check<'a> {
    claim: &'a Claim,
    sha256: Hashing<io::Sink>,
    others: Vec<Box<dyn sha2::digest::DynDigest>>,
}

impl<'a> Check<'a> {
    fn new(claim: &'a Claim) -> Self {
        let others = claim
            .checksums
            .iter()
            .filter_map(|checksum| match checksum {
                Checksum::Sha256(_) => None,
                Checksum::Other(algorithm, _) => Some(algorithm.hasher()),
            });
        Self {
            claim,
            sha256: Hashing::new(io::sink()),
            others: others.collect(),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sha256.write_all(bytes).expect("a sink takes all");
        for hasher in &mut self.others {
            hasher.update(bytes);
        }
    }

    /// The sha256 and the size; none if one of the digests is another.
    fn finish(self) -> Option<(Digest, u64)> {
        let found = self.sha256.finish();
        let mut others = self.others.into_iter();
        let same = self.claim.checksums.iter().all(|checksum| match checksum {
            Checksum::Sha256(expected) => *expected == found.0,
            Checksum::Other(_, expected) => others
                .next()
                .is_some_and(|hasher| *hasher.finalize() == **expected),
        });
        same.then_some(found)
    }
}
