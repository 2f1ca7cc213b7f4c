//! What the filesystem of a root is, how much room it has, and what it can do: tried, not guessed from its name.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::files::{self, link, space};
use crate::store::Root;

use super::Finding;
use super::quota::{self, Quota};

/// A torch environment takes 6 GB and 30 000 files: with less than this, the next one is not certain.
pub(super) const ENOUGH_BYTES: u64 = 1_000_000_000;
pub(super) const ENOUGH_INODES: u64 = 50_000;

/// The filesystem of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filesystem {
    /// Its kind and its room.
    pub space: space::Space,
    /// What may be used of it, where somebody says so.
    pub quotas: Vec<Quota>,
    /// What was tried in it.
    pub abilities: Tried,
}

/// What was found by trying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// All that is tried.
    All(Vec<Ability>),
    /// Nothing: we may not write there.
    MayNot,
    /// Nothing: there is no room to try, for this reason.
    NoRoom(&'static str),
}

impl Tried {
    /// What was tried, if anything.
    pub fn abilities(&self) -> Option<&[Ability]> {
        match self {
            Tried::All(abilities) => Some(abilities),
            Tried::MayNot | Tried::NoRoom(_) => None,
        }
    }
}

/// Something a filesystem can or cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// What, in a word that never changes.
    pub name: &'static str,
    /// Whether it can.
    pub works: bool,
    /// What follows from it.
    pub meaning: &'static str,
    /// Whether rootstock cannot do without it.
    pub needed: bool,
}

/// What may still be written, as far as somebody says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Where that is: `filesystem`, or whose quota it is.
    pub of: String,
    /// So many bytes.
    pub bytes: Option<u64>,
    /// So many files.
    pub inodes: Option<u64>,
}

/// What may still be written where a root is, or will be.
pub fn room(root: &Root, search_path: &OsStr) -> files::Result<Vec<Room>> {
    let mut above = root.path().ancestors();
    let directory = above.find(|directory| files::exists(directory));
    let directory = directory.unwrap_or(root.path());
    let space = space::of(directory)?;
    let quotas = quota::of(directory, &space, search_path)?;
    let filesystem = Room {
        of: "filesystem".to_owned(),
        bytes: Some(space.bytes_free),
        inodes: (space.inodes > 0).then_some(space.inodes_free),
    };
    let quotas = quotas.into_iter().map(|quota| Room {
        bytes: quota.bytes.left(),
        inodes: quota.inodes.left(),
        of: quota.whose,
    });
    Ok(std::iter::once(filesystem).chain(quotas).collect())
}

/// Tries what rootstock relies on, in a directory of its own that is removed again.
pub(super) fn probe(root: &Root, search_path: &OsStr) -> files::Result<Filesystem> {
    let space = space::of(root.path())?;
    let quotas = quota::of(root.path(), &space, search_path)?;
    let abilities = try_in(root);
    Ok(Filesystem {
        space,
        quotas,
        abilities: abilities.unwrap_or_else(|error| match space::shortage(&error.source) {
            Some(reason) => Tried::NoRoom(reason),
            None => Tried::MayNot,
        }),
    })
}

fn try_in(root: &Root) -> files::Result<Tried> {
    let directory = files::temporary_directory(root.path(), ".doctor-")?;
    let tried = files::abilities::try_in(directory.path())?;
    let method = match link::probe(directory.path(), directory.path()) {
        Err(error) if space::shortage(&error.source).is_some() => return Err(error),
        method => method.ok(),
    };
    let ability = |name, works, meaning, needed| Ability {
        name,
        works,
        meaning,
        needed,
    };
    Ok(Tried::All(vec![
        ability(
            "rename-directory",
            tried.rename_refused_when_occupied,
            "a generation is published whole, by the first who built it",
            true,
        ),
        ability(
            "flip-link",
            tried.link_replaced_by_rename,
            "readers see the old or the new generation, nothing between",
            true,
        ),
        ability(
            "reflink",
            method == Some(link::Method::Reflink),
            "environments share the store's blocks",
            false,
        ),
        ability(
            "hard-link",
            tried.hard_link,
            "environments share the store's files",
            false,
        ),
        ability(
            "exclusive-lock",
            tried.lock_excludes,
            "other programs' locks exclude each other here; rootstock uses none",
            false,
        ),
    ]))
}

impl Filesystem {
    /// What is wrong with it.
    pub(super) fn findings(&self, root: &Root) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut find = |code, message: String, fix: &str| {
            findings.push(Finding {
                code,
                path: PathBuf::from(root.path()),
                message,
                fix: fix.to_owned(),
            });
        };
        for ability in self.abilities.abilities().into_iter().flatten() {
            if ability.needed && !ability.works {
                let message = format!(
                    "this filesystem does not do what a root needs ({}): {}",
                    ability.name, ability.meaning
                );
                find(
                    "filesystem-unfit",
                    message,
                    "put the root on another filesystem (`--root DIR`)",
                );
            }
        }
        let space::Space {
            bytes_free,
            inodes_free,
            inodes,
            ..
        } = self.space;
        if let Tried::NoRoom(reason) = self.abilities {
            find(
                "space-low",
                format!(
                    "nothing can be written there: {reason} ({} MB are left on its filesystem)",
                    bytes_free / 1_000_000
                ),
                "free some space, or ask for a larger quota",
            );
        } else if bytes_free < ENOUGH_BYTES {
            find(
                "space-low",
                format!("{} MB are left on its filesystem", bytes_free / 1_000_000),
                "free some space",
            );
        }
        // Filesystems without a table of inodes say that they have none at all.
        if inodes > 0 && inodes_free < ENOUGH_INODES {
            find(
                "inodes-low",
                format!("room for {inodes_free} files is left on its filesystem"),
                "remove files, or ask for a larger quota of files",
            );
        }
        findings.extend(quota::findings(root, &self.quotas));
        findings
    }
}
