//! Whether an untrusted user can replace what is at a path: a program that is about to be started, a directory
//! whose code is about to be run, a socket. The one answer to this question; what to do about it is the caller's decision.
//!
//! Trusted are the user of this process, root, the owner of the home directory, and the users in `ROOTSTOCK_TRUST`. The whole
//! way from the top of the filesystem is examined, links resolved:
//!
//! 1. Directories, links and what is at the end belong to trusted users.
//! 2. No directory can be changed by everybody, nor, by an access list, by a user who is not trusted. The sticky bit protects
//!    what is in one (rule 1 holds for that).
//! 3. The same holds of what is at the end; and that and the directory it lies in cannot be changed, where they are ours, by
//!    a group that others are in, whether it owns them or is in an access list. Group-writable directories of root and of other
//!    trusted users, and those that are shared on purpose by a set-group bit, are taken for software that a group
//!    maintains. Further up, groups are not examined: who can write in a home directory needs no program of ours.
//!
//! In a user namespace that shows only some users, the owner of all others' files is the same number, which is trusted: root
//! cannot be distinguished from other users there.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use super::failed::NotPrivate;
use super::{Context, acl, ownership, proc};
use crate::report::sentence;

/// The variable with the users that are trusted beside root, separated by commas; `*` for everybody.
pub(crate) const VARIABLE: &str = "ROOTSTOCK_TRUST";

/// How many links may follow each other, as in Linux.
const MOST_LINKS: usize = 40;

/// The write permissions in a mode: of others, of the group.
const EVERYBODY: u32 = 0o002;
const GROUP: u32 = 0o020;
const STICKY: u32 = 0o1000;
const SET_GROUP: u32 = 0o2000;

/// Who is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    users: Vec<u32>,
    /// Every owner is trusted; what all users can change is refused all the same.
    any_owner: bool,
    everybody: bool,
}

/// A name in `ROOTSTOCK_TRUST` is no user's.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{VARIABLE} names `{0}`, a user whom this machine does not know")]
#[diagnostic(help("it lists names or numbers of users, separated by commas; `*` is everybody"))]
pub(crate) struct UnknownUser(String);

/// An untrusted user can replace what is at a path.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Exposed {
    /// It could not be examined.
    #[error("it cannot be examined: {0}")]
    #[diagnostic(help("check owner and mode, of the directories above it too"))]
    Unknown(#[from] io::Error),
    /// It, or something on the way to it, belongs to another user.
    #[error("`{}` belongs to user {}, who is neither you nor root", at.display(), ownership::user_name(*owner))]
    #[diagnostic(help("if you trust {user} as you trust root, set {VARIABLE}={user}", user = ownership::user_name(*owner)))]
    Owner {
        /// The file or directory that can be replaced.
        at: PathBuf,
        /// The number of the user that owns it.
        owner: u32,
    },
    /// The permission bits let others change it.
    #[error("{who} can write{} `{}`", if *directory { " in" } else { "" }, at.display())]
    #[diagnostic(help("{}", about_writable(*owner, fix)))]
    Writable {
        /// The file or directory that can be replaced.
        at: PathBuf,
        /// The number of the user that owns it.
        owner: u32,
        /// Whom, in words.
        who: String,
        /// Whether it is a directory.
        directory: bool,
        /// The command that repairs it.
        fix: String,
    },
}

/// The command that keeps others out, for whom it belongs to.
fn about_writable(owner: u32, fix: &str) -> String {
    if owner == ownership::effective_uid() {
        return format!("look whether everything there is yours, then run `{fix}`");
    }
    format!(
        "have {} run `{fix}`; on a machine without other users, set {VARIABLE}='*'",
        ownership::user_name(owner)
    )
}

/// Whose something is and who may write it.
struct Examined<'a> {
    at: &'a Path,
    metadata: &'a Metadata,
}

impl Default for Trust {
    /// Us and root.
    fn default() -> Self {
        Self {
            users: [0, ownership::effective_uid()]
                .into_iter()
                .chain(proc::unmapped_user())
                .collect(),
            any_owner: false,
            everybody: false,
        }
    }
}

impl Trust {
    /// Who is trusted by a process with these variables. Users whom the machine does not know are left out: see
    /// [`Trust::parse`].
    pub(crate) fn of(variables: &BTreeMap<OsString, OsString>) -> Self {
        let named = variables.get(OsStr::new(VARIABLE));
        let named = named.map_or_else(String::new, |text| text.to_string_lossy().into_owned());
        let mut trust = Self::default();
        for name in names(&named) {
            trust.everybody |= name == "*";
            trust.users.extend(user(name));
        }
        let home = variables.get(OsStr::new("HOME"));
        let owner = home.and_then(|home| Some(fs::metadata(home).ok()?.uid()));
        trust.users.extend(owner);
        trust
    }

    /// Makes sure that a value of `ROOTSTOCK_TRUST` names users of this machine.
    pub(crate) fn parse(value: &str) -> Result<(), UnknownUser> {
        let unknown = names(value).find(|name| *name != "*" && user(name).is_none());
        unknown.map_or(Ok(()), |name| Err(UnknownUser(name.to_owned())))
    }

    /// The same, and owners do not matter: for what an owner of a root, who is trusted, has chosen.
    #[must_use]
    pub(crate) fn with_any_owner(self) -> Self {
        Self {
            any_owner: true,
            ..self
        }
    }

    /// Makes sure that no untrusted user can replace what is at this path.
    pub(crate) fn check(&self, path: &Path) -> Result<(), Exposed> {
        if self.everybody {
            return Ok(());
        }
        let path = std::path::absolute(path)?;
        let mut ahead: VecDeque<PathBuf> = steps(&path);
        let (mut at, mut links) = (PathBuf::from("/"), 0);
        self.check_on_the_way(&at)?;
        while let Some(step) = ahead.pop_front() {
            if step == Path::new("..") {
                at.pop();
                continue;
            }
            let next = at.join(&step);
            let metadata = fs::symlink_metadata(&next)?;
            if metadata.is_symlink() {
                self.check_owner(&Examined {
                    at: &next,
                    metadata: &metadata,
                })?;
                links += 1;
                if links > MOST_LINKS {
                    return Err(io::Error::from(rustix::io::Errno::LOOP).into());
                }
                let target = fs::read_link(&next)?;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                for step in steps(&target).into_iter().rev() {
                    ahead.push_front(step);
                }
                continue;
            }
            if ahead.is_empty() {
                self.check_end(&at)?;
                return self.check_end(&next);
            }
            self.check_on_the_way(&next)?;
            at = next;
        }
        // The path ended in `..` or at the top.
        self.check_end(&at)
    }

    /// A directory above: its owner, and whether everybody can replace what is in it.
    fn check_on_the_way(&self, at: &Path) -> Result<(), Exposed> {
        let metadata = &fs::symlink_metadata(at)?;
        let examined = Examined { at, metadata };
        self.check_owner(&examined)?;
        examined.check_others()?;
        if examined.is_protected() {
            return Ok(());
        }
        examined.check_listed(self)
    }

    /// What is at the end, or the directory it lies in.
    fn check_end(&self, at: &Path) -> Result<(), Exposed> {
        let metadata = &fs::symlink_metadata(at)?;
        let examined = Examined { at, metadata };
        self.check_owner(&examined)?;
        if metadata.file_type().is_socket() {
            // Write permission is permission to connect; its directory decides who may replace it.
            return Ok(());
        }
        examined.check_others()?;
        examined.check_listed(self)?;
        examined.check_group()
    }

    fn check_owner(&self, examined: &Examined) -> Result<(), Exposed> {
        let owner = examined.metadata.uid();
        if self.any_owner || self.users.contains(&owner) {
            return Ok(());
        }
        Err(Exposed::Owner {
            at: examined.at.to_owned(),
            owner,
        })
    }
}

impl Examined<'_> {
    fn check_others(&self) -> Result<(), Exposed> {
        if self.metadata.mode() & EVERYBODY == 0 || self.is_protected() {
            return Ok(());
        }
        Err(self.writable("everybody".into(), "chmod o-w"))
    }

    /// The users whom an access list lets write; the group bits of the mode are then only the most that it may grant.
    fn check_listed(&self, trust: &Trust) -> Result<(), Exposed> {
        if !self.group_writes() {
            return Ok(());
        }
        let users = acl::users_who_write(self.at)?;
        match users.into_iter().find(|user| !trust.users.contains(user)) {
            None => Ok(()),
            Some(user) => {
                let name = ownership::user_name(user);
                let fix = format!("setfacl --remove=user:{name}");
                Err(self.writable(format!("user {name}"), &fix))
            }
        }
    }

    /// The groups that can write what is ours.
    fn check_group(&self) -> Result<(), Exposed> {
        let ours = self.metadata.uid() == ownership::effective_uid();
        let on_purpose = self.metadata.is_dir() && self.metadata.mode() & SET_GROUP != 0;
        if !ours || on_purpose || !self.group_writes() {
            return Ok(());
        }
        let groups = acl::groups_who_write(self.at, self.metadata.gid())?;
        match groups
            .into_iter()
            .find(|group| !ownership::is_private(*group))
        {
            None => Ok(()),
            Some(group) => {
                let name = ownership::group_name(group);
                Err(self.writable(format!("the group {name}"), "chmod g-w"))
            }
        }
    }

    /// Whether only owners can replace what is in it.
    fn is_protected(&self) -> bool {
        self.metadata.is_dir() && self.metadata.mode() & STICKY != 0
    }

    /// Whether the mode lets a group write; of a file with an access list, whether the list may let another user than its owner.
    fn group_writes(&self) -> bool {
        self.metadata.mode() & GROUP != 0
    }

    fn writable(&self, who: String, fix: &str) -> Exposed {
        Exposed::Writable {
            at: self.at.to_owned(),
            owner: self.metadata.uid(),
            who,
            directory: self.metadata.is_dir(),
            fix: format!("{fix} {}", super::quoted(self.at)),
        }
    }
}

/// Makes a directory that only its user can use, whatever the umask, and makes sure that it is one; ours that is there already
/// becomes one. Its parents are made as usual.
pub(crate) fn own_directory(path: &Path, trust: &Trust) -> super::Result<()> {
    if let Some(above) = path.parent() {
        super::create_directories(above)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).context("create", path);
        }
        _ => {}
    }
    // Through a link of another user nothing is changed: it may lead to any directory of ours.
    match trust.check(path) {
        Ok(()) | Err(Exposed::Writable { .. }) => {}
        Err(exposed) => return not_private(path, exposed),
    }
    let there = ownership::ownership(path)?;
    if there.owner == ownership::effective_uid() && there.mode & 0o077 != 0 {
        super::set_mode(path, there.mode & 0o700)?;
    }
    match trust.check(path) {
        Ok(()) => Ok(()),
        Err(exposed) => not_private(path, exposed),
    }
}

fn not_private(path: &Path, exposed: Exposed) -> super::Result<()> {
    let cause = match exposed {
        Exposed::Unknown(error) => error,
        exposed => io::Error::other(NotPrivate(sentence(&exposed))),
    };
    Err(cause).context("keep private files in", path)
}

/// The names of a path, one by one.
fn steps(path: &Path) -> VecDeque<PathBuf> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        _ => None,
    });
    names.collect()
}

fn names(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

fn user(name: &str) -> Option<u32> {
    let known = || nix::unistd::User::from_name(name).ok().flatten();
    name.parse()
        .ok()
        .or_else(|| known().map(|user| user.uid.as_raw()))
}
