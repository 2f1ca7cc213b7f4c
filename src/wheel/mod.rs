//! From a wheel archive to its installed form in the wheel store (PyPA "binary distribution format").
//!
//! ```text
//! archive ──▶ members ──┐
//!             RECORD ───┼──▶ layout: what goes where ──▶ unpack, verified ──▶ launchers, INSTALLER, RECORD ──▶ store
//!             WHEEL ────┘
//! ```
//!
//! Nothing of a wheel is run and nothing of it is trusted: every member must be in `RECORD` with its digest, and none
//! may leave the places meant for it. Bytecode is left out where its source is in the wheel. Beyond the specification,
//! signatures of `RECORD` are dropped with the `RECORD` they sign, and headers go to a directory without Python's version
//! (see [`crate::store::wheels`]).
//!
//! Members are unpacked in parallel on the rayon pool that [`unpack`] is called in.

use std::path::Path;

use rayon::prelude::*;

use crate::digest::Digest;
use crate::files;
use crate::lock::LockedPackage;
use crate::store::Root;

use crate::store::wheels::{self, Scheme, Staging, UnpackedFile, UnpackedWheel};
use archive::Archive;
use record::Record;

mod failed;
mod archive;
mod entry_points;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod layout;
mod members;
mod metadata;
mod record;
mod scripts;

#[cfg(test)]
mod tests;
pub(crate) use failed::{Defect, Error};

/// Unpacks a wheel into the store and returns what it installs. The archive must have this digest and hold
/// this package in this version.
pub(crate) fn unpack(
    root: &Root,
    package: &LockedPackage,
    archive: &Path,
    sha256: &Digest,
) -> Result<UnpackedWheel, Error> {
    let file = files::SharedFile::open(archive)?;
    let refused = |defect| Error::Refused {
        file: package.file.clone(),
        defect,
    };
    let staging = Staging::beside(&wheels::directory(root, sha256), root)?;
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
) -> Result<Vec<UnpackedFile>, Error> {
    let archive = Archive::open(file).map_err(refused)?;
    let description = metadata::describe(&archive, package).map_err(refused)?;
    let text = archive
        .text(&description.inside("RECORD"))
        .map_err(refused)?;
    let record = Record::parse(&text).map_err(refused)?;
    let items = layout::lay_out(&archive, &description, &record, package).map_err(refused)?;

    members::create_directories(&items, staging)?;
    let mut done = items
        .par_iter()
        .with_max_len(1)
        .filter_map(|item| members::unpack(&archive, item, staging, refused).transpose())
        .collect::<Result<Vec<_>, _>>()?;

    for launcher in &description.launchers {
        let text = scripts::launcher(launcher);
        let file = made(Scheme::Scripts, &launcher.name, text, true);
        done.push(members::write(file, staging)?);
    }
    let installer = made(
        Scheme::SitePackages,
        &description.inside("INSTALLER"),
        "rootstock\n".to_owned(),
        false,
    );
    done.push(members::write(installer, staging)?);
    let record = made(
        Scheme::SitePackages,
        &description.inside("RECORD"),
        record::text(&done, &description.inside("RECORD")),
        false,
    );
    done.push(members::write(record, staging)?);
    Ok(done)
}

/// A file that we make ourselves, with its contents.
fn made(scheme: Scheme, path: &str, text: String, executable: bool) -> (UnpackedFile, String) {
    let file = UnpackedFile {
        scheme,
        path: path.to_owned(),
        sha256: Digest::of(&text),
        size: text.len() as u64,
        executable,
    };
    (file, text)
}
