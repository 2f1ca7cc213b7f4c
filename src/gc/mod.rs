//! What a root can do without: found, moved to the trash, removed. Needs neither manifest nor lock; what a lock wants
//! that is not built is made again by `sync`. Removes no weights.
//!
//! ```text
//! links, pins, processes of this host ──▶ survey: what goes, what stays and why ──▶ sweep: trash ──look again──▶ removed
//! ```
//!
//! A job on another node that runs from a generation cannot be seen from here, so what was led away from is left for a
//! while, [`Policy::older_than`]: longer than the longest job. That is the only use of time, and of the filesystem's own
//! clock; what a link or a pin leads to is left, whatever the time.
//!
//! A `sync` may run beside it. Both look again after they have acted: `gc`, after it has moved something to the trash,
//! whether a link or a stamp wants it now, and puts it back; `sync`, after it has led a link to a generation, whether that
//! is there. What `sync` was about to link, it makes again.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use crate::files::reclaim::{DiskUsage, Room, remove_what_goes};
use crate::files::{self, ownership, times};
use crate::store::{Root, claims, layout, pins, trash};

mod generations;
mod leftovers;
mod needs;
pub mod pin;
mod report;
mod store;
mod used;

use needs::Needs;
pub use report::{PinReport, Report};
use used::Used;

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
    fn add(&mut self, item: Item, why: Option<Why>) {
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
    /// Which.
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

/// Removes what can go by this policy, or reports what that would be.
pub fn collect(root: &Root, policy: Policy, dry_run: bool) -> Result<Report, layout::Error> {
    let Survey { items, kept } = survey(root, policy)?;
    let gone = if dry_run {
        let rooms = reclaimable(&items)?;
        let each = items.into_iter().zip(rooms);
        each.map(|(item, room)| Gone {
            item,
            room,
            end: End::Removed,
        })
        .collect()
    } else {
        sweep(root, items)?
    };
    Ok(Report {
        root: root.path().to_owned(),
        policy,
        dry_run,
        gone,
        kept,
    })
}

/// What can go by this policy. Changes nothing.
pub fn survey(root: &Root, policy: Policy) -> Result<Survey, layout::Error> {
    if !layout::check(root)? {
        return Ok(Survey::default());
    }
    let context = Context {
        root,
        policy,
        now: times::now(root.path())?,
        used: Used::read(),
    };
    let mut survey = Survey::default();
    let left = generations::survey(&context, &mut survey)?;
    let needs = Needs::of(&left);
    leftovers::pythons(&context, &needs, &mut survey)?;
    store::survey(&context, &needs, &mut survey)?;
    leftovers::survey(&context, &mut survey)?;
    Ok(survey)
}

/// What the removal of each of these gives back, one after another.
pub fn reclaimable(items: &[Item]) -> files::Result<Vec<Room>> {
    let mut usage = DiskUsage::default();
    items.iter().map(|item| usage.add(&item.path)).collect()
}

/// Removes what a survey found. Uses the rayon pool it is called in.
pub fn sweep(root: &Root, items: Vec<Item>) -> files::Result<Vec<Gone>> {
    if !items.is_empty() {
        ownership::may_write(root.path())?;
    }
    let rooms = reclaimable(&items)?;
    let moved: Vec<Moved> = items.iter().map(|item| move_away(root, item)).collect();
    // After all was moved: a sync that needs one of them now has made its link before it looked whether it is there.
    let wanted = Wanted::read(root)?;
    let ends: Vec<End> = items
        .par_iter()
        .zip(moved)
        .with_max_len(1)
        .map(|(item, moved)| match moved {
            Moved::Gone => End::Removed,
            Moved::Stuck(error) => End::Stuck(error),
            Moved::To(place, mode) if wanted.wants(item) => put_back(&place, &item.path, mode),
            Moved::To(place, _) => match remove_what_goes(&place) {
                left if left.is_empty() => End::Removed,
                left => End::Left(left),
            },
        })
        .collect();
    for item in items.iter().filter(|item| !files::exists(&item.path)) {
        if let Some((environment, id)) = generations::of(item) {
            // The file with the time of that is of no use without it.
            files::remove_if_present(&root.retired(&environment, &id))?;
            if !files::exists(&root.current(&environment)) {
                files::remove_if_empty(&root.generations(&environment));
            }
        }
    }
    let gone = items.into_iter().zip(rooms).zip(ends);
    Ok(gone
        .map(|((item, room), end)| Gone { item, room, end })
        .collect())
}

/// Removes what a process of this name was making and has not finished; what is left of it. For a caller that knows that
/// it does not go on. Broken-off downloads, and what it put into the trash, stay.
pub fn sweep_of(root: &Root, maker: &str) -> files::Result<Vec<files::Error>> {
    let mut left = Vec::new();
    for path in leftovers::made_by(root, maker)? {
        left.extend(remove_what_goes(&path));
    }
    for claim in claims::all(root) {
        if claim.maker == maker {
            claim.give_up(root);
        }
    }
    Ok(left)
}

/// Where an item is now.
enum Moved {
    /// There, and its mode was this.
    To(PathBuf, u32),
    /// Another process was first.
    Gone,
    Stuck(files::Error),
}

/// The label of what is moved to the trash here: it is not in use, so the next run need not wait.
const LABEL: &str = "gc";

fn move_away(root: &Root, item: &Item) -> Moved {
    // These have no name that is looked for.
    if let Kind::Link | Kind::Archive | Kind::Part | Kind::Unfinished | Kind::Trash = item.kind {
        return Moved::To(item.path.clone(), 0);
    }
    let moved = ownership::ownership(&item.path).and_then(|there| {
        let place = trash::discard(root, &item.path, LABEL)?;
        Ok(place.map(|place| (place, there.mode)))
    });
    match moved {
        Ok(Some((place, mode))) => Moved::To(place, mode),
        Ok(None) => Moved::Gone,
        Err(error) if error.is_missing() => Moved::Gone,
        Err(error) => Moved::Stuck(error),
    }
}

fn put_back(place: &Path, path: &Path, mode: u32) -> End {
    match files::rename(place, path) {
        Ok(()) => {
            // Another maintainer's kept the mode it had.
            let _ = files::set_mode(path, mode);
            End::Wanted
        }
        // It was built again already; ours waits in the trash for the next run.
        Err(error) if error.is_occupied() => End::Wanted,
        Err(error) => End::Stuck(error),
    }
}

/// What a survey looks with.
struct Context<'a> {
    root: &'a Root,
    policy: Policy,
    /// The filesystem's present.
    now: SystemTime,
    used: Used,
}

impl Context<'_> {
    /// Why something that is not needed stays for now: it is in use here, or was changed too recently.
    fn reason_to_keep(&self, path: &Path, since: SystemTime) -> Option<Why> {
        let below = path.strip_prefix(self.root.path()).unwrap_or(path);
        if let Some(processes) = self.used.by(below) {
            return Some(Why::InUse(processes));
        }
        self.is_recent(since).map(Why::Recent)
    }

    /// How long ago that was, if that is not long ago. What lies in the future was just now.
    fn is_recent(&self, since: SystemTime) -> Option<Duration> {
        let age = self.now.duration_since(since).unwrap_or_default();
        (age < self.policy.older_than).then_some(age)
    }
}

/// What links and stamps want at this moment.
struct Wanted {
    links: generations::Links,
    pins: Vec<pins::Pin>,
    /// `None` if not all stamps could be read.
    pythons: Option<Vec<String>>,
}

impl Wanted {
    fn read(root: &Root) -> files::Result<Self> {
        Ok(Self {
            links: generations::Links::read(root)?,
            pins: pins::read(root)?,
            pythons: needs::pythons(root)?,
        })
    }

    fn wants(&self, item: &Item) -> bool {
        match item.kind {
            Kind::Generation => generations::of(item).is_some_and(|(environment, id)| {
                let pinned = |pin: &pins::Pin| pin.environment == environment && pin.id == id;
                self.pins.iter().any(pinned) || self.links.led.contains_key(&(environment, id))
            }),
            // `sync` leads it somewhere again.
            Kind::Link => {
                let mut dropped = self.links.dropped.keys();
                !dropped.any(|dropped| dropped.as_str() == item.name)
            }
            Kind::Python => self
                .pythons
                .as_ref()
                .is_none_or(|pythons| pythons.contains(&item.name)),
            _ => false,
        }
    }
}
