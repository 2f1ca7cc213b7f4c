//! Copies the recorded numbers of models into a root, so that the root is enough to compare others with them.

use std::path::Path;

use crate::digest::Digest;
use crate::files;
use crate::lock::Lock;
use crate::manifest::Manifest;
use crate::name::EnvironmentName;
use crate::store::{Root, references};

/// Copies what the root does not have yet of the models of these environments. A file that is not the recorded one stays
/// where it is: `rootstock lock --check` reports it.
pub fn publish(
    root: &Root,
    manifest: &Manifest,
    lock: &Lock,
    environments: &[EnvironmentName],
) -> files::Result<()> {
    let here = manifest.path.parent().unwrap_or(Path::new(""));
    let models = lock.models.iter();
    for model in models.filter(|model| environments.contains(&model.environment)) {
        let Some(record) = &model.reference else {
            continue;
        };
        if references::has(root, &model.id, &record.sha256) {
            continue;
        }
        let bytes = match files::read_of_project(here, Path::new(&record.path)) {
            Err(error) if error.is_missing() => continue,
            bytes => bytes?,
        };
        if Digest::of(&bytes) == record.sha256 {
            references::write(root, &model.id, &bytes)?;
        }
    }
    Ok(())
}
