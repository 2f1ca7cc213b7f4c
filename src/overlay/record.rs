//! What is recorded of a command under a Python that is not the environment's own: one JSON object in one line for each Python
//! process, appended to a file.
//!
//! ```json
//! {"schema": 1, "rootstock": "0.1.0", "env": "toy", "generation": "2bef…", "digest": "…", "overlay": "append",
//!  "collisions": [{"name": "numpy", "theirs": "2.1.3", "ours": "2.5.5", "place": "/home/me/venv/lib/…"}],
//!  "python": {"implementation": "cpython", "version": "3.12.1", "soabi": "…", "executable": "…", "prefix": "…", "pid": 4711},
//!  "pid": 4711, "argv0": "relax.py"}
//! ```
//!
//! `python` is what that process says of itself. A command of which no Python has reported has one line with `null` there.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::EnvironmentName;

/// The schema this version writes and reads.
pub const SCHEMA: u32 = 1;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format.
    pub schema: u32,
    /// The rootstock that started it.
    pub rootstock: String,
    /// The environment's name.
    #[serde(rename = "env")]
    pub environment: EnvironmentName,
    /// The id of the generation whose packages it has.
    pub generation: Option<String>,
    /// The digest of the lock's answer that this was built from.
    pub digest: Option<Digest>,
    /// Where these packages are on its search path.
    pub overlay: Mode,
    /// Names that both have.
    pub collisions: Vec<Collision>,
    /// The Python that ran, in its own words.
    pub python: Option<Python>,
    /// The process; of a command without a Python, that command.
    pub pid: u32,
    /// The name of its program or script.
    pub argv0: Option<String>,
}

/// Where an environment's packages are on the search path of a Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is the environment's own Python.
    Own,
    /// Before its own packages.
    Prepend,
    /// Behind them.
    Append,
    /// Not there, because that was asked for.
    Skip,
    /// Not there, because they do not fit.
    None,
}

/// An import name that both have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collision {
    /// The name.
    pub name: String,
    /// The version that Python has.
    pub theirs: Option<String>,
    /// The environment's version.
    pub ours: Option<String>,
    /// Where that Python has it.
    pub place: String,
}

/// A Python process, as it reports itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// `sys.implementation.name`.
    pub implementation: String,
    /// Its exact version.
    pub version: String,
    /// The ABI of its extension modules.
    pub soabi: String,
    /// `sys.executable`.
    pub executable: Option<String>,
    /// `sys.prefix`.
    pub prefix: String,
    /// Its process.
    pub pid: u32,
}

impl Record {
    /// One of this program, of which nothing is known yet but the environment.
    pub fn of(environment: EnvironmentName, overlay: Mode) -> Self {
        Self {
            schema: SCHEMA,
            rootstock: env!("CARGO_PKG_VERSION").to_owned(),
            environment,
            generation: None,
            digest: None,
            overlay,
            collisions: Vec::new(),
            python: None,
            pid: std::process::id(),
            argv0: None,
        }
    }

    /// As a line of a file.
    pub fn line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("plain fields are JSON");
        line.push('\n');
        line
    }
}
