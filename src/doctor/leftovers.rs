//! Staging directories of builds that were killed. They only take space. Their names identify the process that made them,
//! so no clock decides about their age.

use crate::store::Root;
use crate::store::unfinished::{self, Unfinished};

use super::finding::{Code, Finding};

/// Examines every place that a sync sweeps by itself; for the rest there is `gc`.
pub(super) fn examine(root: &Root) -> Vec<Finding> {
    let left = unfinished::abandoned(root).into_iter();
    left.map(finding).collect()
}

fn finding(Unfinished { path, .. }: Unfinished) -> Finding {
    let fix = "the next `rootstock sync` that builds there removes it";
    Finding::new(
        Code::StagingLeft,
        path,
        "left over from a build that was killed",
        fix,
    )
}
