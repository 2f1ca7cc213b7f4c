//! What builders that are certainly gone have left: it only takes space, and no clock says how old it is. Its name says
//! who made it.

use crate::store::Root;
use crate::store::unfinished::{self, Unfinished};

use super::Finding;

/// Examines every place that a sync sweeps by itself; for the rest there is `gc`.
pub(super) fn examine(root: &Root) -> Vec<Finding> {
    let left = unfinished::abandoned(root).into_iter();
    left.map(finding).collect()
}

fn finding(Unfinished { path, .. }: Unfinished) -> Finding {
    Finding {
        code: "staging-left",
        path,
        message: "a build that was killed has left it".into(),
        fix: "the next `rootstock sync` that builds there removes it".into(),
    }
}
