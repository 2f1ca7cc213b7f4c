//! What builders that are certainly gone have left: it only takes space, and no clock says how old it is. Who made it
//! stands in its name.

use std::path::PathBuf;

use crate::files::{self, maker};
use crate::store::Root;

use super::Finding;

/// Examines every place that a sync sweeps by itself; what else there is takes `gc`.
pub(super) fn examine(root: &Root) -> Vec<Finding> {
    let mut places = vec![root.pythons(), root.path().join("envs")];
    for parent in [root.path().join("generations"), root.store()] {
        // What cannot be listed is told by others, or closed to us.
        let names = files::names(&parent).unwrap_or_default().into_iter();
        places.extend(names.map(|name| parent.join(name)));
    }
    let mut findings = Vec::new();
    for place in places {
        for name in files::names(&place).unwrap_or_default() {
            if name.starts_with('.') && maker::in_name(&name).is_some_and(maker::is_gone) {
                findings.push(finding(place.join(name)));
            }
        }
    }
    findings
}

fn finding(path: PathBuf) -> Finding {
    Finding {
        code: "staging-left",
        path,
        message: "a build that was killed has left it".into(),
        fix: "the next `rootstock sync` that builds there removes it".into(),
    }
}
