//! What a sync would do, and what that takes: for `--dry-run` and `--check`. Changes nothing.

use crate::build;
use crate::build::estimate::{self, BuildEstimate};
use crate::files;
use crate::plan::{Action, Plan, Step};
use crate::store::Root;

/// A plan with what carrying it out takes.
#[derive(Debug)]
pub struct Preview<'p> {
    /// What would be done.
    pub plan: &'p Plan<'p>,
    /// What each step of it takes, in their order; `None` if nothing is built.
    pub estimates: Vec<Option<BuildEstimate>>,
    /// How many files would be downloaded.
    pub files: usize,
    /// How many bytes they have, as far as the lock has it.
    pub download: u64,
    /// How many bytes everything that is built takes, if nothing is linked.
    pub bytes: u64,
    /// How many inodes.
    pub inodes: u64,
}

/// Looks at the store for what carrying out this plan takes.
pub fn preview<'p>(plan: &'p Plan<'p>, root: &Root) -> files::Result<Preview<'p>> {
    let (files, download) = build::to_download(plan, root);
    let one = |step: &Step| match step.action {
        Action::Build { .. } => estimate::estimate(step, root).map(Some),
        Action::Keep { .. } | Action::Flip { .. } => Ok(None),
    };
    let estimates: files::Result<Vec<_>> = plan.steps.iter().map(one).collect();
    let estimates = estimates?;
    let sum = |amount: fn(&BuildEstimate) -> u64| estimates.iter().flatten().map(amount).sum();
    Ok(Preview {
        plan,
        files,
        download,
        bytes: sum(|estimate| estimate.bytes),
        inodes: sum(|estimate| estimate.inodes),
        estimates,
    })
}
