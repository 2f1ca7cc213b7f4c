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

use rayon::prelude::*;

use crate::files::reclaim::{DiskUsage, Room, remove_what_goes};
use crate::files::{self, ownership, times};
use crate::store::{Root, claims, layout, pins, trash};

mod item;
mod generations;
mod leftovers;
mod needs;
pub mod pin;
mod report;
mod store;
mod used;

use item::{Context, LABEL};
pub use item::{End, Gone, Item, Kept, Kind, Policy, Survey, Why};
use needs::Needs;
pub use report::{PinReport, Report};
use used::Used;

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
