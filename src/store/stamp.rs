//! The last file written into a generation. A directory without a valid stamp does not exist.
//!
//! `rootstock-stamp.json` is a JSON object with the fields of [`Stamp`], sealed (see `sealed`). `schema` is 1. A stamp that cannot be read, or was changed, is a miss, never a crash; one of a newer
//! schema is foreign.

use std::path::Path;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::files;
use crate::name::EnvironmentName;
use crate::python::Interpreter;

use super::interpreter::Part;
use super::{inside, sealed};

/// The version of this program, as stamps have it.
pub fn this_version() -> Version {
    let version = env!("CARGO_PKG_VERSION").parse();
    version.expect("our own version is one")
}

/// The schema this version writes and reads.
pub const SCHEMA: u32 = 1;

/// What a generation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Version of this format.
    pub schema: u32,
    /// The rootstock that built it.
    pub rootstock: Version,
    /// The environment it belongs to.
    pub environment: EnvironmentName,
    /// The digest of the lock's answer it was built from.
    pub digest: Digest,
    /// Its own name: the digest of answer, interpreter and build format.
    pub id: String,
    /// The target's name, `linux-x86_64`.
    pub target: String,
    /// The interpreter it runs on, as it reported itself at build time.
    pub python: Interpreter,
    /// The id of that interpreter below `pythons`, if it is a managed one: what `gc` keeps there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<String>,
    /// That interpreter's files as they were then.
    pub interpreter: Vec<Part>,
    /// Digest of the tree file in normal form.
    pub tree: Digest,
    /// How many packages were installed.
    pub packages: u64,
    /// How many files it has.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// What stands where a stamp should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A stamp.
    Stamp(Box<Stamp>),
    /// None, or one that cannot be read: the generation was never finished.
    Nothing,
    /// One of a newer schema.
    Newer(u32),
}

/// The part that every version of the file has.
#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

impl Stamp {
    /// The stamp of the generation at this path.
    pub fn read(generation: &Path) -> files::Result<Found> {
        let bytes = match files::read(&generation.join(inside::STAMP)) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() || error.is_unfit() => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        Ok(match strict_json::from_slice::<Schema>(&bytes) {
            Ok(Schema { schema }) if schema > SCHEMA => Found::Newer(schema),
            _ => sealed::open(&bytes).map_or(Found::Nothing, |stamp| Found::Stamp(Box::new(stamp))),
        })
    }

    /// The stamp as it is written.
    pub fn text(&self) -> String {
        sealed::text(self)
    }
}
