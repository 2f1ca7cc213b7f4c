//! The wheels and bytecode that environments are linked from, read to the end.

use crate::build::shelf::{self, Damage};
use crate::files;
use crate::store::{Reading, Root};

use super::Finding;

/// Examines every byte of the store.
pub(super) fn examine(root: &Root, reading: &Reading) -> files::Result<Vec<Finding>> {
    let damaged = shelf::damaged(root, reading)?;
    let finding = |Damage { path, message, .. }| Finding {
        code: "store-damaged",
        path,
        message: message.to_owned(),
        fix: "rootstock sync --repair".into(),
    };
    Ok(damaged.into_iter().map(finding).collect())
}
