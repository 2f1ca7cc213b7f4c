//! What a sync would do, and what that takes: for `--dry-run` and `--check`. Changes nothing.

use crate::build;
use crate::build::estimate::{self, BuildEstimate};
use crate::doctor::Room;
use crate::files;
use crate::plan::{Action, Plan, Step};
use crate::store::Root;

mod report;

/// A plan with what carrying it out takes; the report of a dry run.
#[derive(Debug)]
pub struct Preview<'p> {
    /// The root.
    pub root: &'p Root,
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
    /// What may still be written, as far as it was examined.
    pub room: Vec<Room>,
}

/// Looks at the store for what carrying out this plan takes.
pub fn preview<'p>(
    plan: &'p Plan<'p>,
    root: &'p Root,
    space: Vec<Room>,
) -> files::Result<Preview<'p>> {
    let (files, download) = build::to_download(plan, root);
    let estimate_of = |step: &Step| match step.action {
        Action::Build { .. } => estimate::estimate(step, root).map(Some),
        Action::Keep { .. } | Action::Flip { .. } => Ok(None),
    };
    let estimates: files::Result<Vec<_>> = plan.steps.iter().map(estimate_of).collect();
    let estimates = estimates?;
    let sum = |amount: fn(&BuildEstimate) -> u64| estimates.iter().flatten().map(amount).sum();
    Ok(Preview {
        root,
        plan,
        files,
        download,
        bytes: sum(|estimate| estimate.bytes),
        inodes: sum(|estimate| estimate.inodes),
        estimates,
        room: space,
    })
}

impl Preview<'_> {
    /// Whether all that is to be built may not fit.
    fn exceeds(&self, room: &Room) -> bool {
        let bytes = room.bytes.is_some_and(|left| left < self.bytes);
        bytes || room.inodes.is_some_and(|left| left < self.inodes)
    }
}
