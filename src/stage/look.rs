//! Whether a stage is there and whole, as far as its names show; every byte of it was compared when it was made.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{self, Kind, proc};
use crate::image::contents::FILE;
use crate::image::{Contents, Image, read};
use crate::store::{Root, Tree, inside};

/// The last file written into a stage.
const MARK: &str = "rootstock-stage.json";

/// The schema this version writes and reads.
const SCHEMA: u32 = 1;

/// What is at the place of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// A stage that can be used.
    Whole,
    /// One of an earlier boot, or one that something has taken files of.
    Damaged,
}

/// When and of what a stage was made.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Mark {
    schema: u32,
    /// The boot of the node.
    boot: String,
    /// The digest of what it holds.
    id: String,
}

/// Looks at the place of a stage.
pub(super) fn look(at: &Path, id: &str) -> files::Result<Found> {
    if !files::exists(at) {
        return Ok(Found::Nothing);
    }
    let whole = files::is_really_directory(at) && is_of_this_boot(at, id)? && has_everything(at)?;
    Ok(if whole { Found::Whole } else { Found::Damaged })
}

fn is_of_this_boot(at: &Path, id: &str) -> files::Result<bool> {
    let text = match files::read_text_if_present(&at.join(MARK)) {
        Err(error) if error.is_unfit() => None,
        text => text?,
    };
    let mark = text.and_then(|text| strict_json::from_str::<Mark>(&text).ok());
    Ok(mark == Some(Mark::of(id)))
}

impl Mark {
    fn of(id: &str) -> Self {
        Self {
            schema: SCHEMA,
            boot: proc::boot(),
            id: id.to_owned(),
        }
    }

    fn text(&self) -> String {
        let mut text = serde_json::to_string(self).expect("only plain fields");
        text.push('\n');
        text
    }
}

/// Writes the file that makes it a stage; its time is now.
pub(super) fn write_mark(at: &Path, id: &str) -> files::Result<()> {
    files::write_atomically(&at.join(MARK), Mark::of(id).text().as_bytes())
}

/// Says that a stage was asked for now.
pub(super) fn touch(at: &Path) -> files::Result<()> {
    let id = at.file_name().unwrap_or_default().to_string_lossy();
    match write_mark(at, &id) {
        // On a full disk it only looks unused.
        Err(error) if files::space::shortage(&error.source).is_some() => Ok(()),
        other => other,
    }
}

/// The file whose time says when a stage was last asked for.
pub(super) fn mark(at: &Path) -> std::path::PathBuf {
    at.join(MARK)
}

/// Whether every file that belongs into a stage is there.
fn has_everything(at: &Path) -> files::Result<bool> {
    let text = match files::read(&at.join(FILE)) {
        Err(error) if error.is_missing() || error.is_unfit() => return Ok(false),
        text => text?,
    };
    let Ok(image) = read::parse(&at.join(FILE), &text) else {
        return Ok(false);
    };
    let root = Root::at(at, None);
    let Image { contents, .. } = &image;
    if !files::exists(&root.layout()) || !files::exists(&root.models()) {
        return Ok(false);
    }
    for id in contents.pythons.keys() {
        if !has_tree(&at.join(Contents::python(id)))? {
            return Ok(false);
        }
    }
    for (name, environment) in &contents.environments {
        let home = root.generation(name, &environment.id);
        if root.resolve(name)?.as_deref() != Some(&home) || !has_tree(&home)? {
            return Ok(false);
        }
    }
    let mut cached = contents.cache.keys();
    Ok(cached.all(|path| files::size(&root.cache().join(path)).is_ok()))
}

/// Whether a directory has all files of its list, and its stamp.
fn has_tree(home: &Path) -> files::Result<bool> {
    let Some(text) = files::read_text_if_present(&home.join(inside::TREE))? else {
        return Ok(false);
    };
    let Ok(tree) = Tree::parse(&text) else {
        return Ok(false);
    };
    let there = files::walk(home)?.into_iter();
    let there = there.filter(|entry| entry.kind != Kind::Directory);
    let there: BTreeSet<String> = there
        .map(|entry| entry.path.to_string_lossy().into_owned())
        .collect();
    let mut listed = tree.0.keys();
    Ok(there.contains(inside::STAMP) && listed.all(|path| there.contains(path)))
}
