//! Reading the wheel store to the end: what has changed since it was unpacked.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Error, UnpackedFile, UnpackedWheel, read};
use crate::digest::Digest;
use crate::files::{self, Context};
use crate::store::{Root, Verifier};

/// Something in the store that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    /// The wheel's or the bytecode's directory: what has to be made again.
    pub directory: PathBuf,
    /// The path of the file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub message: &'static str,
}

/// Everything in the store that was changed, by path. Uses the rayon pool it is called in.
pub(crate) fn damaged(root: &Root, verifier: &Verifier) -> files::Result<Vec<Damage>> {
    let mut directories = Vec::new();
    for parent in [root.wheels(), root.bytecode()] {
        let names = files::names(&parent)?.into_iter();
        // Names with a dot are unfinished, or were put aside.
        let whole = names.filter(|name| !name.starts_with('.'));
        directories.extend(whole.map(|name| parent.join(name)));
    }
    let found: Vec<Vec<Damage>> = directories
        .par_iter()
        .map(|directory| in_directory(directory, verifier))
        .collect();
    let mut found: Vec<Damage> = found.into_iter().flatten().collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn in_directory(directory: &Path, verifier: &Verifier) -> Vec<Damage> {
    let damage = |path: PathBuf, message| Damage {
        directory: directory.to_owned(),
        path,
        message,
    };
    let unpacked = match read(directory) {
        Ok(Some(unpacked)) => unpacked,
        Ok(None) => return vec![damage(directory.join("files.txt"), "is missing")],
        Err(Error::Damaged { path, .. }) => return vec![damage(path, "cannot be read")],
        Err(Error::Files(error)) => return vec![damage(error.path, "cannot be read")],
    };
    let wrong: Vec<Option<Damage>> = unpacked
        .files
        .par_iter()
        .map(|file| {
            let path = unpacked.source(file);
            match verifier.digest_and_mode(&path) {
                Ok((sha256, _)) if sha256 != file.sha256 => {
                    Some(damage(path, "is not as `files.txt` lists it"))
                }
                // An environment that is linked from here has the same mode.
                Ok((_, mode)) => {
                    (!is_mode_of(file, mode)).then(|| damage(path, "has another mode"))
                }
                Err(error) if error.is_missing() => Some(damage(path, "is missing")),
                Err(_) => Some(damage(path, "cannot be read")),
            }
        })
        .collect();
    wrong.into_iter().flatten().collect()
}

/// Whether a file is executable exactly if it is a program, and read-only; who may read it is the root's policy.
fn is_mode_of(file: &UnpackedFile, mode: u32) -> bool {
    mode & 0o222 == 0 && (mode & 0o111 != 0) == file.executable
}

/// Whether every byte of it is as it was unpacked. Stops at the first that is not.
pub(crate) fn is_intact(unpacked: &UnpackedWheel) -> files::Result<bool> {
    let wrong = unpacked.files.par_iter().find_map_any(|file| {
        let path = unpacked.source(file);
        let digest =
            files::open(&path).and_then(|open| Digest::of_reader(open).context("read", &path));
        match digest {
            Ok((sha256, _)) if sha256 == file.sha256 => None,
            Ok(_) => Some(Ok(())),
            Err(error) if error.is_missing() => Some(Ok(())),
            Err(error) => Some(Err(error)),
        }
    });
    match wrong {
        None => Ok(true),
        Some(Ok(())) => Ok(false),
        Some(Err(error)) => Err(error),
    }
}
