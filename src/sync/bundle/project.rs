//! Manifest, lock, sources, and packages that lie beside the manifest, copied into a bundle as they lie to one another.

use std::path::{Path, PathBuf};

use crate::files::{self, Kind};
use crate::manifest::{Manifest, RecordedNumbers};
use crate::project::pack;

/// A bundle cannot be made in this directory, or of this manifest.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum InvalidDirectory {
    /// The manifest lies in it.
    #[error("`{0}` is the manifest's own directory")]
    #[diagnostic(help("name another one with `-o DIR`"))]
    Own(String),
    /// What the manifest names cannot be copied to the same place.
    #[error("`{0}` lies outside the manifest's directory, and a bundle carries only what is in it")]
    #[diagnostic(help(
        "move the package below the manifest's directory, or build a wheel of it there"
    ))]
    Outside(String),
    /// It lies in what is to be copied.
    #[error("`{output}` lies in `{path}`, which the bundle would hold")]
    #[diagnostic(help("name another directory with `-o DIR`"))]
    Within {
        /// The bundle.
        output: String,
        /// What is to be copied.
        path: String,
    },
}

fn directory_of(manifest: &Manifest) -> &Path {
    manifest.path.parent().unwrap_or(Path::new(""))
}

/// The directory must be another one than the manifest's, and what the manifest names beside itself must lie where it
/// can be copied to the same place.
pub(super) fn check_place(output: &Path, manifest: &Manifest) -> Result<(), InvalidDirectory> {
    let here = directory_of(manifest);
    let real = |path: &Path| files::real_path(path).unwrap_or_else(|_| path.to_owned());
    if real(&here.join(".")) == real(output) {
        return Err(InvalidDirectory::Own(output.display().to_string()));
    }
    for path in manifest.environments.iter().flat_map(|e| e.local.keys()) {
        if path.starts_with("..") || path.starts_with('/') {
            return Err(InvalidDirectory::Outside(path.clone()));
        }
        if real(output).starts_with(real(&here.join(path))) {
            return Err(InvalidDirectory::Within {
                output: output.display().to_string(),
                path: path.clone(),
            });
        }
    }
    Ok(())
}

/// What models name beside the manifest: recorded numbers, structures.
fn files_of_models(manifest: &Manifest) -> impl Iterator<Item = PathBuf> {
    manifest.models.iter().flat_map(|model| {
        let there = |file: &&RecordedNumbers| file.sha256.is_some();
        let reference = model.reference.as_ref().filter(there);
        let reference = reference.map(|file| PathBuf::from(&file.path));
        let structures = model
            .about
            .probe
            .iter()
            .filter_map(|structure| structure.file());
        reference.into_iter().chain(structures.map(PathBuf::from))
    })
}

/// Copies manifest, lock, sources, what models name, and packages that are named by their path.
pub(super) fn carry(manifest: &Manifest, lock: &Path, output: &Path) -> files::Result<()> {
    let here = directory_of(manifest);
    let names = [&*manifest.path, lock].map(|path| path.file_name().unwrap_or_default().into());
    let environments = manifest.environments.iter();
    let sources = environments.map(|environment| PathBuf::from(&environment.source));
    let names = names.into_iter().chain(sources);
    for name in names.chain(files_of_models(manifest)) {
        let bytes = files::read_of_project(here, &name)?;
        let to = output.join(&name);
        files::create_directories(to.parent().unwrap_or(output))?;
        files::write_atomically(&to, &bytes)?;
    }
    for path in manifest.environments.iter().flat_map(|e| e.local.keys()) {
        copy_local(&here.join(path), &output.join(path))?;
    }
    Ok(())
}

/// Copies what a manifest names beside itself: a package's file, or a project's directory with what would be packed of
/// it. What was there before is replaced.
fn copy_local(from: &Path, to: &Path) -> files::Result<()> {
    files::create_directories(to.parent().unwrap_or(to))?;
    if !files::is_directory(from) {
        return files::copy(from, to);
    }
    files::remove_tree(to)?;
    files::create_directories(to)?;
    let wanted = |below: &Path| {
        let name = below.file_name();
        name.is_none_or(|name| !pack::is_left_out(&name.to_string_lossy()))
    };
    for entry in files::walk_some(from, &wanted)? {
        let (from, to) = (from.join(&entry.path), to.join(&entry.path));
        match entry.kind {
            Kind::Directory => files::create_directories(&to)?,
            Kind::File => {
                files::copy(&from, &to)?;
                files::set_mode(&to, entry.mode | 0o200)?;
            }
            Kind::Link => files::symlink(&files::link_target(&from)?.unwrap_or_default(), &to)?,
            Kind::Other => {}
        }
    }
    Ok(())
}
