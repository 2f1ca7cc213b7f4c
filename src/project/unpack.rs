//! Unpacking source distributions: `.tar.gz`, `.zip`, and the `.tar` that [`super::pack`] makes. All of an archive is
//! looked through before anything of it is written. Modes do not depend on who unpacks.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Read, Write as _};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::archive::alike::Alike;
use crate::archive::tar::{self, Kind, Member};
use crate::archive::zip;
use crate::files::{self, Context, SharedFile};

/// What to do about a pointer of Git LFS in an archive of this name.
pub(crate) fn pointer_advice(name: &str) -> &'static str {
    if name.rsplit('.').next() == Some("tar") {
        "run `git lfs pull` in the project's directory"
    } else {
        "its publisher made it without Git LFS: take a wheel, or the repository (`git+https://…@REVISION`), whose files are \
         fetched"
    }
}

/// An archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its bytes do not match its name, or it would write elsewhere.
    #[error("`{file}` cannot be unpacked: {reason}")]
    Archive {
        /// The archive's name.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A file operation failed.
    #[error(transparent)]
    Files(#[from] files::Error),
}

/// Unpacks an archive of this published name into a new directory and returns the project's own directory: the one
/// that everything in the archive stands below.
pub(crate) fn unpack(archive: &Path, name: &str, into: &Path) -> Result<PathBuf, Error> {
    let broken = |reason: String| Error::Archive {
        file: name.to_owned(),
        reason,
    };
    files::create_directories(into)?;
    let file = SharedFile::open(archive)?;
    let unzipped = || MultiGzDecoder::new(BufReader::new(file.clone()));
    match name.rsplit_once('.') {
        Some((_, "tar")) => tar(|| file.clone(), into, &broken)?,
        Some((_, "gz" | "tgz")) => tar(unzipped, into, &broken)?,
        Some((_, "zip")) => zip(file, into, &broken)?,
        _ => {
            let reason = "only .tar.gz, .tgz and .zip are understood";
            return Err(broken(reason.to_owned()));
        }
    }
    match files::names(into)?.as_slice() {
        [only] if files::is_directory(&into.join(only)) => Ok(into.join(only)),
        _ => Ok(into.to_owned()),
    }
}

/// Looks through all of it, and only then writes.
fn tar<R: Read>(
    open: impl Fn() -> R,
    into: &Path,
    broken: &dyn Fn(String) -> Error,
) -> Result<(), Error> {
    let unreadable = |error: std::io::Error| broken(tar::Error::from(error).to_string());
    let members = tar::members(&open, |_| false).map_err(|error| broken(error.to_string()))?;
    let mut members = members.into_iter();
    let mut archive = ::tar::Archive::new(open());
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        if entry.header().entry_type() == ::tar::EntryType::XGlobalHeader {
            continue;
        }
        let Some(Member { path, kind }) = members.next() else {
            return Err(broken("it changed while it was read".to_owned()));
        };
        let to = into.join(plain(&entry.path().map_err(unreadable)?));
        if is_bytecode(&path) {
            continue;
        }
        files::create_directories(to.parent().unwrap_or(into))?;
        match kind {
            Kind::Directory => files::create_directories(&to)?,
            Kind::File => {
                let executable = entry.header().mode().unwrap_or(0) & 0o100 != 0;
                files::remove_if_present(&to)?;
                write(&mut entry, &to, executable).map_err(|e| e.into(&to, &broken))?;
            }
            Kind::Symlink(_) => {
                let target = entry.link_name().map_err(unreadable)?.unwrap_or_default();
                files::symlink(&target, &to)?;
            }
            Kind::HardLink(first) => {
                let first = into.join(first);
                let executable = files::is_executable(&first);
                let mut first = files::open(&first)?;
                write(&mut first, &to, executable).map_err(|e| e.into(&to, &broken))?;
            }
        }
    }
    Ok(())
}

/// The path without `.` and empty parts; whether it has others was looked at before.
fn plain(path: &Path) -> PathBuf {
    let parts = path.components();
    parts
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

/// Bytecode that Python would run in place of the source beside it.
fn is_bytecode(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(directory, file)| {
        directory.rsplit('/').next() == Some("__pycache__")
            && Path::new(file).extension().is_some_and(|end| end == "pyc")
    })
}

/// Unpacks a wheel as it is, into a directory that is there: enough to import from.
pub(crate) fn wheel(archive: &Path, name: &str, into: &Path) -> Result<(), Error> {
    zip(SharedFile::open(archive)?, into, &|reason| Error::Archive {
        file: name.to_owned(),
        reason,
    })
}

fn zip(file: SharedFile, into: &Path, broken: &dyn Fn(String) -> Error) -> Result<(), Error> {
    let (mut archive, members) = zip::open(file).map_err(broken)?;
    let targets = check_zip(&mut archive, &members).map_err(broken)?;
    for member in &members {
        let to = into.join(&member.path);
        if is_bytecode(&member.path) {
            continue;
        }
        files::create_directories(to.parent().unwrap_or(into))?;
        match member.kind {
            zip::Kind::Directory => files::create_directories(&to)?,
            zip::Kind::Link => files::symlink(Path::new(&targets[&member.path]), &to)?,
            zip::Kind::File => {
                let entry = archive
                    .by_index(member.index)
                    .map_err(|error| broken(error.to_string()))?;
                // Never more than in the archive's directory, which is compared at the end.
                let mut entry = entry.take(member.size + 1);
                let size =
                    write(&mut entry, &to, member.executable).map_err(|e| e.into(&to, broken))?;
                if size != member.size {
                    return Err(broken(format!(
                        "{:?} is longer or shorter than in its directory",
                        member.path
                    )));
                }
            }
        }
    }
    Ok(())
}

/// Where the links lead, if all members stay where they are unpacked.
fn check_zip(
    archive: &mut zip::Archive,
    members: &[zip::Member],
) -> Result<HashMap<String, String>, String> {
    let mut alike = Alike::default();
    let mut targets = HashMap::new();
    let mut files = HashSet::new();
    for zip::Member {
        index, path, kind, ..
    } in members
    {
        if let Some((first, _)) = alike.clash(path) {
            return Err(format!(
                "{path:?} differs from {first:?} only in case, or in how Unicode writes it"
            ));
        }
        match kind {
            zip::Kind::Directory => {}
            zip::Kind::File => {
                files.insert(path.as_str());
            }
            zip::Kind::Link => {
                let entry = archive.by_index(*index).map_err(|e| e.to_string())?;
                let mut target = String::new();
                let read = entry.take(4096).read_to_string(&mut target);
                let checked = match read {
                    Ok(_) => crate::archive::check_link(path, &target),
                    Err(_) => Err("is a link that cannot be read"),
                };
                checked.map_err(|why| format!("{path:?} {why}"))?;
                targets.insert(path.clone(), target);
            }
        }
    }
    let through = members.iter().find(|member| {
        let mut above = member.path.match_indices('/');
        above.any(|(at, _)| {
            let above = &member.path[..at];
            targets.contains_key(above) || files.contains(above)
        })
    });
    match through {
        Some(member) => Err(format!("{:?} is below a link or a file", member.path)),
        None => Ok(targets),
    }
}

/// Why a member was not written.
enum Failure {
    /// It cannot be read.
    Read(std::io::Error),
    /// The disk does not take it.
    Files(files::Error),
}

impl From<files::Error> for Failure {
    fn from(error: files::Error) -> Self {
        Failure::Files(error)
    }
}

impl Failure {
    fn into(self, to: &Path, broken: &dyn Fn(String) -> Error) -> Error {
        match self {
            Failure::Read(error) => broken(format!("`{}`: {error}", to.display())),
            Failure::Files(error) => error.into(),
        }
    }
}

/// Writes a file piece by piece and returns its length.
fn write(from: &mut dyn Read, to: &Path, executable: bool) -> Result<u64, Failure> {
    let mut out = files::create_new(to, 0o600)?;
    let mut buffer = vec![0; 128 * 1024];
    let mut size = 0;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Read(error)),
        };
        out.write_all(&buffer[..n]).context("write", to)?;
        size += n as u64;
    }
    files::set_mode_of(&out, to, if executable { 0o755 } else { 0o644 })?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzipped(build: impl FnOnce(&mut ::tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        build(&mut builder);
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(&builder.into_inner().unwrap()).unwrap();
        out.finish().unwrap()
    }

    fn entry(builder: &mut ::tar::Builder<Vec<u8>>, name: &str, mode: u32) {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(mode);
        // As it is, however bad: the ordinary way refuses `..`.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, &b"1"[..]).unwrap();
    }

    #[test]
    fn modes_are_those_of_the_archive_without_special_bits() {
        let temporary = tempfile::tempdir().unwrap();
        let archive = temporary.path().join("x");
        files::write(
            &archive,
            &gzipped(|builder| {
                entry(builder, "a-1/plain", 0o600);
                entry(builder, "a-1/program", 0o777);
            }),
        )
        .unwrap();
        let top = unpack(&archive, "a-1.tar.gz", &temporary.path().join("out")).unwrap();
        let modes: Vec<u32> = files::walk(&top).unwrap().iter().map(|e| e.mode).collect();
        assert_eq!(modes, [0o644, 0o755]);
        assert!(top.ends_with("out/a-1"));
    }

    #[test]
    fn nothing_leaves_the_directory() {
        let temporary = tempfile::tempdir().unwrap();
        let archive = temporary.path().join("x");
        files::write(
            &archive,
            &gzipped(|builder| entry(builder, "../evil", 0o644)),
        )
        .unwrap();
        let error = unpack(&archive, "a-1.tar.gz", &temporary.path().join("out")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`a-1.tar.gz` cannot be unpacked: `../evil` leads out of it"
        );
        assert!(!files::exists(&temporary.path().join("evil")));
        for (name, bytes) in [("a.tar.gz", &b"no"[..]), ("a.zip", b"no"), ("a.rar", b"")] {
            files::write(&archive, bytes).unwrap();
            let error = unpack(&archive, name, &temporary.path().join("b")).unwrap_err();
            assert!(matches!(error, Error::Archive { .. }), "{error}");
        }
    }
}
