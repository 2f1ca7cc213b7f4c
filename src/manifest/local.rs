//! Dependencies, with the digests of what they name beside the manifest.

use std::collections::BTreeMap;
use std::path::Path;

use pep508_rs::VersionOrUrl;

use super::complaint::{Text, nearest_path};
use super::reader::Placed;
use super::{Fragment, Local, Reference, Requirement, is_archive, value};
use crate::digest::{self, Digest};
use crate::files::{self, Context};
use crate::project::{Packed, pack};

/// The requirements, and what they name beside the manifest, by path. `here` is the manifest's directory.
pub(super) fn dependencies(
    text: &mut Text,
    here: &Path,
    all: &[Placed<String>],
) -> (Vec<Requirement>, BTreeMap<String, Local>) {
    let (mut requirements, mut local) = (Vec::new(), BTreeMap::new());
    for placed in all {
        let Some(requirement) = value::requirement(text, placed) else {
            continue;
        };
        if let Some(VersionOrUrl::Url(Reference::Path { path, fragment })) =
            &requirement.version_or_url
        {
            match look(here, path, fragment) {
                Ok(found) => {
                    local.insert(path.clone(), found);
                }
                Err((label, help)) => text.complain(
                    placed.span.clone(),
                    format!("`{path}` cannot be installed"),
                    label,
                    Some(match nearest_path(here, Path::new(path)) {
                        Some(near) if !files::exists(&here.join(path)) => {
                            format!("did you mean `./{}`?", near.trim_start_matches("./"))
                        }
                        _ => help.to_owned(),
                    }),
                ),
            }
        }
        requirements.push(requirement);
    }
    (requirements, local)
}

const WHAT: &str = "name a wheel, a source distribution (.tar.gz, .zip) or a directory with a `pyproject.toml`, \
                    relative to the manifest";

/// What is wrong with a path, and what to do.
type Refusal = (String, &'static str);

fn unreadable(error: &files::Error) -> Refusal {
    (error.source.to_string(), WHAT)
}

/// What is at this path.
fn look(here: &Path, path: &str, fragment: &Fragment) -> Result<Local, Refusal> {
    let there = here.join(path);
    if files::exists(&there) {
        files::in_project(here, Path::new(path)).map_err(|error| unreadable(&error))?;
    }
    if files::is_directory(&there) {
        return directory(here, &there, fragment);
    }
    if !is_archive(path) {
        let label = if files::exists(&there) {
            "neither a directory nor an archive of a package"
        } else {
            "there is nothing"
        };
        return Err((label.to_owned(), WHAT));
    }
    archive(&there, fragment)
}

fn directory(here: &Path, there: &Path, fragment: &Fragment) -> Result<Local, Refusal> {
    let manifest = files::real_path(&here.join(".")).map_err(|error| unreadable(&error))?;
    if pack::holds(
        &files::real_path(there).map_err(|error| unreadable(&error))?,
        &manifest,
    ) {
        return Err((
            "this directory holds the manifest itself".to_owned(),
            "a lock cannot hold a digest of itself: keep the project in a directory beside the manifest",
        ));
    }
    if let Some(checksum) = fragment.checksums.first() {
        return Err((
            format!("a directory has no {}", checksum.algorithm().name()),
            "remove the digest: the lock has one of the directory's files",
        ));
    }
    let project = match &fragment.subdirectory {
        Some(within) => there.join(within),
        None => there.to_owned(),
    };
    if !["pyproject.toml", "setup.py"]
        .iter()
        .any(|name| files::exists(&project.join(name)))
    {
        return Err((
            "neither `pyproject.toml` nor `setup.py` is there".to_owned(),
            WHAT,
        ));
    }
    let Packed { sha256, size } = pack::digest(there).map_err(|error| unreadable(&error))?;
    Ok(Local {
        sha256,
        size,
        directory: true,
    })
}

fn archive(there: &Path, fragment: &Fragment) -> Result<Local, Refusal> {
    if !fragment.checksums.is_empty() {
        let file = files::open(there).map_err(|error| unreadable(&error))?;
        let compared = digest::compare(file, &fragment.checksums);
        let compared = compared
            .context("read", there)
            .map_err(|error| unreadable(&error))?;
        compared.map_err(|mismatch| {
            (
                format!("it {mismatch}"),
                "put the file there that you trust, or write its own digest",
            )
        })?;
    }
    let file = files::open(there).map_err(|error| unreadable(&error))?;
    let (sha256, size) = Digest::of_reader(file)
        .context("read", there)
        .map_err(|error| unreadable(&error))?;
    Ok(Local {
        sha256,
        size,
        directory: false,
    })
}
