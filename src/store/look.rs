//! A root as it is found on disk: read once, as closely as asked for. Starts no program, changes nothing. `plan::needs`
//! determines what has to be known of it.

use std::collections::BTreeMap;

use crate::access::Access;
use crate::files;
use crate::name::{EnvironmentName, ModelId};

use super::installed::{self, Generation, Installed};
use super::prefetched::{self, Prefetched};
use super::{Catalogue, Root, Verifier, catalogue, layout, weights};

/// What has to be known of a root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// Environments.
    pub environments: Vec<EnvironmentName>,
    /// Weight files, by their paths below the cache.
    pub weights: Vec<String>,
    /// Small files of the cache that are read whole, by their paths below it.
    pub references: Vec<String>,
    /// Models whose records of what they fetched are read.
    pub prefetched: Vec<ModelId>,
}

/// How closely a root is read.
#[derive(Clone, Copy)]
pub enum Depth<'a> {
    /// Names, sizes and stamps: a few milliseconds.
    Quick,
    /// Also every byte of weights.
    Weights,
    /// Also every byte of environments.
    Everything(&'a Verifier<'a>),
}

/// What is on disk, as far as it has to be known.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// What is there of each environment.
    pub environments: BTreeMap<EnvironmentName, Installed>,
    /// Weight files that are there, by path.
    pub weights: BTreeMap<String, weights::Found>,
    /// What models have fetched themselves.
    pub prefetched: BTreeMap<ModelId, Prefetched>,
    /// The texts of small files that are there: what a revision of the hub means.
    pub references: BTreeMap<String, String>,
    /// The catalogue, if there is one that can be read.
    pub catalogue: Option<Catalogue>,
    /// Who may use the root, from its own policy file.
    pub access: Option<Access>,
}

/// A root cannot be looked at.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// Its layout.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Layout(#[from] layout::Error),
    /// Its catalogue.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// Looks at a root. With [`Depth::Everything`] it uses the rayon pool it is called in.
pub fn look(root: &Root, needs: &Needs, depth: Depth) -> Result<Disk, Error> {
    let reads_weights = !matches!(depth, Depth::Quick);
    let mut disk = Disk {
        access: layout::access(root)?,
        catalogue: readable_catalogue(root)?,
        environments: installed::read(root, &needs.environments),
        ..Disk::default()
    };
    let paths = needs.weights.iter().map(String::as_str);
    disk.weights = weights::read(root, paths, reads_weights)?;
    let paths = needs.references.iter().map(String::as_str);
    disk.references = weights::read_texts(root, paths)?;
    for model in &needs.prefetched {
        if let Some(found) = prefetched::read(root, model, reads_weights)? {
            disk.prefetched.insert(model.clone(), found);
        }
    }
    if let Depth::Everything(verifier) = depth {
        mark_damaged(root, &mut disk.environments, verifier);
    }
    Ok(disk)
}

/// The catalogue. One that cannot be read is written again, from the lock alone.
fn readable_catalogue(root: &Root) -> Result<Option<Catalogue>, catalogue::Error> {
    match Catalogue::read(&root.models()) {
        Err(catalogue::Error::Broken { .. }) => Ok(None),
        Err(catalogue::Error::Files(error)) if error.is_unfit() => Ok(None),
        read => read,
    }
}

/// Reads every generation, and marks those as damaged of which a byte has changed.
fn mark_damaged(
    root: &Root,
    environments: &mut BTreeMap<EnvironmentName, Installed>,
    verifier: &Verifier,
) {
    for (name, installed) in environments {
        for (id, generation) in &mut installed.generations {
            let Generation::Complete(complete) = generation else {
                continue;
            };
            if complete.damage.is_some() {
                continue;
            }
            let path = root.generation(name, id);
            complete.damage = match installed::is_intact(root, &path, &complete.stamp, verifier) {
                Ok(true) => None,
                Ok(false) => Some("its files are not those that were built".into()),
                // `gc` has removed it meanwhile, or it cannot be read: it is built again if it is needed.
                Err(error) => Some(error.text()),
            };
        }
    }
}
