//! A root's policy applied to what lies in it: owner, group and permission bits, whatever the umask was. What the bits
//! are is known to `access`.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Root, directory};
use crate::access::Access;
use crate::files::{self, Kind, ownership};

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
        /// The system's error.
        source: std::io::Error,
    },
    /// Some things belong to others, who alone can change who may use them.
    #[error(
        "{count} files and directories do not conform to `access = \"{access}\"` and belong to others; the first is `{}`, of \
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
    Writable,
    /// Its contents are final: read-only.
    Published,
}

impl Policy {
    /// The policy, with the group's number on this machine.
    pub(crate) fn of(access: Access) -> Result<Self, Error> {
        let number = |name: &str| {
            let found = ownership::group_named(name).map_err(|source| Error::Groups {
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

    /// Who may use the root.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// The number of the group it names.
    pub(crate) fn group(&self) -> Option<u32> {
        self.group
    }

    /// Whether only the group may use the root.
    pub(crate) fn is_for_group(&self) -> bool {
        matches!(self.access, Access::Group(_))
    }

    /// Lets maintainers write in a directory.
    pub(crate) fn make_writable(&self, directory: &Path) -> files::Result<()> {
        self.apply_to(directory, self.access.open())
    }

    /// Makes a directory read-only, for everybody that the policy is for.
    pub(crate) fn make_read_only(&self, directory: &Path) -> files::Result<()> {
        self.apply_to(directory, self.access.closed())
    }

    /// Makes a file readable for everybody that the policy is for.
    pub(crate) fn make_readable(&self, file: &Path) -> files::Result<()> {
        let mode = ownership::ownership(file)?.mode;
        self.apply_to(file, self.access.shared(mode))
    }

    /// Makes a directory that is about to be published read-only, with everything in it. Uses the rayon pool it is called
    /// in.
    pub(crate) fn make_tree_read_only(&self, directory: &Path) -> files::Result<()> {
        self.tree(directory, &|_| Area::Published)
    }

    /// Makes the files in a directory readable, and its directories writable for maintainers. Uses the rayon pool it is
    /// called in.
    pub(crate) fn make_tree_readable(&self, directory: &Path) -> files::Result<()> {
        self.tree(directory, &|_| Area::Writable)
    }

    fn tree(&self, directory: &Path, area: &(dyn Fn(&Path) -> Area + Sync)) -> files::Result<()> {
        let mut entries = files::walk(directory)?;
        // Children first: a directory that this user cannot enter afterwards can then still be walked.
        entries.reverse();
        entries.par_iter().try_for_each(|entry| {
            let Some(mode) = self.mode(entry, area) else {
                return Ok(());
            };
            if entry.mode == mode && self.group.is_none_or(|group| group == entry.group) {
                return Ok(());
            }
            self.apply_to(&directory.join(&entry.path), mode)
        })?;
        self.apply_to(directory, self.directory(area(Path::new(""))))
    }

    /// The mode and the group that something below a root should have; `None` where modes mean nothing, and for
    /// published files, which a list of their own is about.
    pub(crate) fn wanted(&self, entry: &files::Entry) -> Option<(u32, Option<u32>)> {
        let there = area(&entry.path);
        if entry.kind == Kind::File && there == Area::Published {
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
            Area::Writable => self.access.open(),
            Area::Published => self.access.closed(),
        }
    }

    fn apply_to(&self, path: &Path, mode: u32) -> files::Result<()> {
        ownership::set_ownership(path, mode, self.group)
    }

    /// Lets maintainers write in a directory of the root itself. One that belongs to another user stays as it is: only its
    /// owner can change it.
    pub(super) fn make_writable_if_owned(&self, directory: &Path) -> files::Result<()> {
        match self.make_writable(directory) {
            Err(error) if error.is_refused() && is_of_others(directory) => Ok(()),
            other => other,
        }
    }

    /// Applies the policy to everything in a root and its cache. Uses the rayon pool it is called in.
    pub(crate) fn apply(&self, root: &Root) -> Result<(), Error> {
        let of_others = std::sync::Mutex::new(Vec::new());
        let mut tops = vec![root.path().to_owned()];
        tops.extend(root.cache_elsewhere().map(Path::to_owned));
        for top in tops.iter().filter(|top| files::exists(top)) {
            let settle = |path: PathBuf, mode| match self.apply_to(&path, mode) {
                Err(error) if error.is_refused() && is_of_others(&path) => {
                    let mut list = of_others.lock().expect("no thread panics while holding it");
                    list.push(path);
                    Ok(())
                }
                // `gc` has removed it meanwhile.
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
                owner: ownership::user_name(ownership::ownership(first)?.owner),
                first: first.clone(),
            }),
        }
    }
}

fn is_of_others(path: &Path) -> bool {
    ownership::ownership(path).is_ok_and(|there| there.owner != ownership::effective_uid())
}

/// What a directory below a root is for: generations and managed interpreters are published whole.
fn area(below: &Path) -> Area {
    let mut parts = below.iter().map(|part| part.to_string_lossy());
    let depth = match parts.next().as_deref() {
        Some(directory::GENERATIONS) => 1,
        Some(directory::PYTHONS) => 0,
        _ => return Area::Writable,
    };
    match parts.nth(depth) {
        // Names with a dot are staging, or what was put aside.
        Some(name) if !name.starts_with('.') => Area::Published,
        _ => Area::Writable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_and_interpreters_are_closed_and_what_holds_them_is_open() {
        for (path, expected) in [
            ("generations", Area::Writable),
            ("generations/emt", Area::Writable),
            ("generations/emt/.staging-x/lib", Area::Writable),
            ("generations/emt/0123", Area::Published),
            ("generations/emt/0123/lib/python3.11", Area::Published),
            ("pythons", Area::Writable),
            ("pythons/0123", Area::Published),
            ("pythons/0123/bin", Area::Published),
            ("store/wheels-2/0123/tree", Area::Writable),
            ("cache/mace", Area::Writable),
        ] {
            assert_eq!(area(Path::new(path)), expected, "{path}");
        }
    }
}
