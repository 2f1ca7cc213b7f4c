//! The files of an archive with an interpreter (`install_only`: everything below `python/`), put into a directory.
//! What is written has modes and times of its own, so that two unpackings are the same.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;

use crate::build::wheel::seal;
use crate::files::{self, Context};

/// An archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no archive, or it ends too early.
    #[error("it is not a gzipped tar archive: {0}")]
    Unreadable(#[source] std::io::Error),
    /// Something in it has no business there.
    #[error("its member `{member}` {why}")]
    Member {
        /// Its path.
        member: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file operation failed.
    #[error(transparent)]
    Files(#[from] files::Error),
}

/// Unpacks the archive into this directory, which exists. Bytecode in it is left out: it would be that of other times.
pub(super) fn unpack(archive: &Path, into: &Path) -> Result<(), Error> {
    let file = files::open(archive)?;
    let mut archive = tar::Archive::new(GzDecoder::new(std::io::BufReader::new(file)));
    for entry in archive.entries().map_err(Error::Unreadable)? {
        let mut entry = entry.map_err(Error::Unreadable)?;
        let member = entry.path().map_err(Error::Unreadable)?.into_owned();
        let refused = |why| Error::Member {
            member: member.display().to_string(),
            why,
        };
        let below = below(&member).ok_or_else(|| refused("is not below `python/`"))?;
        if below
            .components()
            .any(|part| part.as_os_str() == "__pycache__")
        {
            continue;
        }
        let to = into.join(&below);
        if let Some(parent) = to.parent() {
            files::create_directories(parent)?;
        }
        let kind = entry.header().entry_type();
        let target = entry.link_name().map_err(Error::Unreadable)?;
        match (kind, target) {
            (tar::EntryType::Directory, _) => files::create_directories(&to)?,
            (tar::EntryType::Regular | tar::EntryType::Continuous, _) => {
                let mode = entry.header().mode().map_err(Error::Unreadable)?;
                write(&mut entry, &to, mode & 0o111 != 0)?;
            }
            (tar::EntryType::Symlink, Some(target)) => {
                if !stays(&below, &target) {
                    return Err(refused("is a link that leaves the archive"));
                }
                files::symlink(&target, &to)?;
            }
            // Two names of one file; the first has been written already.
            (tar::EntryType::Link, Some(first)) => {
                let first = self::below(&first).map(|first| into.join(first));
                let first = first.ok_or_else(|| refused("is a link that leaves the archive"))?;
                let executable = files::is_executable(&first);
                write(&mut files::open(&first)?, &to, executable)?;
            }
            (tar::EntryType::XGlobalHeader, _) => {}
            _ => return Err(refused("is neither a file nor a directory nor a link")),
        }
    }
    Ok(())
}

/// The path below `python/`; `None` if it leads elsewhere.
fn below(member: &Path) -> Option<PathBuf> {
    let mut parts = member
        .components()
        .filter(|part| *part != Component::CurDir);
    if parts.next() != Some(Component::Normal("python".as_ref())) {
        return None;
    }
    parts
        .map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect()
}

/// Whether a link at this path leads to something below the same directory.
fn stays(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count().saturating_sub(1);
    target.components().all(|part| match part {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir if depth > 0 => {
            depth -= 1;
            true
        }
        _ => false,
    })
}

fn write(from: &mut dyn Read, to: &Path, executable: bool) -> Result<(), Error> {
    let mut out = files::create_new(to, 0o600)?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        // What cannot be read is the archive's fault, what cannot be written is the disk's.
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::Unreadable(error)),
        };
        std::io::Write::write_all(&mut out, &buffer[..n]).context("write", to)?;
    }
    Ok(seal(&out, to, executable)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of members given as (path, type, link or content).
    fn archive(members: &[(&str, tar::EntryType, &str)]) -> (tempfile::TempDir, PathBuf) {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("archive");
        let out = std::fs::File::create(&path).unwrap();
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(
            out,
            flate2::Compression::fast(),
        ));
        for (name, kind, text) in members {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(if name.contains("bin/") { 0o775 } else { 0o664 });
            // Written directly, because the builder refuses what a hostile archive has.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            let data = match kind {
                tar::EntryType::Regular => text.as_bytes(),
                _ => {
                    header.as_gnu_mut().unwrap().linkname[..text.len()]
                        .copy_from_slice(text.as_bytes());
                    &[]
                }
            };
            header.set_size(data.len() as u64);
            header.set_cksum();
            builder.append(&header, data).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        (temporary, path)
    }

    const FILE: tar::EntryType = tar::EntryType::Regular;
    const LINK: tar::EntryType = tar::EntryType::Symlink;

    #[test]
    fn files_and_links_are_unpacked_and_bytecode_is_not() {
        let (temporary, path) = archive(&[
            ("python/bin/python3.11", FILE, "program"),
            ("python/bin/python3", LINK, "python3.11"),
            (
                "python/bin/second",
                tar::EntryType::Link,
                "python/bin/python3.11",
            ),
            ("python/lib/up", LINK, "../bin/python3"),
            ("./python/lib/os.py", FILE, "x"),
            ("python/lib/__pycache__/os.pyc", FILE, "y"),
        ]);
        let into = temporary.path().join("into");
        files::create_directory(&into).unwrap();
        unpack(&path, &into).unwrap();
        let found: Vec<String> = files::walk(&into)
            .unwrap()
            .iter()
            .filter(|entry| entry.kind != files::Kind::Directory)
            .map(|entry| format!("{} {:o}", entry.path.display(), entry.mode))
            .collect();
        assert_eq!(
            found,
            [
                "bin/python3 777",
                "bin/python3.11 555",
                "bin/second 555",
                "lib/os.py 444",
                "lib/up 777"
            ]
        );
        assert_eq!(files::read_text(&into.join("lib/up")).unwrap(), "program");
    }

    #[test]
    fn nothing_is_written_outside() {
        for (name, kind, text, why) in [
            ("python/../x", FILE, "", "is not below `python/`"),
            ("/etc/x", FILE, "", "is not below `python/`"),
            ("other/x", FILE, "", "is not below `python/`"),
            (
                "python/x",
                LINK,
                "/etc",
                "is a link that leaves the archive",
            ),
            (
                "python/a/x",
                LINK,
                "../../y",
                "is a link that leaves the archive",
            ),
            (
                "python/x",
                tar::EntryType::Link,
                "/etc/passwd",
                "is a link that leaves the archive",
            ),
            (
                "python/x",
                tar::EntryType::Fifo,
                "",
                "is neither a file nor a directory nor a link",
            ),
        ] {
            let (temporary, path) = archive(&[(name, kind, text)]);
            let into = temporary.path().join("into");
            files::create_directory(&into).unwrap();
            let error = unpack(&path, &into).unwrap_err();
            assert_eq!(error.to_string(), format!("its member `{name}` {why}"));
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("archive");
        files::write(&path, b"<html>not found</html>").unwrap();
        let error = unpack(&path, temporary.path()).unwrap_err();
        assert!(matches!(error, Error::Unreadable(_)), "{error}");
    }
}
