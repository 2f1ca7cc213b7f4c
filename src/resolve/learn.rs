//! The sha256 of a file of which the index, or the address, gives none that was computed from its bytes: learnt by
//! downloading it, when every other digest that is given of it is right.

use pep440_rs::Version;
use pep508_rs::PackageName;

use super::choose::For;
use super::{Failure, Solver};
use crate::digest::{self, Checksum, Digest};
use crate::fetch;
use crate::files::{self, Context};
use crate::lock::{LockedTarget, Origin};
use crate::name::EnvironmentName;
use crate::uv::{File, chain};

impl Solver<'_> {
    /// Digest and size of a file of an index that gives no sha256. What is locked of it stays, unless it is to move on: a
    /// file that changes is an error when it is fetched, not a new digest.
    pub(super) fn digest(
        &self,
        of: &For,
        name: &PackageName,
        version: &Version,
        file: &File,
    ) -> Result<(Digest, Option<u64>), Failure> {
        let environment = of.environment;
        let origin = Origin::Index(environment.indexes.get(name).cloned());
        let mut locked = of.old.iter().flat_map(|old| LockedTarget::files(old));
        let locked = locked.find(|package| {
            package.name == *name
                && package.version == *version
                && package.file == file.name
                && package.origin == origin
        });
        match locked.filter(|_| self.stays(&environment.name, name)) {
            Some(package) => Ok((package.sha256, package.size)),
            None => {
                let (sha256, size) = self.learn(&environment.name, file, &[])?;
                Ok((sha256, Some(size)))
            }
        }
    }

    /// Downloads a file and returns its digest and size, if it has the digests that were given of it.
    pub(super) fn learn(
        &self,
        environment: &EnvironmentName,
        file: &File,
        given: &[Checksum],
    ) -> Result<(Digest, u64), Failure> {
        let failed = |why: String, advice: Option<&str>| Failure::Learn {
            environment: environment.clone(),
            file: file.name.clone(),
            why,
            advice: advice.map(str::to_owned),
        };
        let local = |error: files::Error| failed(format!("{error}: {}", error.source), None);
        let work = self.tools.work.path();
        let place = files::temporary_directory(work, "learn-").map_err(local)?;
        let archive = place.path().join("file");
        let (sha256, size) = fetch::discover(&self.tools.client, &file.url, &archive, &|_| {})
            .map_err(|error| failed(chain(&error), error.advice()))?;
        let mut checksums = file.checksums.clone();
        checksums.extend_from_slice(given);
        let read = files::open(&archive).and_then(|bytes| {
            let compared = digest::compare(bytes, &checksums);
            compared.context("read", &archive)
        });
        read.map_err(local)?.map_err(|why| Failure::Checksum {
            environment: environment.clone(),
            file: file
                .url
                .split(['?', '#'])
                .next()
                .unwrap_or_default()
                .to_owned(),
            why,
        })?;
        // Kept for what is built from it.
        let kept = work.join("archives").join(sha256.to_string());
        files::create_directories(&work.join("archives"))
            .and_then(|()| files::rename(&archive, &kept))
            .map_err(local)?;
        Ok((sha256, size))
    }
}
