//! The managed interpreters of a root, read completely.

use std::path::{Path, PathBuf};

use crate::files;
use crate::store::managed::{self, Stamp, State};
use crate::store::{Root, Verifier, inside};

use super::finding::{Code, Finding};

/// Examines every byte of every managed interpreter.
pub(super) fn examine(root: &Root, verifier: &Verifier) -> Vec<Finding> {
    let names = files::names(&root.pythons()).unwrap_or_default();
    let names = names.iter().filter(|name| !name.starts_with('.'));
    names
        .flat_map(|name| damage(root, &root.pythons().join(name), verifier))
        .map(|(path, message)| {
            Finding::new(
                Code::PythonDamaged,
                path,
                message,
                "rootstock sync --repair",
            )
        })
        .collect()
}

/// Damaged files of one interpreter, with what is wrong with each.
fn damage(root: &Root, home: &Path, verifier: &Verifier) -> Vec<(PathBuf, String)> {
    let Some(stamp) = Stamp::read(home).ok().flatten() else {
        return vec![(home.join(inside::STAMP), "it has no readable stamp".into())];
    };
    match managed::state(root, home, &stamp.archive, verifier) {
        Ok(State::Whole) => Vec::new(),
        Ok(State::Missing | State::Unknown) => {
            let message = "it is not the list that was written with the stamp";
            vec![(home.join(inside::TREE), message.into())]
        }
        Ok(State::Damaged(differences)) => differences
            .into_iter()
            .map(|difference| (home.join(&difference.path), difference.what.to_string()))
            .collect(),
        Err(error) => vec![(error.path.clone(), error.text())],
    }
}
