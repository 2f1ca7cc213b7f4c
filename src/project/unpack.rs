//! Unpacking source distributions: `.tar.gz`, `.zip`, and the `.tar` that [`super::pack`] makes. Nothing leaves the
//! directory it is unpacked into, and modes do not depend on who unpacks.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::files::{self, Context, Kind};

/// An archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its bytes are not what its name says, or it would write elsewhere.
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
pub fn unpack(archive: &Path, name: &str, into: &Path) -> Result<PathBuf, Error> {
    let broken = |reason: String| Error::Archive {
        file: name.to_owned(),
        reason,
    };
    files::create_directories(into)?;
    let file = files::open(archive)?;
    let unzipped = |file| flate2::read::MultiGzDecoder::new(std::io::BufReader::new(file));
    match name.rsplit_once('.') {
        Some((_, "tar")) => tar(file, into).map_err(broken)?,
        Some((_, "gz" | "tgz")) => tar(unzipped(file), into).map_err(broken)?,
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

fn tar(from: impl Read, into: &Path) -> Result<(), String> {
    let mut archive = tar::Archive::new(from);
    archive.set_preserve_mtime(true);
    archive.set_unpack_xattrs(false);
    let told = |error: std::io::Error| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        text
    };
    for entry in archive.entries().map_err(told)? {
        let mut entry = entry.map_err(told)?;
        let kind = entry.header().entry_type();
        if !(kind.is_file() || kind.is_dir() || kind.is_symlink() || kind.is_hard_link()) {
            continue;
        }
        let path = entry.path().map_err(told)?.into_owned();
        let mode = entry.header().mode().unwrap_or(0o644);
        if !entry.unpack_in(into).map_err(told)? {
            return Err(format!("`{}` leads out of it", path.display()));
        }
        if kind.is_file() {
            let mode = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
            files::set_mode(&into.join(&path), mode).map_err(|e| e.to_string())?;
        } else if kind.is_dir() {
            files::set_mode(&into.join(&path), 0o755).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

/// Unpacks a wheel as it is, into a directory that is there: enough to import from.
pub fn wheel(archive: &Path, name: &str, into: &Path) -> Result<(), Error> {
    zip(files::open(archive)?, into, &|reason| Error::Archive {
        file: name.to_owned(),
        reason,
    })
}

fn zip(file: files::File, into: &Path, broken: &dyn Fn(String) -> Error) -> Result<(), Error> {
    let mut archive = zip::ZipArchive::new(file).map_err(|error| broken(error.to_string()))?;
    for index in 0..archive.len() {
        let mut entry = archive
            .by_index(index)
            .map_err(|error| broken(error.to_string()))?;
        let Some(path) = entry.enclosed_name() else {
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            return Err(broken(format!("`{name}` leads out of it")));
        };
        let to = into.join(path);
        if entry.is_dir() {
            files::create_directories(&to)?;
            continue;
        }
        files::create_directories(to.parent().unwrap_or(into))?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).context("unpack", &to)?;
        files::write(&to, &bytes)?;
        let executable = entry.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
        files::set_mode(&to, if executable { 0o755 } else { 0o644 })?;
    }
    Ok(())
}

/// Gives all files of a tree one time: what a tool makes of their ages is the same everywhere.
pub fn age(directory: &Path, seconds: u64) -> files::Result<()> {
    for entry in files::walk(directory)? {
        if entry.kind == Kind::File {
            let path = directory.join(&entry.path);
            files::set_modified(&files::open(&path)?, &path, seconds)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzipped(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(&builder.into_inner().unwrap()).unwrap();
        out.finish().unwrap()
    }

    fn entry(builder: &mut tar::Builder<Vec<u8>>, name: &str, mode: u32) {
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(mode);
        // As it is, however bad: the ordinary way refuses `..`.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, &b"1"[..]).unwrap();
    }

    #[test]
    fn modes_are_those_of_the_archive_less_what_is_nobodys_business() {
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
