//! From a wheel archive to its installed form on the shelf (PyPA "binary distribution format").
//!
//! ```text
//! archive ──▶ members ──┐
//!             RECORD ───┼──▶ layout: what goes where ──▶ unpack, verified ──▶ launchers, INSTALLER, RECORD ──▶ shelf
//!             WHEEL ────┘
//! ```
//!
//! Nothing of a wheel is run and nothing of it is trusted: every member must be in `RECORD` with its digest, and none
//! may leave the places meant for it. Bytecode is left out where its source is in the wheel. Beyond the specification, signatures of `RECORD` are dropped with the `RECORD`
//! they sign, and headers go to a directory without Python's version (see [`super::shelf`]).
//!
//! Members are unpacked in parallel on the rayon pool that [`shelve`] is called in.

use std::path::Path;

use rayon::prelude::*;

use crate::digest::Digest;
use crate::files;
use crate::lock::LockedPackage;
use crate::store::Root;

use super::shelf::{self, Place, Shelved, ShelvedFile, Staging};
use archive::Archive;
use record::Record;

pub(super) use unpack::seal;

mod archive;
mod entry_points;
mod layout;
mod metadata;
mod record;
mod scripts;
mod unpack;

#[cfg(test)]
mod tests;

/// A wheel cannot be shelved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not the file that was locked.
    #[error("`{file}` has the sha256 {got}, but {expected} is expected")]
    Digest {
        /// The locked file's name.
        file: String,
        /// Its digest by the lock.
        expected: Digest,
        /// The digest of what was found.
        got: Digest,
    },
    /// It is the locked file, but not one that may be installed.
    #[error("`{file}` cannot be installed: {defect}")]
    Refused {
        /// The locked file's name.
        file: String,
        /// What is wrong with it.
        defect: Defect,
    },
    /// The shelf cannot be used.
    #[error(transparent)]
    Shelf(#[from] shelf::Error),
}

/// What is wrong with a wheel, in words. One type for all of it: whatever it is, people can only choose another file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Defect(String);

impl From<files::Error> for Error {
    fn from(error: files::Error) -> Self {
        Error::Shelf(error.into())
    }
}

impl Error {
    /// What a person can do about it.
    pub fn advice(&self) -> Option<String> {
        match self {
            Error::Digest { .. } => Some(
                "the file was changed after it was downloaded: run `rootstock sync` again to fetch it anew"
                    .to_owned(),
            ),
            Error::Refused { .. } => Some(
                "the file is as its publisher made it: exclude this version in `constraints`, or report it to \
                 the publisher"
                    .to_owned(),
            ),
            Error::Shelf(error) => error.advice(),
        }
    }
}

/// Puts a wheel on the shelf in installed form and says what it installs. The archive must have this digest and hold
/// this package in this version.
pub fn shelve(
    root: &Root,
    package: &LockedPackage,
    archive: &Path,
    sha256: &Digest,
) -> Result<Shelved, Error> {
    let file = files::SharedFile::open(archive)?;
    let refused = |defect| Error::Refused {
        file: package.file.clone(),
        defect,
    };
    let staging = Staging::beside(&shelf::wheel_directory(root, sha256), root)?;
    // The digest of the archive is taken while its members are unpacked. Should it be wrong, whatever else was found
    // wrong meanwhile does not matter, and the staging is dropped.
    let (digest, unpacked) = rayon::join(
        || Digest::of_reader(file.clone()),
        || install(package, file.clone(), &staging, &refused),
    );
    let (got, _) = files::Context::context(digest, "read", archive)?;
    if got != *sha256 {
        return Err(Error::Digest {
            file: package.file.clone(),
            expected: *sha256,
            got,
        });
    }
    Ok(staging.publish(unpacked?)?)
}

/// Unpacks into the staging and adds what installers add.
fn install(
    package: &LockedPackage,
    file: files::SharedFile,
    staging: &Staging,
    refused: &(dyn Fn(Defect) -> Error + Sync),
) -> Result<Vec<ShelvedFile>, Error> {
    let archive = Archive::open(file).map_err(refused)?;
    let description = metadata::describe(&archive, package).map_err(refused)?;
    let text = archive
        .text(&description.inside("RECORD"))
        .map_err(refused)?;
    let record = Record::parse(&text).map_err(refused)?;
    let items = layout::lay_out(&archive, &description, &record, package).map_err(refused)?;

    unpack::create_directories(&items, staging)?;
    let mut done = items
        .par_iter()
        .with_max_len(1)
        .filter_map(|item| unpack::unpack(&archive, item, staging, refused).transpose())
        .collect::<Result<Vec<_>, _>>()?;

    for launcher in &description.launchers {
        let text = scripts::launcher(launcher);
        let file = made(Place::Scripts, &launcher.name, text, true);
        done.push(unpack::write(file, staging)?);
    }
    let installer = made(
        Place::SitePackages,
        &description.inside("INSTALLER"),
        "rootstock\n".to_owned(),
        false,
    );
    done.push(unpack::write(installer, staging)?);
    let record = made(
        Place::SitePackages,
        &description.inside("RECORD"),
        record::text(&done, &description.inside("RECORD")),
        false,
    );
    done.push(unpack::write(record, staging)?);
    Ok(done)
}

/// A file that we make ourselves, with its contents.
fn made(place: Place, path: &str, text: String, executable: bool) -> (ShelvedFile, String) {
    let file = ShelvedFile {
        place,
        path: path.to_owned(),
        sha256: Digest::of(&text),
        size: text.len() as u64,
        executable,
    };
    (file, text)
}
