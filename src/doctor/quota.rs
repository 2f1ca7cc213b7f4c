//! What the quotas of users, groups and projects leave of a root's filesystem: asked of the programs that know, `lfs` on
//! Lustre and `quota` (quota-tools) elsewhere, the server's quotas of an NFS included. statfs does not know them. A
//! program that is missing, or does not answer in time, is ignored.
//!
//! Both print a table (quota(1), lfs-quota(1)): in KiB what is used, soft and hard limit and grace, then the same for
//! files. A limit of 0 is none; a star follows what is over its limit; brackets stand around what not all servers reported.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::files::space::{self, Space};
use crate::files::{self, ownership};
use crate::process::{Command, find};
use crate::store::Root;

use super::finding::{Code, Finding};

/// A torch environment takes 6 GB and 30 000 files: with less than this, the next one is not certain.
pub(super) const ENOUGH_BYTES: u64 = 1_000_000_000;
pub(super) const ENOUGH_INODES: u64 = 50_000;

/// Time limit for a program's answer; several are asked at once.
const TIMEOUT: Duration = Duration::from_secs(1);

/// One quota that a root is subject to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quota {
    /// Its owner: `user 1000`, `group 500`, `project 7`.
    pub whose: String,
    /// Of bytes.
    pub bytes: Limit,
    /// Of files.
    pub inodes: Limit,
}

/// What is used, and how much may be; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limit {
    /// Used so far.
    pub used: u64,
    /// May be passed for a while.
    pub soft: u64,
    /// Cannot be passed.
    pub hard: u64,
}

impl Limit {
    /// What is left of the lower of both limits, if there is one.
    pub fn left(self) -> Option<u64> {
        let limits = [self.soft, self.hard].into_iter();
        let lowest = limits.filter(|limit| *limit > 0).min();
        lowest.map(|limit| limit.saturating_sub(self.used))
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Limit { used, soft, hard } = self;
        let mut limit = serializer.serialize_struct("Limit", 4)?;
        limit.serialize_field("used", used)?;
        limit.serialize_field("soft", soft)?;
        limit.serialize_field("hard", hard)?;
        limit.serialize_field("left", &self.left())?;
        limit.end()
    }
}

/// The quotas of this user, and of the group and the project of this directory, where there are such.
pub(super) fn of(
    directory: &Path,
    space: &Space,
    search_path: &OsStr,
) -> files::Result<Vec<Quota>> {
    let ids = (
        rustix::process::geteuid().as_raw(),
        ownership::ownership(directory)?.group,
    );
    if space.kind == "lustre" {
        let Some(lfs) = program("lfs", search_path) else {
            return Ok(Vec::new());
        };
        let ask = |arguments: &[&str]| {
            let command = Command::new(&lfs).arguments(arguments.iter().copied());
            answer(&command.argument(directory))
        };
        Ok(lustre(&ask, ids))
    } else if let Some(quota) = program("quota", search_path) {
        let mount = space::mount_point(directory)?;
        let ask = |which| {
            let ask = Command::new(&quota).arguments(["-w", "-p", "-v", which, "-f"]);
            tables(&answer(&ask.argument(&mount)), ids)
        };
        // Apart, because a server is asked about each of a person's groups.
        let (mut users, groups) = rayon::join(|| ask("-u"), || ask("-g"));
        users.extend(groups);
        Ok(users)
    } else {
        Ok(Vec::new())
    }
}

/// The output of `lfs` for a directory, which is its last argument.
fn lustre(ask: &(dyn Fn(&[&str]) -> String + Sync), (user, group): (u32, u32)) -> Vec<Quota> {
    let quota = |kind: &str, option: &str, id: u32| {
        let text = ask(&["quota", "-q", option, &id.to_string()]);
        row(&text).and_then(|limits| named(kind, id, limits))
    };
    let project = || {
        let project = project(&ask(&["project", "-d"]))?;
        quota("project", "-p", project)
    };
    let ((user, group), project) = rayon::join(
        || rayon::join(|| quota("user", "-u", user), || quota("group", "-g", group)),
        project,
    );
    [user, group, project].into_iter().flatten().collect()
}

/// A program that cannot be started gives no answer.
fn answer(command: &Command) -> String {
    let answer = command.answer_within(TIMEOUT).ok().flatten();
    String::from_utf8_lossy(&answer.unwrap_or_default()).into_owned()
}

fn program(name: &str, search_path: &OsStr) -> Option<PathBuf> {
    find::find(name, search_path, &BTreeMap::new())
}

/// The output of `quota -u` or `quota -g` for this user and this group: each table follows a line with the number in parentheses,
/// `(uid 1000)`.
fn tables(text: &str, (user, group): (u32, u32)) -> Vec<Quota> {
    let mut found = Vec::new();
    let mut whose = None;
    for line in text.lines() {
        if line.contains("(uid ") || line.contains("(gid ") {
            let is = |kind: &str, id| line.contains(&format!("({kind} {id})"));
            whose = if is("uid", user) {
                Some(("user", user))
            } else {
                is("gid", group).then_some(("group", group))
            };
        } else if let (Some((kind, id)), Some(limits)) = (whose, row(line)) {
            found.extend(named(kind, id, limits));
        }
    }
    found
}

/// The number of a directory's project, the first word of `lfs project -d`; 0 is none.
fn project(text: &str) -> Option<u32> {
    let number = text.split_whitespace().next()?.parse().ok()?;
    Some(number).filter(|number| *number != 0)
}

fn named(kind: &str, id: u32, (bytes, inodes): (Limit, Limit)) -> Option<Quota> {
    let limits = bytes.left().is_some() || inodes.left().is_some();
    limits.then(|| Quota {
        whose: format!("{kind} {id}"),
        bytes,
        inodes,
    })
}

/// The first row of a table, behind the name of the filesystem, after which `lfs` breaks the line where it is long.
fn row(text: &str) -> Option<(Limit, Limit)> {
    let limits = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [used, soft, hard, _, files, files_soft, files_hard, _] = *fields.last_chunk()?;
        let kibibytes = |field| Some(number(field)?.saturating_mul(1024));
        let bytes = Limit {
            used: kibibytes(used)?,
            soft: kibibytes(soft)?,
            hard: kibibytes(hard)?,
        };
        let inodes = Limit {
            used: number(files)?,
            soft: number(files_soft)?,
            hard: number(files_hard)?,
        };
        Some((bytes, inodes))
    };
    text.lines().find_map(limits)
}

fn number(field: &str) -> Option<u64> {
    field.trim_matches(['*', '[', ']']).parse().ok()
}

/// Where there is less left than an environment takes, or nothing.
pub(super) fn findings(root: &Root, quotas: &[Quota]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Quota {
        whose,
        bytes,
        inodes,
    } in quotas
    {
        let mut look = |limit: Limit, enough: u64, what: &str| {
            let Some(left) = limit.left().filter(|left| *left < enough) else {
                return;
            };
            let message = match left {
                0 if limit.hard == 0 || limit.used < limit.hard => format!(
                    "{whose} is over the soft limit of its quota: {} {what} of {}",
                    limit.used, limit.soft
                ),
                0 => format!("the quota of {whose} is used up: {} {what}", limit.used),
                left => format!("the quota of {whose} leaves {left} {what}"),
            };
            let fix = "remove what is not needed (`rootstock gc`), or ask for a larger quota";
            findings.push(Finding::new(Code::QuotaLow, root.path(), message, fix));
        };
        look(*bytes, ENOUGH_BYTES, "bytes");
        look(*inodes, ENOUGH_INODES, "files");
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn limit(used: u64, soft: u64, hard: u64) -> Limit {
        Limit { used, soft, hard }
    }

    /// The Lustre manual, "Creating quota files and quota administration", has such answers; lfs-quota(1) explains star and
    /// brackets.
    #[test]
    fn lustre_prints_a_row_in_one_line_or_two() {
        let expected = (limit(0, 300 * MIB, 309_200 << 10), limit(0, 10_000, 11_000));
        let one =
            "    /mnt/testfs       0  307200  309200       -       0   10000   11000       -\n";
        assert_eq!(row(one), Some(expected));
        let two = "/mnt/a/long/name/of/a/filesystem\n                      0  307200  309200       -       0   10000   11000       -\n\
                   uid 1000 is using default block quota setting\n";
        assert_eq!(row(two), Some(expected));
        let over = "/fred [1041408]* 1024 6291456 6d23h [7] 0 0 -\n";
        let (bytes, inodes) = row(over).unwrap();
        assert_eq!(bytes, limit(1017 * MIB, MIB, 6144 * MIB));
        assert!(bytes.left() == Some(0) && inodes == limit(7, 0, 0));
        assert_eq!(
            row("lfs quota: '/home' not on a mounted Lustre filesystem\n"),
            None
        );
        assert_eq!(project("    7 P /mnt/testfs/dir\n"), Some(7));
        assert_eq!(project("    0 - /mnt/testfs/dir\n"), None);
    }

    /// quota(1), and quota.c of quota-tools: with `-w` lines are not broken, with `-p` the grace is a number, 0 where there
    /// is none, and with `-v` there is a row also where nothing is used.
    #[test]
    fn lustre_is_asked_for_user_group_and_project() {
        let ask = |arguments: &[&str]| {
            let answer = match arguments {
                ["project", "-d"] => "    7 P /r\n",
                ["quota", "-q", "-u", "1000"] => "/r 1 0 0 - 1 0 0 -\n",
                ["quota", "-q", "-g", "500"] => "/r 1 0 0 - 1 0 5 -\n",
                ["quota", "-q", "-p", "7"] => "/r 1 0 3 - 1 0 0 -\n",
                other => panic!("{other:?}"),
            };
            answer.to_owned()
        };
        let quotas = lustre(&ask, (1000, 500));
        let left = quotas
            .iter()
            .map(|q| (q.whose.as_str(), q.bytes.left(), q.inodes.left()));
        let expected = [
            ("group 500", None, Some(4)),
            ("project 7", Some(2048), None),
        ];
        assert!(left.eq(expected), "{quotas:?}");
    }

    #[test]
    fn a_soft_limit_without_a_hard_one_is_passed_and_not_used_up() {
        let quota = |soft, hard| Quota {
            whose: "user 1".to_owned(),
            bytes: limit(7, soft, hard),
            inodes: Limit::default(),
        };
        let root = Root::at(Path::new("/r"), None);
        let message = |quota| findings(&root, &[quota])[0].message.clone();
        let over = "user 1 is over the soft limit of its quota: 7 bytes of 5";
        assert_eq!(message(quota(5, 0)), over);
        assert_eq!(message(quota(5, 9)), over);
        assert_eq!(
            message(quota(5, 7)),
            "the quota of user 1 is used up: 7 bytes"
        );
        assert_eq!(
            message(quota(0, 7)),
            "the quota of user 1 is used up: 7 bytes"
        );
    }

    #[test]
    fn quota_prints_a_table_for_each_user_and_group() {
        let text = "Disk quotas for user me (uid 1000): \n\
            \x20    Filesystem   blocks   quota   limit   grace   files   quota   limit   grace\n\
            192.168.0.1:/home  254976  104857600 110100480       0    4953  500000 1000000       0\n\
            Disk quotas for group other (gid 7): none\n\
            Disk quotas for group ours (gid 500): \n\
            \x20    Filesystem   blocks   quota   limit   grace   files   quota   limit   grace\n\
            192.168.0.1:/home  1  0 0       0    1  0 0       0\n";
        let bytes = limit(249 * MIB, 102_400 * MIB, 107_520 * MIB);
        let user = Quota {
            whose: "user 1000".to_owned(),
            bytes,
            inodes: limit(4953, 500_000, 1_000_000),
        };
        assert_eq!(tables(text, (1000, 500)), [user]);
        assert_eq!(bytes.left(), Some(102_151 * MIB));
        assert_eq!(tables(text, (1001, 7)), []);
    }
}
