//! Which file of a wheel goes where: decided for all of them before the first is unpacked. No input, no output.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::lock::LockedPackage;
use crate::store::inside;
use crate::store::wheels::Scheme;

use super::Defect;
use super::archive::Archive;
use super::metadata::Description;
use super::record::{Claim, Record};
use crate::archive::alike::Alike;
use crate::archive::zip::Member;
use crate::python::bytecode::sources_of;

/// A member to unpack.
#[derive(Debug)]
pub(super) struct Item {
    /// It.
    pub(super) member: Member,
    /// Where it goes.
    pub(super) scheme: Scheme,
    /// Its path there.
    pub(super) path: String,
    /// Its contents as in its `RECORD`.
    pub(super) claim: Claim,
    /// Whether it is written, and not only verified.
    pub(super) written: bool,
}

/// Files of `.dist-info` that an installer writes itself, or that lose their meaning when it does.
const OURS: [&str; 4] = ["RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER"];

/// All members to unpack, the largest first: the longest jobs must not start last. Every one is in `RECORD` with a
/// digest, and no two that differ go to one path.
pub(super) fn lay_out(
    archive: &Archive,
    description: &Description,
    record: &Record,
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
        if ours.contains(&member.path) {
            continue;
        }
        let claim = record.claim(&member.path)?;
        let (scheme, path) = destination(&member.path, package)?;
        // Where a wheel brings a script and asks for a launcher of the same name, pip lets the launcher win.
        let written = scheme != Scheme::Scripts || !programs.contains(path.as_str());
        items.push(Item {
            member: member.clone(),
            scheme,
            path,
            claim,
            written,
        });
    }
    leave_out_bytecode(&mut items);
    merge(&mut items)?;
    check_alike(&items, description)?;
    items.sort_by_key(|item| std::cmp::Reverse(item.member.size));
    Ok(items)
}

/// Bytecode whose source is in the wheel is ours: what a publisher ships may be that of another source, and Python
/// would run it without comparing.
fn leave_out_bytecode(items: &mut [Item]) {
    let paths: HashSet<String> = items.iter().map(Item::installed).collect();
    let left_out: Vec<bool> = items
        .iter()
        .map(|item| sources_of(&item.installed()).any(|source| paths.contains(&source)))
        .collect();
    for (item, left_out) in items.iter_mut().zip(left_out) {
        item.written &= !left_out;
    }
}

/// Where a member goes: to `site-packages`, or to the scheme of its directory in `.data`.
fn destination(path: &str, package: &LockedPackage) -> Result<(Scheme, String), Defect> {
    let (top, below) = path.split_once('/').unwrap_or(("", path));
    if top.strip_suffix(".data").is_none() {
        return Ok((Scheme::SitePackages, path.to_owned()));
    }
    let unknown = || Defect(format!("`{path}` is in no known directory of `{top}`"));
    let (kind, below) = below.split_once('/').ok_or_else(unknown)?;
    let (scheme, path) = match kind {
        "purelib" | "platlib" => (Scheme::SitePackages, below.to_owned()),
        "scripts" => (Scheme::Scripts, below.to_owned()),
        "headers" => (Scheme::Headers, format!("{}/{below}", package.name)),
        "data" => (Scheme::Data, below.to_owned()),
        _ => return Err(unknown()),
    };
    if is_reserved(scheme, &path) {
        return Err(Defect(format!(
            "its `{kind}/{below}` would replace a part of the environment itself"
        )));
    }
    Ok((scheme, path))
}

/// Whether a path belongs to the environment and to no package.
fn is_reserved(scheme: Scheme, path: &str) -> bool {
    match scheme {
        Scheme::Scripts => is_python(path),
        Scheme::Data => {
            matches!(
                path,
                "pyvenv.cfg" | inside::SOURCE | inside::TREE | inside::STAMP
            ) || path.strip_prefix("bin/").is_some_and(is_python)
        }
        Scheme::SitePackages | Scheme::Headers => false,
    }
}

/// `python`, `python3`, `python3.11`.
fn is_python(name: &str) -> bool {
    name.strip_prefix("python")
        .is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

/// Two members may go to one path by different ways: `purelib/a.py` and `a.py`, `scripts/x` and `data/bin/x`. Where
/// they have the same bytes one of them is written.
fn merge(items: &mut [Item]) -> Result<(), Defect> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for number in 0..items.len() {
        if !items[number].written {
            continue;
        }
        let Some(first) = seen.insert(items[number].installed(), number) else {
            continue;
        };
        if items[first].claim.checksums != items[number].claim.checksums {
            let Item { scheme, path, .. } = &items[number];
            return Err(Defect(format!(
                "two files in it that differ go to `{}/{path}`",
                scheme.directory()
            )));
        }
        // A script may have to be rewritten, and is a program whatever its mode in the archive.
        let (kept, dropped) = if items[first].scheme == Scheme::Scripts {
            (first, number)
        } else {
            (number, first)
        };
        items[kept].member.executable |= items[dropped].member.executable;
        items[dropped].written = false;
        seen.insert(items[kept].installed(), kept);
    }
    Ok(())
}

/// No two names may differ only in case or in how Unicode writes them: elsewhere they would be one file. And nothing
/// may be both a file and a directory.
fn check_alike(items: &[Item], description: &Description) -> Result<(), Defect> {
    let mut alike = Alike::default();
    let written = items
        .iter()
        .filter(|item| item.written)
        .map(Item::installed);
    let launchers = description.launchers.iter();
    let launchers =
        launchers.map(|l| format!("{}{}", Scheme::Scripts.relative_to_site_packages(), l.name));
    let paths: BTreeSet<String> = written.chain(launchers).collect();
    for path in &paths {
        let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
        if let Some(file) = above.find(|above| paths.contains(*above)) {
            return Err(Defect(format!("{file:?} in it is a file and a directory")));
        }
        if let Some((first, second)) = alike.clash(path) {
            let [first, second] = [first, second].map(|p| p.trim_start_matches("../").to_owned());
            return Err(Defect(format!(
                "{first:?} and {second:?} in it differ only in case, or in how Unicode writes them"
            )));
        }
    }
    Ok(())
}

impl Item {
    /// Its path as it is seen from `site-packages`: the same for all ways to one file.
    fn installed(&self) -> String {
        format!("{}{}", self.scheme.relative_to_site_packages(), self.path)
    }
}
