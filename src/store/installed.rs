//! What is on disk for an environment, as a value: link, generations, stamps, and whether their interpreters are still
//! the ones they were built on. Starts no program, reads a few small files. What to do about it is `plan`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::files;
use crate::name::EnvironmentName;

use super::interpreter::{self, Base};
use super::stamp::{Found, Stamp};
use super::tree::{self, Placeholders, Tree};
use super::{Root, Verifier, inside};

/// What is on disk for one environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    /// Where its link leads.
    pub current: Current,
    /// Every directory that could be a generation of it, by id.
    pub generations: BTreeMap<String, Generation>,
    /// Why not all of that can be seen, if it cannot.
    pub unreadable: Option<String>,
}

/// Where the link of an environment leads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Current {
    /// There is none.
    #[default]
    Nothing,
    /// To the generation of this id.
    Generation(String),
    /// Somewhere that is no generation of this environment, or it is not a link.
    Elsewhere(PathBuf),
}

/// A directory that could be a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Generation {
    /// It has no stamp that can be read: it was not finished.
    Incomplete,
    /// Its stamp has a newer schema.
    Newer(u32),
    /// It cannot be read to see what it is, and why not.
    Unreadable(String),
    /// It has a stamp.
    Complete(Box<Complete>),
}

/// A finished generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    /// What it is.
    pub stamp: Stamp,
    /// How its interpreter stands to the one it was built on.
    pub base: Base,
    /// The digest of its source file, if that is there.
    pub source: Option<Digest>,
    /// The first of its own files found wrong; only those that cost nothing to look at are looked at.
    pub damage: Option<String>,
}

impl Installed {
    /// The generation the link leads to.
    pub(crate) fn current(&self) -> Option<&Generation> {
        match &self.current {
            Current::Generation(id) => self.generations.get(id),
            _ => None,
        }
    }
}

/// Reads what is on disk for each of these environments. What is wrong with one is no reason not to see the others.
pub(crate) fn read<'a>(
    root: &Root,
    environments: impl IntoIterator<Item = &'a EnvironmentName>,
) -> BTreeMap<EnvironmentName, Installed> {
    // Most generations of a root stand on one interpreter: it is looked at once.
    let mut bases = HashMap::new();
    environments
        .into_iter()
        .map(|name| (name.clone(), environment(root, name, &mut bases)))
        .collect()
}

/// The stamp of the generation that an environment's link leads to, if it can be read. Looks at nothing else.
pub(crate) fn current_stamp(root: &Root, name: &EnvironmentName) -> Option<Stamp> {
    let Current::Generation(id) = current(root, name).ok()? else {
        return None;
    };
    match Stamp::read(&root.generation(name, &id)).ok()? {
        Found::Stamp(stamp) => Some(*stamp),
        Found::Nothing | Found::Newer(_) => None,
    }
}

/// Looks at one generation alone; `None` if nothing has its name.
pub(crate) fn look(root: &Root, name: &EnvironmentName, id: &str) -> Option<Generation> {
    let path = root.generation(name, id);
    files::exists(&path).then(|| generation(&path, name, id, &mut HashMap::new()))
}

/// Whether every byte of a generation is as it was. Uses the rayon pool it is called in.
pub(crate) fn is_intact(
    root: &Root,
    path: &Path,
    stamp: &Stamp,
    verifier: &Verifier,
) -> files::Result<bool> {
    let text = files::read(&path.join(inside::TREE))?;
    let Ok(tree) = Tree::parse(&String::from_utf8_lossy(&text)) else {
        return Ok(false);
    };
    let python = &stamp.python;
    let here = Placeholders {
        executable: &python.executable,
        version: &python.identity.version,
        access: root.access(),
    };
    let differences = tree::differences(path, &tree, here, verifier)?;
    Ok(Digest::of(text) == stamp.tree && differences.is_empty())
}

type Bases = HashMap<Vec<interpreter::Part>, Base>;

fn environment(root: &Root, name: &EnvironmentName, bases: &mut Bases) -> Installed {
    let mut installed = Installed::default();
    match files::names(&root.generations(name)) {
        Ok(ids) => {
            // Names with a dot are staging: invisible until they are renamed.
            for id in ids.into_iter().filter(|id| !id.starts_with('.')) {
                let found = generation(&root.generation(name, &id), name, &id, bases);
                installed.generations.insert(id, found);
            }
        }
        Err(error) => installed.unreadable = Some(error.text()),
    }
    match current(root, name) {
        Ok(current) => installed.current = current,
        Err(error) => installed.unreadable = Some(error.text()),
    }
    installed
}

fn current(root: &Root, name: &EnvironmentName) -> files::Result<Current> {
    let link = root.current(name);
    let Some(target) = files::link_target(&link)? else {
        // A file or directory in the link's place.
        return Ok(if files::exists(&link) {
            Current::Elsewhere(link)
        } else {
            Current::Nothing
        });
    };
    let id = target.file_name().unwrap_or_default().to_string_lossy();
    Ok(if target == super::link_to(name, &id) {
        Current::Generation(id.into_owned())
    } else {
        Current::Elsewhere(target)
    })
}

fn generation(path: &Path, name: &EnvironmentName, id: &str, bases: &mut Bases) -> Generation {
    let read = examine(path, name, id, bases);
    read.unwrap_or_else(|error| Generation::Unreadable(error.text()))
}

fn examine(
    path: &Path,
    name: &EnvironmentName,
    id: &str,
    bases: &mut Bases,
) -> files::Result<Generation> {
    let stamp = match Stamp::read(path)? {
        Found::Nothing => return Ok(Generation::Incomplete),
        Found::Newer(schema) => return Ok(Generation::Newer(schema)),
        Found::Stamp(stamp) => *stamp,
    };
    let source = match files::read(&path.join(inside::SOURCE)) {
        Ok(bytes) => Some(Digest::of(bytes)),
        Err(error) if error.is_missing() || error.is_unfit() => None,
        Err(error) => return Err(error),
    };
    Ok(Generation::Complete(Box::new(Complete {
        base: base_of(&stamp, bases)?,
        damage: damage(path, name, id, &stamp)?,
        stamp,
        source,
    })))
}

fn damage(
    path: &Path,
    name: &EnvironmentName,
    id: &str,
    stamp: &Stamp,
) -> files::Result<Option<String>> {
    if stamp.id != id || stamp.environment != *name {
        return Ok(Some(format!(
            "its stamp is that of `{}` {}",
            stamp.environment, stamp.id
        )));
    }
    if files::link_target(&path.join(inside::PYTHON))?.as_ref() != Some(&stamp.python.executable) {
        return Ok(Some(format!("`{}` has changed", inside::PYTHON)));
    }
    let missing = [inside::TREE, inside::CONFIGURATION]
        .into_iter()
        .find(|file| !files::exists(&path.join(file)));
    Ok(missing.map(|file| format!("`{file}` is missing")))
}

fn base_of(stamp: &Stamp, bases: &mut Bases) -> files::Result<Base> {
    if let Some(base) = bases.get(&stamp.interpreter) {
        return Ok(base.clone());
    }
    let base = interpreter::base(&stamp.interpreter)?;
    bases.insert(stamp.interpreter.clone(), base.clone());
    Ok(base)
}
