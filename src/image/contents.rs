//! `rootstock-image.json`, the beginning of every image: what it holds, and how much room that takes.
//!
//! `contents` is known before a file of the root is read, and decides all the rest: its digest names what is unpacked from an image.
//! `pythons` has the lists of interpreters, `totals` what has to be free where the image is unpacked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Record;
use crate::digest::Digest;
use crate::name::{EnvironmentName, ModelId};
use crate::python::{Identity, Interpreter};
use crate::store::{Catalogue, directory};

/// The schema this version writes and reads.
pub(crate) const SCHEMA: u32 = 1;

/// The name of the file.
pub(crate) const FILE: &str = "rootstock-image.json";

/// Every filesystem that we know gives files room in pieces of this size or smaller ones.
const BLOCK: u64 = 4096;

/// The beginning of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    /// Version of this format.
    pub(crate) schema: u32,
    /// What it holds.
    pub(crate) contents: Contents,
    /// The lists of its interpreters.
    pub(crate) pythons: BTreeMap<String, List>,
    /// How much that is.
    pub(crate) totals: Totals,
}

/// What an image holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contents {
    /// The machine type that it is for.
    pub(crate) target: String,
    /// One generation of each environment.
    pub(crate) environments: BTreeMap<EnvironmentName, Environment>,
    /// Interpreters, by id.
    pub(crate) pythons: BTreeMap<String, Python>,
    /// The `models.json` of what is unpacked from it.
    pub(crate) catalogue: Catalogue,
    /// What models have fetched themselves.
    pub(crate) prefetched: BTreeMap<ModelId, Record>,
    /// Files of the cache, by their paths below it.
    pub(crate) cache: BTreeMap<String, Cached>,
}

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// Its id.
    pub(crate) id: String,
    /// Digest of the lock's answer.
    pub(crate) digest: Digest,
    /// Digest of its tree file.
    pub(crate) tree: Digest,
    /// How many packages it has.
    pub(crate) packages: u64,
    /// How many files.
    pub(crate) files: u64,
    /// How many bytes they have.
    pub(crate) bytes: u64,
    /// What its interpreter says of itself.
    pub(crate) identity: Identity,
    /// Where that is.
    pub(crate) python: Base,
}

/// Where the interpreter of an environment is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Base {
    /// In the image, with this id.
    Carried(String),
    /// On the machine, at this path.
    System(PathBuf),
}

/// An interpreter in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Python {
    /// Its executable, below its directory.
    pub(crate) executable: String,
    /// Digest of the archive it was unpacked from; of a system's interpreter, the digest of its program files.
    pub(crate) archive: Digest,
    /// The system's interpreter that is to be copied, where that has not been done yet.
    #[serde(skip)]
    pub(crate) system: Option<Interpreter>,
}

/// The files of an interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct List {
    /// Digest of its tree file.
    pub(crate) tree: Digest,
    /// How many files it has.
    pub(crate) files: u64,
    /// How many bytes they have.
    pub(crate) bytes: u64,
}

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cached {
    /// A file.
    File {
        /// Its digest.
        sha256: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A link to another file of the cache.
    Link(String),
}

/// How much an image unpacks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// Files and links.
    pub(crate) files: u64,
    /// Files, links and directories.
    pub(crate) inodes: u64,
    /// Bytes of files.
    pub(crate) bytes: u64,
    /// Bytes of a disk that they take.
    pub(crate) room: u64,
}

impl Totals {
    /// Adds a file of this size.
    pub(super) fn add(&mut self, size: u64) {
        self.files += 1;
        self.inodes += 1;
        self.bytes += size;
        self.room += size.div_ceil(BLOCK) * BLOCK;
    }

    /// Adds a directory.
    pub(super) fn add_directory(&mut self) {
        self.inodes += 1;
        self.room += BLOCK;
    }
}

impl Contents {
    /// The name of what is unpacked: the same from an image and from the root that it was made of.
    pub(crate) fn id(&self) -> String {
        let text = serde_json::to_vec(self).expect("only plain fields");
        Digest::of(text).short(32)
    }

    /// The system's interpreters that are to be copied, each with the digest of what it is.
    pub(crate) fn systems(&self) -> impl Iterator<Item = (&Interpreter, &Digest)> {
        let pythons = self.pythons.values();
        pythons.filter_map(|python| Some((python.system.as_ref()?, &python.archive)))
    }

    /// Where an environment lies.
    pub(crate) fn generation(name: &EnvironmentName, environment: &Environment) -> String {
        format!("{}/{name}/{}", directory::GENERATIONS, environment.id)
    }

    /// Where an interpreter lies.
    pub(crate) fn python(id: &str) -> String {
        format!("{}/{id}", directory::PYTHONS)
    }
}

impl Image {
    /// The text of the file.
    pub(crate) fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("only plain fields");
        text.push('\n');
        text
    }
}
