//! Who can use a root, as other users would see it: the directories above it that everyone has to pass, and the modes of
//! what is in it. The owner's own rights hide every such error from the owner; here they do not count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::access::Access;
use crate::files::ownership::Ownership;
use crate::files::{self, Kind, acl, ownership, quoted};
use crate::store::{Policy, Root, directory};

use super::finding::{Code, Finding};

/// Who can use a root.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Reach {
    /// Its policy, if it has one.
    pub policy: Option<Access>,
    /// The directories, above the root or itself, through which those it is for cannot pass. Without a policy it is for
    /// everyone.
    pub closed: Vec<PathBuf>,
}

/// The number of findings of one code that are shown one by one.
const SHOWN: usize = 20;

/// The depth of a quick examination below these directories of a root; 2 below those that are not listed.
const DEPTHS: &[(&str, usize)] = &[
    (directory::GENERATIONS, 4),
    (directory::PYTHONS, 2),
    (directory::STORE, 2),
    (directory::TRASH, 1),
    // Few files, and large ones.
    ("cache", usize::MAX),
];

/// Examines the directories above a root and its cache, and what is in them: all of it, or what matters most.
pub(super) fn examine(root: &Root, deep: bool) -> files::Result<(Reach, Vec<Finding>)> {
    let mut findings = Vec::new();
    let mut closed = Vec::new();
    let tops: Vec<&Path> = std::iter::once(root.path())
        .chain(root.cache_elsewhere().filter(|cache| files::exists(cache)))
        .collect();
    let mut above: Vec<PathBuf> = Vec::new();
    for top in &tops {
        let real = files::real_path(top)?;
        let parents = real.ancestors().skip(1).map(Path::to_owned);
        above.extend(
            parents
                .filter(|path| !above.contains(path))
                .collect::<Vec<_>>(),
        );
    }
    for directory in &above {
        let found = ancestor(directory, root.policy())?;
        closed.extend(found.closed.then(|| directory.clone()));
        findings.extend(found.finding);
    }
    for top in &tops {
        if root.policy().is_none() && ownership::ownership(top)?.mode & 0o001 == 0 {
            closed.push((*top).to_owned());
        }
        let wanted = |path: &Path| *top == root.cache() || is_examined(path, deep);
        inside(top, root.policy(), &wanted, &mut findings)?;
    }
    let reach = Reach {
        policy: root.access().cloned(),
        closed,
    };
    Ok((reach, shortened(root, findings)))
}

struct Ancestor {
    closed: bool,
    finding: Option<Finding>,
}

/// The permissions on a file of those whom the policy is for: the three bits of read, write and execute.
pub(super) fn may(path: &Path, there: &Ownership, policy: Option<&Policy>) -> u32 {
    match policy.map(|policy| (policy.access(), policy.group())) {
        None | Some((Access::World | Access::WorldBy(_), _) | (Access::Group(_), None)) => {
            there.mode & 0o7
        }
        Some((Access::Group(_), Some(group))) => acl::group_may(path, there, group),
        Some((Access::Owner, _)) => 0o7,
    }
}

/// A directory above a root: those whom the policy is for must be able to pass it, and others must not be able to replace what
/// is below it.
fn ancestor(path: &Path, policy: Option<&Policy>) -> files::Result<Ancestor> {
    let there = ownership::ownership(path)?;
    let passes = may(path, &there, policy) & 0o1 != 0;
    let sticky = there.mode & 0o1000 != 0;
    let finding = match policy {
        Some(policy) if !passes => Some(no_search_permission(path, &there, policy)),
        _ => (there.mode & 0o002 != 0 && !sticky).then(|| writable(path)),
    };
    Ok(Ancestor {
        closed: !passes,
        finding,
    })
}

fn no_search_permission(path: &Path, there: &Ownership, policy: &Policy) -> Finding {
    let bits = match (policy.access(), policy.group()) {
        (Access::Group(_), Some(group)) if group == there.group => "g+x",
        _ => "o+x",
    };
    let message = format!(
        "{} cannot pass through it: it has mode {:04o}, owner {} and group {}",
        whom(policy.access()),
        there.mode,
        ownership::user_name(there.owner),
        ownership::group_name(there.group)
    );
    let fix = format!("chmod {bits} {}", quoted(path));
    Finding::new(Code::AccessAncestor, path, message, fix)
}

pub(super) fn whom(access: &Access) -> String {
    match access {
        Access::World | Access::WorldBy(_) => "others than its owner and group".to_owned(),
        Access::Group(name) => format!("the group {name}"),
        Access::Owner => "its owner".to_owned(),
    }
}

fn writable(path: &Path) -> Finding {
    let message = "everyone can write there, and so replace what other users run";
    let fix = format!("chmod o-w {}", quoted(path));
    Finding::new(Code::AccessWritable, path, message, fix)
}

/// What is in a root or a cache.
fn inside(
    top: &Path,
    policy: Option<&Policy>,
    is_examined: &dyn Fn(&Path) -> bool,
    findings: &mut Vec<Finding>,
) -> files::Result<()> {
    let there = ownership::ownership(top)?;
    let itself = files::Entry {
        path: PathBuf::new(),
        kind: Kind::Directory,
        mode: there.mode,
        group: there.group,
        size: 0,
    };
    // A directory that is closed to this user hides its content, but not its own mode.
    let entries = files::walk_open(top, is_examined)?;
    for entry in std::iter::once(itself).chain(entries) {
        let path = if entry.path.as_os_str().is_empty() {
            top.to_owned()
        } else {
            top.join(&entry.path)
        };
        match policy.and_then(|policy| Some((policy, policy.wanted(&entry)?))) {
            Some((policy, wanted)) => findings.extend(deviation(&path, &entry, policy, wanted)),
            None if entry.mode & 0o002 != 0 && entry.kind != Kind::Link => {
                findings.push(writable(&path));
            }
            None => {}
        }
    }
    Ok(())
}

/// Staging directories are not in use yet; the files of generations and interpreters are compared with their lists.
fn is_examined(path: &Path, deep: bool) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let first = parts[0].as_ref();
    let kept = [
        directory::GENERATIONS,
        directory::PYTHONS,
        directory::STORE,
        directory::ENVIRONMENTS,
        directory::TRASH,
    ];
    let kept = kept.contains(&first);
    if (kept || parts.len() == 1) && parts.iter().any(|part| part.starts_with('.')) {
        return false;
    }
    let depth = DEPTHS.iter().find(|(name, _)| *name == first);
    let depth = depth.map_or(2, |(_, depth)| *depth);
    parts.len() <= depth || (deep && first != directory::TRASH)
}

fn deviation(
    path: &Path,
    entry: &files::Entry,
    policy: &Policy,
    (mode, group): (u32, Option<u32>),
) -> Option<Finding> {
    // chmod(1) leaves the set-group bit of a directory alone unless the number has five digits.
    let width = if entry.mode & !mode & 0o6000 == 0 {
        4
    } else {
        5
    };
    let chmod = format!("chmod {mode:0width$o} {}", quoted(path));
    let access = policy.access();
    if let Some(group) = group.filter(|group| *group != entry.group) {
        let name = ownership::group_name(group);
        let message = format!(
            "it belongs to the group {}, and `access = \"{access}\"` means {name}",
            ownership::group_name(entry.group)
        );
        let fix = format!("chgrp {name} {} && {chmod}", quoted(path));
        return Some(Finding::new(Code::AccessGroup, path, message, fix));
    }
    (entry.mode != mode).then(|| {
        let message = format!(
            "it has mode {:04o}, and `access = \"{access}\"` means {mode:04o}",
            entry.mode
        );
        Finding::new(Code::AccessMode, path, message, chmod)
    })
}

/// The first findings of each code, and the number of the others.
fn shortened(root: &Root, findings: Vec<Finding>) -> Vec<Finding> {
    let mut counts: BTreeMap<Code, usize> = BTreeMap::new();
    let mut shown = Vec::new();
    for finding in findings {
        let count = counts.entry(finding.code).or_default();
        *count += 1;
        if *count <= SHOWN {
            shown.push(finding);
        }
    }
    for (code, count) in counts.into_iter().filter(|(_, count)| *count > SHOWN) {
        let message = format!("{} more of the same kind", count - SHOWN);
        let fix = "rootstock sync --repair";
        shown.push(Finding::new(code, root.path(), message, fix));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_look_goes_as_deep_as_it_matters() {
        for (path, quick) in [
            ("models.json", true),
            (".doctor-x", false),
            ("envs/emt", true),
            ("generations/emt/0123/lib", true),
            ("generations/emt/.staging-1/lib", false),
            ("generations/emt/0123/lib/python3.11", false),
            ("store/wheels-2", true),
            ("store/wheels-2/.making-x", false),
            ("store/wheels-2/0123", false),
            ("cache/huggingface", true),
            ("cache/huggingface/hub/.no_exist", true),
            ("prefetched/emt.json", true),
            ("prefetched/emt/more/x", false),
        ] {
            assert_eq!(is_examined(Path::new(path), false), quick, "{path}");
        }
        assert!(is_examined(Path::new("store/wheels-2/0123"), true));
        assert!(!is_examined(Path::new("trash/x/y"), true));
    }
}
