//! What can be removed from a root, what is kept and why, and what became of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::used::Used;
use crate::files;
use crate::files::reclaim::Room;
use crate::store::Root;

/// How much is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many generations of each environment, beside those that links and pins lead to: those last led to.
    pub keep: usize,
    /// What was in use, or made, more recently than this.
    pub older_than: Duration,
}

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An environment as it was.
    Generation,
    /// The link of an environment that the catalogue does not have any more.
    Link,
    /// A managed interpreter.
    Python,
    /// A wheel in installed form.
    Wheel,
    /// Bytecode of a wheel.
    Bytecode,
    /// A wheel that was built from a source distribution.
    Built,
    /// A file as it was downloaded.
    Archive,
    /// A download that broke off.
    Part,
    /// Something unfinished whose maker is gone.
    Unfinished,
    /// What was moved out of the way before.
    Trash,
}

/// Something that can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What kind of thing it is.
    pub kind: Kind,
    /// What it is, for people: `mace@0123…`, `ase 3.26.0`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A generation that nothing leads to, or a managed interpreter, or something in the trash, that stays for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What kind of thing it is.
    pub kind: Kind,
    /// What it is, for people.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Why it stays.
    pub because: Why,
}

/// Why something stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// This name below `envs` leads to it.
    Led(String),
    /// It is pinned.
    Pinned,
    /// These processes of this host use it.
    InUse(Vec<u32>),
    /// It is one of so many that are kept.
    Newest(usize),
    /// It was in use, or made, so long ago.
    Recent(Duration),
    /// Something is left that cannot be read: it may need anything.
    Unknown(PathBuf),
}

/// What goes and what stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// What goes.
    pub items: Vec<Item>,
    /// What stays though no link leads to it, or because it is in use.
    pub kept: Vec<Kept>,
}

impl Survey {
    /// Puts something with what stays, for this reason, or with what goes, for want of one.
    pub(super) fn add(&mut self, item: Item, why: Option<Why>) {
        match why {
            Some(because) => {
                let Item { kind, name, path } = item;
                self.kept.push(Kept {
                    kind,
                    name,
                    path,
                    because,
                });
            }
            None => self.items.push(item),
        }
    }
}

/// What became of an item.
#[derive(Debug)]
pub struct Gone {
    /// The item that was to be removed.
    pub item: Item,
    /// What that gives back.
    pub room: Room,
    /// How it ended.
    pub end: End,
}

/// How the removal of an item ended.
#[derive(Debug)]
pub enum End {
    /// It is gone.
    Removed,
    /// It is out of the way; this much of it is left in the trash, where the next run finds it.
    Left(Vec<files::Error>),
    /// It was needed after all: it is where it was.
    Wanted,
    /// It is where it was: it cannot be moved.
    Stuck(files::Error),
}

/// The label of what is moved to the trash here: it is not in use, so the next run need not wait.
pub(super) const LABEL: &str = "gc";

/// What a survey looks with.
pub(super) struct Context<'a> {
    pub(super) root: &'a Root,
    pub(super) policy: Policy,
    /// The filesystem's present.
    pub(super) now: SystemTime,
    pub(super) used: Used,
}

impl Context<'_> {
    /// Why something that is not needed stays for now: it is in use here, or was changed too recently.
    pub(super) fn reason_to_keep(&self, path: &Path, since: SystemTime) -> Option<Why> {
        let below = path.strip_prefix(self.root.path()).unwrap_or(path);
        if let Some(processes) = self.used.by(below) {
            return Some(Why::InUse(processes));
        }
        self.is_recent(since).map(Why::Recent)
    }

    /// How long ago that was, if that is not long ago. What lies in the future was just now.
    pub(super) fn is_recent(&self, since: SystemTime) -> Option<Duration> {
        let age = self.now.duration_since(since).unwrap_or_default();
        (age < self.policy.older_than).then_some(age)
    }
}
