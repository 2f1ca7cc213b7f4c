//! The sha256 of a file of which the index, or the address, gives none that was computed from its bytes: learnt by
//! downloading it, when every other digest that is given of it is right.

use miette::Diagnostic;
use pep440_rs::Version;
use pep508_rs::{PackageName, VersionOrUrl};

use super::choose::Criteria;
use super::failure::Change;
use super::{Failure, Solver};
use crate::digest::{self, Checksum, Digest};
use crate::fetch;
use crate::files::{self, Context};
use crate::lock::{LockedPackage, LockedTarget, Origin};
use crate::manifest::{Environment, Reference};
use crate::name::EnvironmentName;
use crate::report::{chain, help};
use crate::uv::File;

impl Solver<'_> {
    /// Digest and size of a file of an index that gives no sha256. What is locked of it stays, unless it is to move on: a
    /// file that changes is an error when it is fetched, not a new digest.
    pub(super) fn digest(
        &self,
        of: &Criteria,
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

    /// A file that is locked, in any environment, has the same bytes still, unless its package is to move on or the
    /// manifest gives its digest.
    pub(super) fn is_the_locked_file(
        &self,
        of: &Criteria,
        package: &LockedPackage,
    ) -> Result<(), Failure> {
        let environment = of.environment;
        if matches!(package.origin, Origin::Git { .. } | Origin::Path { .. })
            || !self.stays(&environment.name, &package.name)
            || gives_digest(environment, &package.name)
        {
            return Ok(());
        }
        let environments = self.old.iter().flat_map(|old| &old.environments);
        let files = environments.flat_map(|environment| &environment.targets);
        let same = files.flat_map(LockedTarget::files).filter(|locked| {
            locked.name == package.name
                && locked.version == package.version
                && locked.file == package.file
                && locked.origin == package.origin
        });
        let mut locked = same.map(|locked| locked.sha256).peekable();
        match locked.peek().copied() {
            Some(first) if locked.all(|sha256| sha256 != package.sha256) => Err(Failure::Changed {
                environment: environment.name.clone(),
                change: Box::new(Change {
                    package: package.name.clone(),
                    file: package.file.clone(),
                    origin: package.origin.clone(),
                    locked: first,
                    now: package.sha256,
                }),
            }),
            _ => Ok(()),
        }
    }

    /// Downloads a file and returns its digest and size, if it has the digests that were given of it.
    pub(super) fn learn(
        &self,
        environment: &EnvironmentName,
        file: &File,
        given: &[Checksum],
    ) -> Result<(Digest, u64), Failure> {
        let failed = |error: &dyn Diagnostic| Failure::Learn {
            environment: environment.clone(),
            file: file.name.clone(),
            why: chain(error),
            advice: help(error),
        };
        let local = |error: files::Error| failed(&error);
        let work = self.resolver.work.path();
        let place = files::temporary_directory(work, "learn-").map_err(local)?;
        let archive = place.path().join("file");
        let (sha256, size) = fetch::discover(&self.resolver.client, &file.url, &archive, &|_| {})
            .map_err(|error| failed(&error))?;
        let mut checksums = file.checksums.clone();
        checksums.extend_from_slice(given);
        let read = files::open(&archive).and_then(|bytes| {
            let compared = digest::compare(bytes, &checksums);
            compared.context("read", &archive)
        });
        read.map_err(local)?.map_err(|why| Failure::Checksum {
            environment: environment.clone(),
            file: file.address().to_owned(),
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

/// Whether the manifest gives a digest of a package, which is then the one that was compared.
fn gives_digest(environment: &Environment, name: &PackageName) -> bool {
    let asked = environment.dependencies.iter();
    asked
        .filter(|asked| asked.name == *name)
        .any(|asked| match &asked.version_or_url {
            Some(VersionOrUrl::Url(Reference::Url { fragment, .. })) => {
                !fragment.checksums.is_empty()
            }
            _ => false,
        })
}
