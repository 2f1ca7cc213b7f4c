//! The files of an archive with an interpreter (`install_only`: everything below `python/`), put into a directory.
//! What is written has modes and times of its own, so that two unpackings are the same.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::archive::stays;
use crate::archive::tar::{self, Kind, Member};
use crate::files::{self, Context};

/// An archive cannot be unpacked.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It is no archive, or it ends too early.
    #[error("it is not a gzipped tar archive: {0}")]
    Unreadable(#[source] std::io::Error),
    /// Something in it has no business there.
    #[error("its member `{}` {why}", member.escape_debug())]
    Member {
        /// Its path.
        member: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

impl From<tar::Error> for Error {
    fn from(error: tar::Error) -> Self {
        match error {
            tar::Error::Unreadable(error) => Error::Unreadable(error),
            tar::Error::Member { member, why } => Error::Member { member, why },
        }
    }
}

/// Unpacks the archive into this directory, which exists. Bytecode in it is left out: it would be that of other times.
/// All of it is looked through before anything is written.
pub(crate) fn unpack(archive: &Path, into: &Path) -> Result<(), Error> {
    let file = files::SharedFile::open(archive)?;
    let open = || GzDecoder::new(std::io::BufReader::new(file.clone()));
    // Descriptions of terminals differ only in case.
    let members = tar::members(open, |path| path.starts_with("python/share/terminfo/"))?;
    for Member { path, kind } in &members {
        let refused = |why: &str| Error::Member {
            member: path.clone(),
            why: why.to_owned(),
        };
        let below = below(path)
            .filter(|below| !below.is_empty() || *kind == Kind::Directory)
            .ok_or_else(|| refused("is not below `python/`"))?;
        if matches!(kind, Kind::Symlink(target) if !stays(below, target)) {
            return Err(refused("is a link that leaves the archive"));
        }
    }
    let mut members = members.into_iter();
    let mut archive = ::tar::Archive::new(open());
    for entry in archive.entries().map_err(Error::Unreadable)? {
        let mut entry = entry.map_err(Error::Unreadable)?;
        if entry.header().entry_type() == ::tar::EntryType::XGlobalHeader {
            continue;
        }
        let Some(Member { path, kind }) = members.next() else {
            break;
        };
        let below = below(&path).unwrap_or_default();
        if below.split('/').any(|part| part == "__pycache__") {
            continue;
        }
        let to = into.join(below);
        if let Some(parent) = to.parent() {
            files::create_directories(parent)?;
        }
        match kind {
            Kind::Directory => files::create_directories(&to)?,
            Kind::File => {
                let mode = entry.header().mode().map_err(Error::Unreadable)?;
                files::remove_if_present(&to)?;
                write(&mut entry, &to, mode & 0o111 != 0)?;
            }
            Kind::Symlink(_) => {
                let target = entry.link_name().map_err(Error::Unreadable)?;
                files::symlink(&target.unwrap_or_default(), &to)?;
            }
            // Two names of one file; the first has been written already.
            Kind::HardLink(first) => {
                let first = into.join(self::below(&first).unwrap_or_default());
                let executable = files::is_executable(&first);
                write(&mut files::open(&first)?, &to, executable)?;
            }
        }
    }
    Ok(())
}

/// The path below `python/`; `None` if it leads elsewhere.
fn below(member: &str) -> Option<&str> {
    match member {
        "" | "python" => Some(""),
        member => member.strip_prefix("python/"),
    }
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
    Ok(files::make_reproducible(&out, to, executable)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// An archive of members given as (path, type, link or content).
    fn archive(members: &[(&str, ::tar::EntryType, &str)]) -> (tempfile::TempDir, PathBuf) {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("archive");
        let out = std::fs::File::create(&path).unwrap();
        let mut builder = ::tar::Builder::new(flate2::write::GzEncoder::new(
            out,
            flate2::Compression::fast(),
        ));
        for (name, kind, text) in members {
            let mut header = ::tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(if name.contains("bin/") { 0o775 } else { 0o664 });
            // Written directly, because the builder refuses what a hostile archive has.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            let data = match kind {
                ::tar::EntryType::Regular => text.as_bytes(),
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

    const FILE: ::tar::EntryType = ::tar::EntryType::Regular;
    const LINK: ::tar::EntryType = ::tar::EntryType::Symlink;

    #[test]
    fn files_and_links_are_unpacked_and_bytecode_is_not() {
        let (temporary, path) = archive(&[
            ("python/bin/python3.11", FILE, "program"),
            ("python/bin/python3", LINK, "python3.11"),
            (
                "python/bin/second",
                ::tar::EntryType::Link,
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
            ("python/../x", FILE, "", "leads out of it"),
            ("/etc/x", FILE, "", "is absolute"),
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
                ::tar::EntryType::Link,
                "/etc/passwd",
                "is a link that leaves the archive",
            ),
            (
                "python/x",
                ::tar::EntryType::Fifo,
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
