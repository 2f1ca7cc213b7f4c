//! The managed interpreters of a root, read to the end.

use crate::files;
use crate::store::managed::{self, Stamp, State};
use crate::store::{Root, Verifier, inside};

use super::Finding;

/// Examines every byte of every managed interpreter.
pub(super) fn examine(root: &Root, verifier: &Verifier) -> Vec<Finding> {
    let mut findings = Vec::new();
    let names = files::names(&root.pythons()).unwrap_or_default();
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        let home = root.pythons().join(name);
        let mut find = |path, message: String| {
            findings.push(Finding {
                code: "python-damaged",
                path,
                message,
                fix: "rootstock sync --repair".into(),
            });
        };
        let Some(stamp) = Stamp::read(&home).ok().flatten() else {
            find(
                home.join(inside::STAMP),
                "there is no stamp that can be read".into(),
            );
            continue;
        };
        let state = managed::state(root, &home, &stamp.archive, verifier);
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                find(error.path.clone(), error.text());
                continue;
            }
        };
        match state {
            State::Whole => {}
            State::Missing | State::Unknown => find(
                home.join(inside::TREE),
                "it is not the list that was written with the stamp".into(),
            ),
            State::Damaged(differences) => {
                for difference in differences {
                    find(home.join(&difference.path), difference.what.to_string());
                }
            }
        }
    }
    findings
}
