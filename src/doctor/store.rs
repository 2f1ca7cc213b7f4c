//! The wheels and bytecode that environments are linked from, read to the end.

use crate::files;
use crate::store::wheels::{self, Damage};
use crate::store::{Root, Verifier};

use super::Finding;

/// Examines every byte of the store.
pub(super) fn examine(root: &Root, verifier: &Verifier) -> files::Result<Vec<Finding>> {
    let damaged = wheels::damaged(root, verifier)?;
    let finding = |Damage { path, message, .. }| Finding {
        code: "store-damaged",
        path,
        message: message.to_owned(),
        fix: "rootstock sync --repair".into(),
    };
    Ok(damaged.into_iter().map(finding).collect())
}
