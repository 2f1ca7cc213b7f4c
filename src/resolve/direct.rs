//! Direct references on their way to uv and back: paths made absolute, directories packed, commits that are locked
//! kept; and of what uv answers, the one file that is locked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pep508_rs::{PackageName, VersionOrUrl};

use super::choose::Candidate;
use super::{Failure, Moving, Solver};
use crate::digest::{Checksum, Digest, Mismatch};
use crate::fetch::file_address;
use crate::files;
use crate::lock::{InternedPackage, LockedEnvironment, LockedTarget, Origin};
use crate::manifest::{Environment, Fragment, Reference, Requirement, normal_form};
use crate::name::{self, EnvironmentName};
use crate::project::{Packed, git, pack, unpack};
use crate::report::{chain, help};
use crate::uv::{Direct, File, Package};

impl Solver<'_> {
    /// The dependencies as uv reads them.
    pub(super) fn requirements(
        &self,
        environment: &Environment,
        old: Option<&LockedEnvironment>,
    ) -> Result<Vec<String>, Failure> {
        let mut lines: Vec<String> = environment
            .dependencies
            .iter()
            .map(|requirement| self.requirement(environment, requirement, old))
            .collect::<Result<_, _>>()?;
        lines.sort();
        lines.dedup();
        Ok(lines)
    }

    fn requirement(
        &self,
        environment: &Environment,
        requirement: &Requirement,
        old: Option<&LockedEnvironment>,
    ) -> Result<String, Failure> {
        let line = normal_form(requirement);
        let Some(VersionOrUrl::Url(reference)) = &requirement.version_or_url else {
            return Ok(line);
        };
        let led_to = match reference {
            // Digests are compared with the file's bytes, not by uv, which takes the word of an address for them.
            Reference::Url { url, fragment } => Reference::Url {
                url: url.clone(),
                fragment: Fragment {
                    checksums: Vec::new(),
                    ..fragment.clone()
                },
            }
            .to_string(),
            Reference::Git {
                url,
                revision,
                subdirectory,
            } => {
                let locked = old.and_then(|old| self.locked_commit(requirement, &line, old));
                let git = Reference::Git {
                    url: url.clone(),
                    revision: locked.or_else(|| revision.clone()),
                    subdirectory: subdirectory.clone(),
                };
                git.to_string()
            }
            Reference::Path { path, fragment } => {
                let within = fragment.subdirectory.as_deref();
                self.beside(environment, &requirement.name, path, within)?
            }
        };
        // The reference stands between ` @ ` and the marker, which no reference holds.
        Ok(line.replacen(&format!(" @ {reference}"), &format!(" @ {led_to}"), 1))
    }

    /// The address, for uv, of what is beside the manifest. uv knows no subdirectories of archives on a disk, so it is
    /// given an archive of the project alone.
    fn beside(
        &self,
        environment: &Environment,
        name: &PackageName,
        path: &str,
        within: Option<&str>,
    ) -> Result<String, Failure> {
        let failed = |error| unpacked(environment, path, &error);
        let there = self.resolver.here.join(path);
        let directory = environment.local.get(path).is_some_and(|l| l.directory);
        let project = match within {
            None if !directory => {
                return Ok(file_address(&files::real_path(&there).map_err(failed)?));
            }
            None => there,
            Some(within) if directory => there.join(within),
            Some(within) => {
                let place = files::temporary_directory(self.resolver.work.path(), "unpacked-");
                let place = place.map_err(failed)?.keep();
                let file = path.rsplit('/').next().unwrap_or(path);
                let top = unpack::unpack(&there, file, &place.join("source"));
                top.map_err(|error| Failure::Answer {
                    environment: environment.name.clone(),
                    reason: error.to_string(),
                })?
                .join(within)
            }
        };
        if !files::is_directory(&project) {
            return Err(Failure::Answer {
                environment: environment.name.clone(),
                reason: format!("`{path}` has no directory `{}`", within.unwrap_or(".")),
            });
        }
        let (archive, _) = self.packed(&project).map_err(failed)?;
        Ok(file_address(
            &gzipped(&archive, name.as_ref()).map_err(failed)?,
        ))
    }

    /// The commit that is locked for the same words, unless it is to move on.
    fn locked_commit(
        &self,
        requirement: &Requirement,
        line: &String,
        old: &LockedEnvironment,
    ) -> Option<String> {
        if !old.question.values("dependency").contains(line)
            || !self.stays(&old.name, &requirement.name)
        {
            return None;
        }
        let mut packages = old.targets.iter().flat_map(|target| &target.packages);
        match &packages.find(|p| p.name == requirement.name)?.origin {
            Origin::Git { commit, .. } => Some(commit.clone()),
            _ => None,
        }
    }

    /// The packages of an answer, those of direct references with the file that they are locked as. `requires` is what
    /// was asked, where that is build requirements.
    pub(super) fn candidates(
        &self,
        environment: &Environment,
        requires: &[String],
        packages: Vec<Package>,
    ) -> Result<Vec<Candidate>, Failure> {
        let candidate = |package: Package| {
            let direct = match &package.direct {
                Some(direct) => Some(self.file(environment, requires, &package, direct)?),
                None => None,
            };
            Ok(Candidate { package, direct })
        };
        packages.into_iter().map(candidate).collect()
    }

    fn file(
        &self,
        environment: &Environment,
        requires: &[String],
        package: &Package,
        direct: &Direct,
    ) -> Result<(Origin, File), Failure> {
        let wrong = |reason: String| Failure::Answer {
            environment: environment.name.clone(),
            reason,
        };
        match direct {
            Direct::Git {
                url,
                commit,
                subdirectory,
            } => {
                let subdirectory = subdirectory.clone().filter(|within| within != ".");
                let (archive, packed) =
                    self.commit(url, commit, subdirectory.as_deref())
                        .map_err(|error| Failure::Repository {
                            environment: environment.name.clone(),
                            package: package.name.clone(),
                            advice: help(&error),
                            why: Box::new(error),
                        })?;
                let origin = Origin::Git {
                    url: url.clone(),
                    commit: commit.clone(),
                    subdirectory,
                };
                Ok((origin, tree(package, &archive, packed)))
            }
            Direct::Archive {
                file,
                subdirectory,
                given,
            } if file.url.contains("://") => {
                let url = file.url.split('#').next().unwrap_or(&file.url);
                let authority = url.split('/').nth(2).unwrap_or_default();
                if authority.contains('@') {
                    return Err(wrong(format!(
                        "another package names an address with credentials for `{}`, which cannot be locked",
                        package.name
                    )));
                }
                let origin = Origin::Url {
                    url: url.to_owned(),
                    subdirectory: subdirectory.clone().filter(|within| within != "."),
                };
                let file = self.verified(environment, requires, package, (file, given))?;
                Ok((origin, file))
            }
            Direct::Archive { file, .. } => self.local(environment, package, file),
        }
    }

    /// What is beside the manifest, as it was when the manifest was read.
    fn local(
        &self,
        environment: &Environment,
        package: &Package,
        file: &File,
    ) -> Result<(Origin, File), Failure> {
        let wrong = |reason: String| Failure::Answer {
            environment: environment.name.clone(),
            reason,
        };
        let asked = environment
            .dependencies
            .iter()
            .filter(|asked| asked.name.as_ref() == package.name);
        let mut asked = asked.filter_map(|asked| match &asked.version_or_url {
            Some(VersionOrUrl::Url(Reference::Path { path, fragment })) => Some((path, fragment)),
            _ => None,
        });
        let Some((path, fragment)) = asked.next() else {
            return Err(wrong(format!(
                "another package names a path of this machine for `{}`: name it under `dependencies`",
                package.name
            )));
        };
        let changes = || wrong(format!("`{path}` changes while it is being locked"));
        let local = environment.local[path];
        let origin = Origin::Path {
            path: path.clone(),
            subdirectory: fragment.subdirectory.clone(),
        };
        let there = self.resolver.here.join(path);
        if local.directory {
            let (archive, now) = self
                .packed(&there)
                .map_err(|error| unpacked(environment, path, &error))?;
            if (now.sha256, now.size) != (local.sha256, local.size) {
                return Err(changes());
            }
            return Ok((origin, tree(package, &archive, now)));
        }
        // With a subdirectory, uv has seen another archive.
        if fragment.subdirectory.is_none() && file.sha256 != Some(local.sha256) {
            return Err(changes());
        }
        let file = File {
            name: path.rsplit('/').next().unwrap_or(path).to_owned(),
            url: file_address(&files::absolute(&there).unwrap_or(there)),
            size: Some(local.size),
            sha256: Some(local.sha256),
            checksums: Vec::new(),
        };
        Ok((origin, file))
    }

    /// The file at an address, when it has the digests that those who name the address give of it.
    fn verified(
        &self,
        environment: &Environment,
        requires: &[String],
        package: &Package,
        (file, given): (&File, &[Checksum]),
    ) -> Result<File, Failure> {
        let digest_of = |requirement: &Requirement| match &requirement.version_or_url {
            Some(VersionOrUrl::Url(Reference::Url { fragment, .. }))
                if requirement.name.as_ref() == package.name =>
            {
                Some(fragment.checksums.clone())
            }
            _ => None,
        };
        let requires = requires
            .iter()
            .filter_map(|line| name::requirement(line).ok());
        let by_build: Vec<_> = requires.filter_map(|line| digest_of(&line)).collect();
        let by_manifest: Vec<_> = environment
            .dependencies
            .iter()
            .filter_map(digest_of)
            .collect();
        let all: Vec<Checksum> = by_build
            .iter()
            .chain(&by_manifest)
            .flatten()
            .chain(given)
            .cloned()
            .collect();
        // What uv was asked for without a digest, it has computed one of.
        let sha256 = file
            .sha256
            .filter(|_| by_build.is_empty() && !by_manifest.is_empty());
        if let Some(sha256) = sha256
            && all.iter().all(|checksum| checksum.sha256().is_some())
        {
            return match all.into_iter().find(|one| one.sha256() != Some(sha256)) {
                None => Ok(file.clone()),
                Some(expected) => Err(Failure::Checksum {
                    environment: environment.name.clone(),
                    file: file.address().to_owned(),
                    why: Mismatch {
                        expected,
                        got: sha256.to_string(),
                    },
                }),
            };
        }
        let (sha256, size) = self.learn(&environment.name, file, &all)?;
        Ok(File {
            sha256: Some(sha256),
            size: Some(size),
            ..file.clone()
        })
    }

    /// A directory as an archive, in a place of its own.
    fn packed(&self, directory: &Path) -> files::Result<(PathBuf, Packed)> {
        let place = files::temporary_directory(self.resolver.work.path(), "packed-")?.keep();
        let archive = place.join("project.tar");
        let packed = pack::pack(directory, files::create_new(&archive, 0o644)?)?;
        Ok((archive, packed))
    }

    /// The files of a commit as an archive.
    fn commit(
        &self,
        url: &str,
        commit: &str,
        within: Option<&str>,
    ) -> Result<(PathBuf, Packed), git::Error> {
        let place = files::temporary_directory(self.resolver.work.path(), "commit-")?;
        git::fetch(
            url,
            commit,
            within,
            place.path(),
            self.context.path,
            self.context.variables,
        )?;
        Ok(self.packed(place.path())?)
    }

    /// Whether a package is to stay as it is locked.
    pub(super) fn stays(&self, environment: &EnvironmentName, name: &PackageName) -> bool {
        match self.upgrade.of(environment) {
            Moving::Nothing => true,
            Moving::All => false,
            Moving::Packages(names) => !names.contains(name),
        }
    }

    /// The files of a target that stay as they are locked, those that only building takes too.
    pub(super) fn stay(
        &self,
        environment: &EnvironmentName,
        old: &LockedTarget,
    ) -> BTreeSet<Digest> {
        let stays = old
            .files()
            .filter(|package| self.stays(environment, &package.name));
        stays.map(|package| package.sha256).collect()
    }

    /// The versions of these packages, to stay with.
    pub(super) fn preferences(
        &self,
        environment: &EnvironmentName,
        packages: &[InternedPackage],
    ) -> Vec<(String, String)> {
        let pin =
            |package: &InternedPackage| (package.name.to_string(), package.version.to_string());
        let stays = packages.iter().filter(|package| {
            self.stays(environment, &package.name) && matches!(package.origin, Origin::Index(_))
        });
        stays.map(pin).collect()
    }
}

/// The archive of a tree as the file of a package.
fn tree(package: &Package, archive: &Path, packed: Packed) -> File {
    File {
        name: format!("{}-{}.tar", package.name, package.version),
        url: file_address(archive),
        size: Some(packed.size),
        sha256: Some(packed.sha256),
        checksums: Vec::new(),
    }
}

/// uv takes archives by the ending of their names, and of tar only compressed ones.
fn gzipped(archive: &Path, name: &str) -> files::Result<PathBuf> {
    use files::Context;
    let to = archive.with_file_name(format!("{name}.tar.gz"));
    let out = files::create_new(&to, 0o644)?;
    let mut out = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    std::io::copy(&mut files::open(archive)?, &mut out).context("compress", archive)?;
    out.finish().context("write", &to)?;
    Ok(to)
}

fn unpacked(environment: &Environment, path: &str, error: &files::Error) -> Failure {
    Failure::Answer {
        environment: environment.name.clone(),
        reason: format!("`{path}` cannot be read: {}", chain(error)),
    }
}
