//! The wheels and bytecode that environments are linked from, read completely.

use crate::files;
use crate::store::wheels::{self, Damage};
use crate::store::{Root, Verifier};

use super::finding::{Code, Finding};

/// Examines every byte of the store.
pub(super) fn examine(root: &Root, verifier: &Verifier) -> files::Result<Vec<Finding>> {
    let damaged = wheels::damaged(root, verifier)?;
    let finding = |Damage { path, message, .. }| {
        Finding::new(Code::StoreDamaged, path, message, "rootstock sync --repair")
    };
    Ok(damaged.into_iter().map(finding).collect())
}
