//! A root's policy applied to what lies in it: owner, group and permission bits, whatever the umask was. What the bits
//! are is known to `access`.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Root, directory};
use crate::access::Access;
use crate::files::{self, Kind, standing};

/// A policy as this machine understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    access: Access,
    group: Option<u32>,
}

/// A policy cannot be followed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// There is no such group.
    #[error("the policy of the root is `{access}`, and this machine knows no group `{name}`")]
    #[diagnostic(help(
        "`getent group` lists the groups; write one of them into the manifest's `access`"
    ))]
    NoGroup {
        /// The policy.
        access: Access,
        /// The group that it names.
        name: String,
    },
    /// The groups of this machine cannot be listed.
    #[error("cannot look for the group `{name}`")]
    Groups {
        /// Its name.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Some things belong to others, who alone can change who may use them.
    #[error(
        "{count} files and directories are not as `access = \"{access}\"` says and belong to others; the first is `{}`, of \
         {owner}",
        first.display()
    )]
    #[diagnostic(help(
        "have {owner} run the same command; only the owner of a file can change its mode"
    ))]
    OfOthers {
        /// The policy.
        access: Access,
        /// How many.
        count: usize,
        /// The first of them.
        first: PathBuf,
        /// Whose it is.
        owner: String,
    },
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// What a directory is for, as far as its mode is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    /// Maintainers make and replace things in it.
    Open,
    /// It is published: read-only.
    Closed,
}

impl Policy {
    /// The policy on this machine.
    pub fn of(access: Access) -> Result<Self, Error> {
        let number = |name: &str| {
            let found = standing::group_named(name).map_err(|source| Error::Groups {
                name: name.to_owned(),
                source,
            })?;
            found.ok_or_else(|| Error::NoGroup {
                access: access.clone(),
                name: name.to_owned(),
            })
        };
        let group = access.group().map(number).transpose()?;
        Ok(Self { access, group })
    }

    /// What it says.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The number of the group it names.
    pub fn group(&self) -> Option<u32> {
        self.group
    }

    /// Whether only the group may use the root.
    pub fn is_for_group(&self) -> bool {
        matches!(self.access, Access::Group(_))
    }

    /// A directory in which maintainers make things.
    pub fn open(&self, directory: &Path) -> files::Result<()> {
        self.settle(directory, self.access.open())
    }

    /// A directory that is published.
    pub fn close(&self, directory: &Path) -> files::Result<()> {
        self.settle(directory, self.access.closed())
    }

    /// A file that others read.
    pub fn share(&self, file: &Path) -> files::Result<()> {
        let mode = standing::standing(file)?.mode;
        self.settle(file, self.access.shared(mode))
    }

    /// Everything in a directory that is about to be published, and the directory. Uses the rayon pool it is called in.
    pub fn close_tree(&self, directory: &Path) -> files::Result<()> {
        self.tree(directory, &|_| Area::Closed)
    }

    /// Everything in a directory whose files are published, and the directory; directories stay open. Uses the rayon
    /// pool it is called in.
    pub fn open_tree(&self, directory: &Path) -> files::Result<()> {
        self.tree(directory, &|_| Area::Open)
    }

    fn tree(&self, directory: &Path, area: &(dyn Fn(&Path) -> Area + Sync)) -> files::Result<()> {
        let mut entries = files::walk(directory)?;
        // Children first: a directory that was closed to us as well can then still be walked.
        entries.reverse();
        entries.par_iter().try_for_each(|entry| {
            let Some(mode) = self.mode(entry, area) else {
                return Ok(());
            };
            if entry.mode == mode && self.group.is_none_or(|group| group == entry.group) {
                return Ok(());
            }
            self.settle(&directory.join(&entry.path), mode)
        })?;
        self.settle(directory, self.directory(area(Path::new(""))))
    }

    /// The mode and the group that something below a root should have; `None` where modes mean nothing, and for
    /// published files, which a list of their own is about.
    pub fn wanted(&self, entry: &files::Entry) -> Option<(u32, Option<u32>)> {
        let there = area(&entry.path);
        if entry.kind == Kind::File && there == Area::Closed {
            return None;
        }
        Some((self.mode(entry, &|_| there)?, self.group))
    }

    /// The mode of an entry; `None` where modes mean nothing.
    fn mode(&self, entry: &files::Entry, area: &dyn Fn(&Path) -> Area) -> Option<u32> {
        match entry.kind {
            Kind::Directory => Some(self.directory(area(&entry.path))),
            Kind::File => Some(self.access.shared(entry.mode)),
            Kind::Link | Kind::Other => None,
        }
    }

    fn directory(&self, area: Area) -> u32 {
        match area {
            Area::Open => self.access.open(),
            Area::Closed => self.access.closed(),
        }
    }

    fn settle(&self, path: &Path, mode: u32) -> files::Result<()> {
        standing::settle(path, mode, self.group)
    }

    /// What a root's own directories are is the policy's, whoever made them first; those that belong to others are
    /// theirs to change.
    pub(super) fn open_if_ours(&self, directory: &Path) -> files::Result<()> {
        match self.open(directory) {
            Err(error) if error.is_refused() && is_of_others(directory) => Ok(()),
            other => other,
        }
    }

    /// Brings everything in a root and its cache to what the policy says. Uses the rayon pool it is called in.
    pub fn apply(&self, root: &Root) -> Result<(), Error> {
        let of_others = std::sync::Mutex::new(Vec::new());
        let mut tops = vec![root.path().to_owned()];
        tops.extend(root.cache_elsewhere().map(Path::to_owned));
        for top in tops.iter().filter(|top| files::exists(top)) {
            let settle = |path: PathBuf, mode| match self.settle(&path, mode) {
                Err(error) if error.is_refused() && is_of_others(&path) => {
                    let mut list = of_others.lock().expect("no thread panics while holding it");
                    list.push(path);
                    Ok(())
                }
                // `gc` beside us has taken it away.
                Err(error) if error.is_missing() => Ok(()),
                other => other,
            };
            settle(top.clone(), self.access.open())?;
            files::walk(top)?.par_iter().try_for_each(|entry| {
                match self.mode(entry, &|path| area(path)) {
                    Some(mode) => settle(top.join(&entry.path), mode),
                    None => Ok(()),
                }
            })?;
        }
        let mut of_others = of_others
            .into_inner()
            .expect("no thread panics while holding it");
        of_others.sort();
        match of_others.first() {
            None => Ok(()),
            Some(first) => Err(Error::OfOthers {
                access: self.access.clone(),
                count: of_others.len(),
                owner: standing::user_name(standing::standing(first)?.owner),
                first: first.clone(),
            }),
        }
    }
}

fn is_of_others(path: &Path) -> bool {
    standing::standing(path).is_ok_and(|there| there.owner != standing::us())
}

/// What a directory below a root is for: generations and managed interpreters are published whole.
fn area(below: &Path) -> Area {
    let mut parts = below.iter().map(|part| part.to_string_lossy());
    let depth = match parts.next().as_deref() {
        Some(directory::GENERATIONS) => 1,
        Some(directory::PYTHONS) => 0,
        _ => return Area::Open,
    };
    match parts.nth(depth) {
        // Names with a dot are staging, or what was put aside.
        Some(name) if !name.starts_with('.') => Area::Closed,
        _ => Area::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_and_interpreters_are_closed_and_what_holds_them_is_open() {
        for (path, expected) in [
            ("generations", Area::Open),
            ("generations/emt", Area::Open),
            ("generations/emt/.staging-x/lib", Area::Open),
            ("generations/emt/0123", Area::Closed),
            ("generations/emt/0123/lib/python3.11", Area::Closed),
            ("pythons", Area::Open),
            ("pythons/0123", Area::Closed),
            ("pythons/0123/bin", Area::Closed),
            ("store/wheels-2/0123/tree", Area::Open),
            ("cache/mace", Area::Open),
        ] {
            assert_eq!(area(Path::new(path)), expected, "{path}");
        }
    }
}
