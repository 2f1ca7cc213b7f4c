//! Giving an assembled environment its name, and pointing the environment's link to it. What is in it is not known
//! here.
//!
//! Staging lies beside the generations of its environment: a rename within one directory is atomic on every
//! filesystem we know, needs no right to write in the directory that is renamed, and never crosses a device.
//! Correctness rests on two facts alone: a rename of a directory happens or does not, and it never replaces a
//! directory that has something in it. So the first of several builders of one generation publishes it, and the others
//! find it there.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::digest::Digest;
use crate::files::{self, Kind};
use crate::name::EnvironmentName;
use crate::python::Interpreter;
use crate::store::installed::{self, Complete, Generation};
use crate::store::interpreter::Base;
use crate::store::{Catalogue, Root, Stamp, Verifier, inside, link_to};

use super::assemble::write_read_only;
use crate::store::trash::discard;

const STAGING: &str = ".staging-";

/// A generation cannot be published.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// The same lock gave two different trees.
    #[error("`{}` was built before from the same lock with other files ({was} there, {now} now)", path.display())]
    #[diagnostic(help(
        "one of the two builds does not match the lock; `rootstock sync --force` builds it again and moves the \
         other to `trash`"
    ))]
    Differs {
        /// The generation that is there.
        path: PathBuf,
        /// Its tree digest.
        was: String,
        /// That of the new one.
        now: String,
    },
    /// Others put something there as often as we took it away.
    #[error("`{}` cannot be replaced: something puts an unfinished directory there again and again", path.display())]
    Contended {
        /// The generation.
        path: PathBuf,
    },
}

/// How a generation came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// It is ours.
    Ours,
    /// It was there already, and is the same.
    Theirs,
}

/// A generation as it is about to be published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    /// Its stamp.
    pub stamp: &'a Stamp,
    /// Digest of its source file.
    pub source: Digest,
    /// Whether one that is there already counts only if every file of it is as in its tree.
    pub force: bool,
}

/// A generation that is not visible yet; removed when dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    root: Root,
    environment: EnvironmentName,
}

impl Staging {
    /// An empty directory beside the generations of an environment.
    pub(crate) fn new(root: &Root, environment: &EnvironmentName) -> files::Result<Self> {
        let parent = root.generations(environment);
        let make = || {
            if files::is_no_directory(&parent) {
                discard(root, &parent, environment.as_str())?;
            }
            files::create_directories(&parent)?;
            files::temporary_directory(&parent, STAGING)
        };
        // `gc` removes a directory of generations that has none, and may just have done it.
        let directory = make().or_else(|error| {
            if error.is_missing() {
                make()
            } else {
                Err(error)
            }
        });
        Ok(Self {
            path: directory?.keep(),
            root: root.clone(),
            environment: environment.clone(),
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the stamp, makes everything read-only, flushes it to disk and gives it its name. Uses the rayon pool it is
    /// called in.
    pub(crate) fn publish(self, new: Candidate) -> Result<Published, Error> {
        let stamp = new.stamp;
        self.finish(stamp)?;
        let to = self.root.generation(&self.environment, &stamp.id);
        // Once in the way, twice by a race with another process that does the same; more is not a race.
        for _ in 0..4 {
            match files::rename(&self.path, &to) {
                Ok(()) => {
                    files::flush_directory(&self.root.generations(&self.environment))?;
                    return Ok(Published::Ours);
                }
                Err(error) if error.is_occupied() => {}
                // Something that is no directory has its name.
                Err(_) if files::is_no_directory(&to) => {}
                Err(error) => return Err(error.into()),
            }
            match judge(&self.root, &self.environment, new)? {
                Verdict::Good => return Ok(Published::Theirs),
                Verdict::Stamp if write_stamp_again(&self.root, &to, stamp)? => {
                    return Ok(Published::Theirs);
                }
                Verdict::Stamp | Verdict::Useless => {
                    let label = format!("{}-{}", self.environment, stamp.id);
                    discard(&self.root, &to, &label)?;
                }
            }
        }
        Err(Error::Contended { path: to })
    }

    /// The stamp goes in last: a directory without one was interrupted.
    fn finish(&self, stamp: &Stamp) -> files::Result<()> {
        write_read_only(&self.path.join(inside::STAMP), stamp.text().as_bytes())?;
        make_read_only(&self.root, &self.path)
    }
}

/// Makes a finished tree read-only as the root's policy requires, and flushes all of it to disk. Uses the rayon pool
/// it is called in.
pub(super) fn make_read_only(root: &Root, path: &Path) -> files::Result<()> {
    if let Some(policy) = root.policy() {
        policy.make_tree_read_only(path)?;
    } else {
        let mut entries = files::walk(path)?;
        entries.retain(|entry| entry.kind == Kind::Directory);
        entries
            .par_iter()
            .try_for_each(|entry| files::set_mode(&path.join(&entry.path), 0o555))?;
        files::set_mode(path, 0o555)?;
    }
    // Otherwise a power cut could leave the name without the bytes.
    files::flush_filesystem(path)
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Where it was published its old name is gone. Where it cannot be removed, the next sync tries again; the
        // error that brought us here is the one worth telling.
        let _ = files::remove_tree(&self.path);
    }
}

/// What a generation that is there already is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It can be used as it is.
    Good,
    /// It can be used, but its interpreter was replaced by an equal one, which its stamp does not know.
    Stamp,
    /// It cannot be used.
    Useless,
}

/// Judges the generation that is there against a new one of the same id.
fn judge(root: &Root, environment: &EnvironmentName, new: Candidate) -> Result<Verdict, Error> {
    let Candidate {
        stamp,
        source,
        force,
    } = new;
    let Some(Generation::Complete(there)) = installed::look(root, environment, &stamp.id) else {
        return Ok(Verdict::Useless);
    };
    let path = root.generation(environment, &stamp.id);
    let verdict = verdict(&there, &stamp.python, source);
    if verdict == Verdict::Useless
        // One that cannot be read to the end is of no use either, and may be going just now.
        || (force && !installed::is_intact(root, &path, &there.stamp, &Verifier::default()).unwrap_or(false))
    {
        return Ok(Verdict::Useless);
    }
    if there.stamp.tree == stamp.tree {
        return Ok(verdict);
    }
    if force {
        return Ok(Verdict::Useless);
    }
    Err(Error::Differs {
        path,
        was: there.stamp.tree.short(12),
        now: stamp.tree.short(12),
    })
}

/// Whether a finished generation can be used instead of building one of the same id on this interpreter from this
/// source, by what costs nothing to look at.
pub(super) fn verdict(there: &Complete, python: &Interpreter, source: Digest) -> Verdict {
    if there.damage.is_some() || there.source != Some(source) {
        return Verdict::Useless;
    }
    let was = &there.stamp.python;
    let same_python = was.executable == python.executable && was.identity == python.identity;
    match there.base {
        Base::Same => Verdict::Good,
        // An update of the system's Python that kept its version: bytecode and extensions remain valid.
        Base::Changed(_) if same_python => Verdict::Stamp,
        Base::Changed(_) | Base::Missing(_) | Base::Closed(_) => Verdict::Useless,
    }
}

/// Replaces the stamp of a finished generation, whose other files stay as they are. `false` if only its
/// owner, another user, may write in it.
pub(super) fn write_stamp_again(
    root: &Root,
    generation: &Path,
    stamp: &Stamp,
) -> files::Result<bool> {
    match files::set_mode(generation, 0o755) {
        Err(error) if error.is_refused() => return Ok(false),
        other => other?,
    }
    let written = files::write_atomically(&generation.join(inside::STAMP), stamp.text().as_bytes());
    match root.policy() {
        Some(policy) => policy.make_read_only(generation)?,
        None => files::set_mode(generation, 0o555)?,
    }
    written.map(|()| true)
}

/// Points the environment to a generation: readers see the old or the new one. Returns whether that generation is there
/// afterwards: `gc` may have taken it away, because nothing led to it.
pub(crate) fn flip(root: &Root, environment: &EnvironmentName, id: &str) -> files::Result<bool> {
    let link = root.current(environment);
    let directory = link.parent().expect("a link lies in `envs`");
    retire(root, environment, id)?;
    // A copy that followed links has a directory there, which no rename replaces.
    if files::link_target(&link)?.is_none() && files::exists(&link) {
        discard(root, &link, environment.as_str())?;
    }
    files::point(&link, &link_to(environment, id))?;
    files::flush_directory(directory)?;
    Ok(files::exists(
        &root.generation(environment, id).join(inside::STAMP),
    ))
}

/// Writes down that the environment's present generation gives way to another one: jobs may run from it for a while yet.
fn retire(root: &Root, environment: &EnvironmentName, to: &str) -> files::Result<()> {
    // What is in the link's place is no link, or there is none: then nothing was in use.
    let Ok(Some(target)) = files::link_target(&root.current(environment)) else {
        return Ok(());
    };
    let id = target.file_name().unwrap_or_default().to_string_lossy();
    if id == to || target != link_to(environment, &id) {
        return Ok(());
    }
    if !files::exists(&root.generation(environment, &id)) {
        return Ok(());
    }
    files::write_atomically(&root.retired(environment, &id), b"")
}

/// Writes down of environments that a new catalogue does not have any more since when that is so: jobs may run from them for
/// a while yet.
pub(crate) fn retire_dropped(root: &Root, catalogue: &Catalogue) -> files::Result<()> {
    let Some(before) = Catalogue::read(&root.models()).ok().flatten() else {
        return Ok(());
    };
    let mut environments = before.environments.keys();
    environments
        .by_ref()
        .filter(|name| !catalogue.environments.contains_key(name))
        .try_for_each(|name| retire(root, name, ""))
}
