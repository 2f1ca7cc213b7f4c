//! What the filesystem of a root is, how much room it has, and what it can do: tried, not guessed from its name.

use std::ffi::OsStr;

use serde::{Serialize, Serializer};

use crate::files::{self, link, space};
use crate::store::Root;

use super::finding::{Code, Finding};
use super::quota::{self, ENOUGH_BYTES, ENOUGH_INODES, Quota};

/// The filesystem of a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Filesystem {
    /// Its kind and its free space.
    #[serde(flatten)]
    pub space: space::Space,
    /// The quotas that apply there, where they are known.
    pub quotas: Vec<Quota>,
    /// What it can do.
    pub abilities: ProbeResult,
}

/// The outcome of probing a filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// Every ability.
    All(Vec<Ability>),
    /// Not probed: no write permission.
    MayNot,
    /// Not probed: no space, for this reason.
    NoRoom(&'static str),
}

impl ProbeResult {
    /// Every ability, if they were probed.
    pub fn abilities(&self) -> Option<&[Ability]> {
        match self {
            ProbeResult::All(abilities) => Some(abilities),
            ProbeResult::MayNot | ProbeResult::NoRoom(_) => None,
        }
    }
}

impl Serialize for ProbeResult {
    /// By name, whether each works; `null` where nothing was probed.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.abilities() {
            Some(abilities) => serializer.collect_map(
                abilities
                    .iter()
                    .map(|ability| (ability.name, ability.works)),
            ),
            None => serializer.serialize_none(),
        }
    }
}

/// Something a filesystem can or cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// Its name, which never changes.
    pub name: &'static str,
    /// Whether it can.
    pub works: bool,
    /// What follows from it.
    pub meaning: &'static str,
    /// Whether rootstock cannot do without it.
    pub needed: bool,
}

/// What may still be written, as far as that is known.
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
            Some(reason) => ProbeResult::NoRoom(reason),
            None => ProbeResult::MayNot,
        }),
    })
}

fn try_in(root: &Root) -> files::Result<ProbeResult> {
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
    Ok(ProbeResult::All(vec![
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
            "programs that lock files in the cache, as huggingface_hub does, exclude each other",
            false,
        ),
    ]))
}

impl Filesystem {
    /// What is wrong with it.
    pub(super) fn findings(&self, root: &Root) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut find = |code, message: String, fix: &str| {
            findings.push(Finding::new(code, root.path(), message, fix));
        };
        for ability in self.abilities.abilities().into_iter().flatten() {
            if ability.needed && !ability.works {
                let message = format!(
                    "this filesystem does not do what a root needs ({}): {}",
                    ability.name, ability.meaning
                );
                find(
                    Code::FilesystemUnfit,
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
        if let ProbeResult::NoRoom(reason) = self.abilities {
            find(
                Code::SpaceLow,
                format!(
                    "nothing can be written there: {reason} ({} MB are left on its filesystem)",
                    bytes_free / 1_000_000
                ),
                "free some space, or ask for a larger quota",
            );
        } else if bytes_free < ENOUGH_BYTES {
            find(
                Code::SpaceLow,
                format!("{} MB are left on its filesystem", bytes_free / 1_000_000),
                "free some space",
            );
        }
        // Filesystems without a table of inodes say that they have none at all.
        if inodes > 0 && inodes_free < ENOUGH_INODES {
            find(
                Code::InodesLow,
                format!("room for {inodes_free} files is left on its filesystem"),
                "remove files, or ask for a larger quota of files",
            );
        }
        findings.extend(quota::findings(root, &self.quotas));
        findings
    }
}
