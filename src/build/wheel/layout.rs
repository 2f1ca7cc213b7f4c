//! Which file of a wheel goes where: decided for all of them before the first is unpacked. No input, no output.

use std::collections::HashSet;

use crate::build::shelf::Place;
use crate::lock::LockedPackage;
use crate::store::inside;

use super::Defect;
use super::archive::{Archive, Member};
use super::metadata::Description;
use super::record::{Checksum, Record};

/// A member to unpack.
#[derive(Debug)]
pub(super) struct Item {
    /// It.
    pub(super) member: Member,
    /// Where it goes.
    pub(super) place: Place,
    /// Its path there.
    pub(super) path: String,
    /// What its contents must have as their digest.
    pub(super) checksum: Checksum,
    /// How long they must be, if `RECORD` says so.
    pub(super) size: Option<u64>,
}

/// Files of `.dist-info` that an installer writes itself, or that lose their meaning when it does.
const OURS: [&str; 4] = ["RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER"];

/// All members to unpack, the largest first: the longest jobs must not start last. Every one is in `RECORD` with a
/// digest, `RECORD` names no other file, and no two go to one path.
pub(super) fn lay_out(
    archive: &Archive,
    description: &Description,
    mut record: Record,
    package: &LockedPackage,
) -> Result<Vec<Item>, Defect> {
    let ours = OURS.map(|name| description.inside(name));
    let programs: HashSet<&str> = description
        .launchers
        .iter()
        .map(|launcher| launcher.name.as_str())
        .collect();
    if let Some(name) = programs.iter().find(|name| is_python(name)) {
        return Err(Defect(format!(
            "its program `{name}` would replace the environment's own"
        )));
    }
    let mut items = Vec::new();
    for member in archive.members() {
        let line = record.take(&member.path);
        if ours.contains(&member.path) {
            continue;
        }
        let Some(line) = line else {
            let path = &member.path;
            return Err(Defect(format!("its RECORD does not list `{path}`")));
        };
        let Some(checksum) = line.checksum else {
            let path = &member.path;
            return Err(Defect(format!("its RECORD has no digest of `{path}`")));
        };
        let (place, path) = destination(&member.path, package)?;
        // Where a wheel brings a script and asks for a launcher of the same name, pip lets the launcher win.
        if place == Place::Scripts && programs.contains(path.as_str()) {
            continue;
        }
        items.push(Item {
            member: member.clone(),
            place,
            path,
            checksum,
            size: line.size,
        });
    }
    for path in &ours {
        record.take(path);
    }
    if let Some(path) = record.left() {
        return Err(Defect(format!(
            "its RECORD lists `{path}`, which it does not hold"
        )));
    }
    check_distinct(&items)?;
    items.sort_by_key(|item| std::cmp::Reverse(item.member.size));
    Ok(items)
}

/// Where a member goes: to `site-packages`, or as its directory in `.data` says.
fn destination(path: &str, package: &LockedPackage) -> Result<(Place, String), Defect> {
    let (top, below) = path.split_once('/').unwrap_or(("", path));
    if top.strip_suffix(".data").is_none() {
        return Ok((Place::SitePackages, path.to_owned()));
    }
    let unknown = || Defect(format!("`{path}` is in no known directory of `{top}`"));
    let (scheme, below) = below.split_once('/').ok_or_else(unknown)?;
    let (place, path) = match scheme {
        "purelib" | "platlib" => (Place::SitePackages, below.to_owned()),
        "scripts" => (Place::Scripts, below.to_owned()),
        "headers" => (Place::Headers, format!("{}/{below}", package.name)),
        "data" => (Place::Data, below.to_owned()),
        _ => return Err(unknown()),
    };
    if is_reserved(place, &path) {
        return Err(Defect(format!(
            "its `{scheme}/{below}` would replace a part of the environment itself"
        )));
    }
    Ok((place, path))
}

/// Whether a path belongs to the environment and to no package.
fn is_reserved(place: Place, path: &str) -> bool {
    match place {
        Place::Scripts => is_python(path),
        Place::Data => {
            matches!(
                path,
                "pyvenv.cfg" | inside::SOURCE | inside::TREE | inside::STAMP
            ) || path.strip_prefix("bin/").is_some_and(is_python)
        }
        Place::SitePackages | Place::Headers => false,
    }
}

/// `python`, `python3`, `python3.11`.
fn is_python(name: &str) -> bool {
    name.strip_prefix("python")
        .is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

/// Two members may go to one path by different ways: `purelib/a.py` and `a.py`, `scripts/x` and `data/bin/x`.
fn check_distinct(items: &[Item]) -> Result<(), Defect> {
    let mut seen = HashSet::new();
    for Item { place, path, .. } in items {
        if !seen.insert(format!("{}{path}", place.from_site_packages())) {
            return Err(Defect(format!(
                "two files in it go to `{}/{path}`",
                place.directory()
            )));
        }
    }
    Ok(())
}
