//! A managed interpreter below `{root}/pythons`: where it is, and whether it is as it was unpacked. Fetches nothing.
//!
//! ```text
//! {root}/pythons/<id>/           read-only, shared by all environments
//! ├── bin/python3.11  lib/python3.11/…  as in the archive, with bytecode of the standard library
//! ├── rootstock-tree.txt         sha256, mode and path of every file (see `tree`)
//! └── rootstock-stamp.json       written last, sealed: the archive's sha256, the digest of the tree
//! ```
//!
//! Nothing in it names the machine or the root. The id is the digest of the archive's sha256 and of what is made of it.
//! Generations say in their stamps (`managed`) which id they stand on.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::files;

use super::tree::{self, Difference, Placeholders, Tree};
use super::{Root, Verifier, inside, sealed};

/// Counts up when this program would make other files of the same archive.
const FORMAT: u32 = 2;

/// What an unpacked interpreter is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Version of this format.
    pub schema: u32,
    /// Digest of the archive.
    pub archive: Digest,
    /// Digest of the tree file.
    pub tree: Digest,
    /// How many files it has.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// The schema this version writes and reads.
pub(crate) const SCHEMA: u32 = 1;

/// The id of the interpreter in the archive of this digest.
pub(crate) fn id(archive: &Digest) -> String {
    Digest::of(format!("rootstock python {FORMAT}\n{archive}\n")).short(32)
}

/// Where the interpreter of this archive is, or will be.
pub(crate) fn directory(root: &Root, archive: &Digest) -> PathBuf {
    root.pythons().join(id(archive))
}

/// Its executable.
pub(crate) fn executable(home: &Path, series: (u64, u64)) -> PathBuf {
    home.join(format!("bin/python{}.{}", series.0, series.1))
}

impl Stamp {
    /// The stamp in this directory; `None` if there is none that can be read: it was not finished.
    pub(crate) fn read(home: &Path) -> files::Result<Option<Self>> {
        let text = match files::read_text_if_present(&home.join(inside::STAMP)) {
            Err(error) if error.is_unfit() => None,
            text => text?,
        };
        let stamp: Option<Self> = text.and_then(|text| sealed::open(text.as_bytes()));
        Ok(stamp.filter(|stamp| stamp.schema == SCHEMA))
    }

    /// The stamp as it is written.
    pub(crate) fn text(&self) -> String {
        sealed::text(self)
    }
}

/// How an interpreter stands to what was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none, or it was not finished.
    Missing,
    /// Every byte is as it was.
    Whole,
    /// Its own list of files is not the one it was finished with.
    Unknown,
    /// These files are not as they were.
    Damaged(Vec<Difference>),
}

/// Reads every file of an interpreter of this root. Uses the rayon pool it is called in.
pub(crate) fn state(
    root: &Root,
    home: &Path,
    archive: &Digest,
    verifier: &Verifier,
) -> files::Result<State> {
    let Some(stamp) = Stamp::read(home)? else {
        return Ok(State::Missing);
    };
    let text = match files::read_text_if_present(&home.join(inside::TREE)) {
        Err(error) if error.is_unfit() => None,
        text => text?,
    };
    let text = text.unwrap_or_default();
    if stamp.archive != *archive || Digest::of(&text) != stamp.tree {
        return Ok(State::Unknown);
    }
    let Ok(tree) = Tree::parse(&text) else {
        return Ok(State::Unknown);
    };
    // Nothing in it stands for a machine: the placeholders of generations have no meaning here.
    let here = Placeholders {
        executable: Path::new(""),
        version: "",
        access: root.access(),
    };
    let differences = tree::differences(home, &tree, here, verifier)?;
    Ok(if differences.is_empty() {
        State::Whole
    } else {
        State::Damaged(differences)
    })
}
