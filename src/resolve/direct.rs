//! Direct references on their way to uv and back: paths made absolute, directories packed, commits that are locked
//! kept; and of what uv answers, the one file that is locked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pep508_rs::{PackageName, VersionOrUrl};

use super::choose::Candidate;
use super::{Failure, Moving, Solver};
use crate::digest::Digest;
use crate::fetch::file_address;
use crate::files;
use crate::lock::{LockedEnvironment, LockedTarget, Origin, SpelledPackage};
use crate::manifest::{Environment, Reference, Requirement, normal_form};
use crate::name::EnvironmentName;
use crate::project::{Packed, git, pack};
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
            Reference::Url(url) => url.clone(),
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
            Reference::Path(path) => {
                let there = self.tools.here.join(path);
                let directory = environment.local.get(path).is_some_and(|l| l.directory);
                if directory {
                    let (archive, _) = self
                        .packed(&there)
                        .map_err(|error| unpacked(environment, path, &error))?;
                    let file = gzipped(&archive, requirement.name.as_ref());
                    file_address(&file.map_err(|error| unpacked(environment, path, &error))?)
                } else {
                    let real = files::real_path(&there);
                    file_address(&real.map_err(|error| unpacked(environment, path, &error))?)
                }
            }
        };
        // The reference stands between ` @ ` and the marker, which no reference holds.
        Ok(line.replacen(&format!(" @ {reference}"), &format!(" @ {led_to}"), 1))
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

    /// The packages of an answer, those of direct references with the file that they are locked as.
    pub(super) fn candidates(
        &self,
        environment: &Environment,
        packages: Vec<Package>,
    ) -> Result<Vec<Candidate>, Failure> {
        let candidate = |package: Package| {
            let direct = match &package.direct {
                Some(direct) => Some(self.file(environment, &package, direct)?),
                None => None,
            };
            Ok(Candidate { package, direct })
        };
        packages.into_iter().map(candidate).collect()
    }

    fn file(
        &self,
        environment: &Environment,
        package: &Package,
        direct: &Direct,
    ) -> Result<(Origin, File), Failure> {
        let wrong = |reason: String| Failure::Answer {
            environment: environment.name.clone(),
            reason,
        };
        let tree = |archive: &Path, packed: Packed| File {
            name: format!("{}-{}.tar", package.name, package.version),
            url: file_address(archive),
            size: Some(packed.size),
            sha256: packed.sha256,
        };
        match direct {
            Direct::Git {
                url,
                commit,
                subdirectory,
            } => {
                let subdirectory = subdirectory.clone().filter(|within| within != ".");
                let (archive, packed) =
                    self.commit(url, commit)
                        .map_err(|error| Failure::Repository {
                            environment: environment.name.clone(),
                            package: package.name.clone(),
                            why: Box::new(error),
                        })?;
                let origin = Origin::Git {
                    url: url.clone(),
                    commit: commit.clone(),
                    subdirectory,
                };
                Ok((origin, tree(&archive, packed)))
            }
            Direct::Archive(file) if file.url.contains("://") => {
                let url = file.url.split('#').next().unwrap_or(&file.url);
                let authority = url.split('/').nth(2).unwrap_or_default();
                if authority.contains('@') {
                    return Err(wrong(format!(
                        "another package names an address with credentials for `{}`, which cannot be locked",
                        package.name
                    )));
                }
                Ok((Origin::Url(url.to_owned()), file.clone()))
            }
            Direct::Archive(file) => {
                let asked = |requirement: &&Requirement| {
                    requirement.name.as_ref() == package.name
                        && matches!(
                            &requirement.version_or_url,
                            Some(VersionOrUrl::Url(Reference::Path(_)))
                        )
                };
                let asked = environment.dependencies.iter().find(asked);
                let Some(VersionOrUrl::Url(Reference::Path(path))) =
                    asked.and_then(|requirement| requirement.version_or_url.as_ref())
                else {
                    return Err(wrong(format!(
                        "another package names a path of this machine for `{}`: name it under `dependencies`",
                        package.name
                    )));
                };
                let local = environment.local[path];
                let origin = Origin::Path(path.clone());
                if local.directory {
                    let packed = Packed {
                        sha256: local.sha256,
                        size: local.size,
                    };
                    let (archive, now) = self
                        .packed(&self.tools.here.join(path))
                        .map_err(|error| unpacked(environment, path, &error))?;
                    if now != packed {
                        return Err(wrong(format!("`{path}` changes while it is being locked")));
                    }
                    return Ok((origin, tree(&archive, packed)));
                }
                if local.sha256 != file.sha256 {
                    return Err(wrong(format!("`{path}` changes while it is being locked")));
                }
                let there = self.tools.here.join(path);
                let file = File {
                    url: file_address(&files::absolute(&there).unwrap_or(there)),
                    size: Some(local.size),
                    ..file.clone()
                };
                Ok((origin, file))
            }
        }
    }

    /// A directory as an archive, in a place of its own.
    fn packed(&self, directory: &Path) -> files::Result<(PathBuf, Packed)> {
        let place = files::temporary_directory(self.tools.work.path(), "packed-")?.keep();
        let archive = place.join("project.tar");
        let packed = pack::pack(directory, files::create_new(&archive, 0o644)?)?;
        Ok((archive, packed))
    }

    /// The files of a commit as an archive.
    fn commit(&self, url: &str, commit: &str) -> Result<(PathBuf, Packed), git::Error> {
        let place = files::temporary_directory(self.tools.work.path(), "commit-")?;
        git::fetch(
            url,
            commit,
            place.path(),
            self.means.path,
            self.means.variables,
        )?;
        Ok(self.packed(place.path())?)
    }

    /// Whether a package is to stay as it is locked.
    fn stays(&self, environment: &EnvironmentName, name: &PackageName) -> bool {
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
        packages: &[SpelledPackage],
    ) -> Vec<(String, String)> {
        let pin =
            |package: &SpelledPackage| (package.name.to_string(), package.version.to_string());
        let stays = packages.iter().filter(|package| {
            self.stays(environment, &package.name) && matches!(package.origin, Origin::Index(_))
        });
        stays.map(pin).collect()
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
        reason: format!("`{path}` cannot be read: {error}: {}", error.source),
    }
}
