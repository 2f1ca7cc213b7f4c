//! Whether the files are there that a model's numbers come from: of its generation every one but compiled code, whose
//! faults show in the numbers; and the weights. Changes nothing.

use std::path::Path;

use rayon::prelude::*;

use super::tree::{Item, Tree};
use super::{CatalogueWeight, Root, Stamp, inside, prefetched, weights};
use crate::digest::Digest;
use crate::files;
use crate::name::ModelId;

/// Sources and data of a generation that are not as they were built, at most a few. Uses the rayon pool it is called in.
pub(crate) fn changed(generation: &Path, stamp: &Stamp) -> files::Result<Vec<String>> {
    let list = files::read(&generation.join(inside::TREE))?;
    let tree = Tree::parse(&String::from_utf8_lossy(&list)).ok();
    let Some(tree) = tree.filter(|_| Digest::of(&list) == stamp.tree) else {
        return Ok(vec![
            "the list of the generation's files was changed".to_owned(),
        ]);
    };
    let all: Vec<(&String, &Item)> = tree.0.iter().filter(|(path, _)| !is_code(path)).collect();
    let changed = all.par_iter().map(|(path, item)| {
        let Item::File { sha256, .. } = item else {
            return Ok(None);
        };
        // It names places of this machine.
        if *path == inside::CONFIGURATION || path.starts_with("bin/") {
            return Ok(None);
        }
        match weights::digest(&generation.join(path)) {
            Ok(found) if found == *sha256 => Ok(None),
            Ok(_) => Ok(Some(format!("`{path}` of the environment was changed"))),
            Err(error) if error.is_missing() => {
                Ok(Some(format!("`{path}` of the environment is missing")))
            }
            Err(error) => Err(error),
        }
    });
    let changed: Vec<Option<String>> = changed.collect::<files::Result<_>>()?;
    Ok(changed.into_iter().flatten().take(5).collect())
}

/// Compiled code and bytecode.
fn is_code(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let end = Path::new(name).extension();
    end.is_some_and(|end| end == "pyc" || end == "so") || name.contains(".so.")
}

/// Weights by path and sha256, and what is wrong with some.
type Weights = (Vec<(String, Digest)>, Vec<String>);

/// The weights of a model by path and sha256, those that it has fetched itself too; and what is not as it was recorded.
pub(crate) fn weights_of(
    root: &Root,
    model: &ModelId,
    locked: &[CatalogueWeight],
) -> files::Result<Weights> {
    let locked = locked
        .iter()
        .map(|weight| (weight.path.clone(), weight.sha256));
    let mut expected: Vec<(String, Digest)> = locked.collect();
    if expected.is_empty() {
        let fetched = prefetched::read(root, model, false)?;
        let files = fetched.into_iter().flat_map(|fetched| fetched.record.files);
        expected.extend(files.map(|file| (file.path, file.sha256)));
    }
    let paths = expected.iter().map(|(path, _)| path.as_str());
    let found = weights::read(root, paths, true)?;
    let wrong = expected.iter().filter_map(|(path, sha256)| {
        let there = found.get(path).and_then(|found| found.sha256);
        match there {
            Some(there) if there == *sha256 => None,
            Some(_) => Some(format!("weights `{path}` have another sha256")),
            None => Some(format!("weights `{path}` are missing")),
        }
    });
    let wrong = wrong.collect();
    Ok((expected, wrong))
}
