//! What `rootstock lock` did, for programs (`Serialize`) and for people (`Display`).

use std::collections::BTreeSet;
use std::fmt::{self, Formatter};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::changes::{self, Change};
use super::{Lock, LockedTarget};
use crate::report::{counted, line, table};

/// What became of a lock.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The path of the file.
    pub lock: PathBuf,
    /// Whether it was written.
    pub written: bool,
    /// Everything in which it differs from the one before.
    pub changes: Vec<Change>,
    /// What could not be locked.
    pub failed: Vec<Failed>,
    /// Whether there was none before.
    #[serde(skip)]
    is_first: bool,
    /// Environments, models, files.
    #[serde(skip)]
    counts: [String; 3],
}

/// Something that could not be locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// `environment mace`, `model mace-small`.
    pub subject: String,
    /// The reason, as a part of a sentence.
    pub message: String,
}

impl Report {
    /// The report of a lock that replaces `old` in this file.
    pub fn new(
        path: &Path,
        old: Option<&Lock>,
        lock: &Lock,
        written: bool,
        failed: Vec<Failed>,
    ) -> Self {
        let targets = lock.environments.iter().flat_map(|e| &e.targets);
        let files: BTreeSet<_> = targets
            .flat_map(LockedTarget::files)
            .map(|package| package.sha256)
            .collect();
        Self {
            lock: path.to_owned(),
            written,
            changes: changes::between(old, lock),
            failed,
            is_first: old.is_none(),
            counts: [
                counted(lock.environments.len(), "environment"),
                counted(lock.models.len(), "model"),
                counted(files.len(), "file"),
            ],
        }
    }
}

/// In what a lock differs from another one.
#[derive(Debug, Serialize)]
pub struct Diff {
    /// Everything.
    changes: Vec<Change>,
}

impl Diff {
    /// The differences of `now` to `was`.
    pub fn new(was: &Lock, now: &Lock) -> Self {
        Self {
            changes: changes::between(Some(was), now),
        }
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return line(out, "nothing has changed");
        }
        changes_table(out, &self.changes)
    }
}

fn changes_table(out: &mut Formatter<'_>, changes: &[Change]) -> fmt::Result {
    let title = ["where", "what", "was", "now"].map(str::to_owned);
    let rows = changes.iter().map(Change::row);
    let rows: Vec<[String; 4]> = std::iter::once(title).chain(rows).collect();
    table(out, &rows)
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        // A lock that was not there before changes in everything: the count says it, a table would bury it.
        if !self.is_first && !self.changes.is_empty() {
            changes_table(out, &self.changes)?;
        }
        let did = match (self.written, self.failed.is_empty()) {
            (false, true) if !self.changes.is_empty() => "would be written",
            (true, _) => "written",
            (false, true) => "is up to date",
            (false, false) => "is as it was",
        };
        let (path, counts) = (self.lock.display(), self.counts.join(", "));
        line(out, format_args!("{path} {did}: {counts}"))
    }
}
