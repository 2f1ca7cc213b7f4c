//! `rootstock evaluate`: energies, forces and stress of many structures, or what a function makes of each, by warm processes of one
//! environment. Structures come from a file, and go to a file that can be completed later; or both pass through a pipe.
//!
//! ```text
//! file ──▶ Python: reads ──▶ queue ──▶ run, pool ──▶ Python: computes ──▶ journal ──▶ OUT
//! client ──▶ stream ─────────┘                                      └──▶ stream ──▶ client
//! ```
//!
//! # Messages between the parent and its Python
//!
//! As those of `call` they have two int32 before them (`pool::channel`). Behind that each, in both directions, is the length of a head
//! (u32), the head as JSON, and bytes that the head describes (`message`). The first message from Python, "ready", is `{}` alone.
//!
//! The **order**: `launcher`, `source` (path of the environment's source), `paths` (for the front of `sys.path`), `model` (what
//! `load_calculator` needs, but for the device), `function` (`module`, `function_name`) or null, `properties` or null for the usual
//! ones, `write` (whether answers are extended XYZ; otherwise packed results), `notes` (what each structure is marked with), `input`
//! (`path`, `index`, `shard`).
//!
//! A **request** has `n` (its number), `timeout` (only for the traceback: the parent stops Python), and `do`:
//!
//! * `read`: the next structures, at most `most` or `bytes` of them. Answer: `items` (`index`, `atoms`, `digest`, `length`), `ended`.
//! * `load` the model on `device`: answer `device`, `batch` (whether it computes several at once) and, where `auto` was asked for,
//!   `devices`.
//! * `compute`: `items` (`index`, `digest`, `length`). Answer: `items`, each with the `length` of its bytes or a `failure`, and `largest`,
//!   how many fitted at once where memory was too small.
//!
//! An **answer** repeats `n`, and has `failure` (`type`, `message`, `traceback`, `hint`) where the request as a whole failed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::runtime::{Selected, Variables};

mod batches;
mod claim;
mod failure;
mod file;
mod journal;
mod message;
mod order;
mod record;
pub(crate) mod report;
mod run;
pub(crate) mod shard;
mod source;
mod stream;
pub(crate) mod workers;

pub(crate) use failure::{Error, Failure};
pub(crate) use file::{Target, evaluate};
pub(crate) use run::{Progress, Summary};
pub(crate) use stream::serve;

/// The program that Python runs; later parts use earlier ones.
const PROGRAM: &str = concat!(
    include_str!("../../python/rootstock/encoding.py"),
    "\n\n",
    include_str!("../../python/rootstock/layout.py"),
    "\n\n",
    include_str!("../worker/shim/launcher.py"),
    "\n\n",
    include_str!("../worker/shim/report.py"),
    "\n\n",
    include_str!("../worker/shim/loading.py"),
    "\n\n",
    include_str!("../worker/shim/atoms.py"),
    "\n\n",
    include_str!("../worker/shim/results.py"),
    "\n\n",
    include_str!("../worker/shim/model.py"),
    "\n\n",
    include_str!("../pool/streams.py"),
    "\n\n",
    include_str!("../call/shim/find.py"),
    "\n\n",
    include_str!("shim/extxyz.py"),
    "\n\n",
    include_str!("shim/read.py"),
    "\n\n",
    include_str!("shim/compute.py"),
    "\n\n",
    include_str!("shim/main.py"),
);

/// What evaluations work with.
pub(crate) struct Context<'a> {
    /// The model and its environment.
    pub selected: &'a Selected,
    /// All variables of Python.
    pub variables: &'a Variables,
    /// Where the caller is: Python works there.
    pub directory: &'a Path,
    /// How to evaluate.
    pub options: &'a Options,
    /// Prints a line of our own.
    pub print: &'a dyn Fn(&str),
    /// Changes what Python prints before it is passed on.
    pub escape: &'a dyn Fn(&[u8]) -> Vec<u8>,
}

/// How to evaluate.
#[derive(Debug)]
pub(crate) struct Options {
    /// The name of the model, as it was given.
    pub model: String,
    /// The devices, one for each worker in turn; `None` for those that torch sees.
    pub devices: Option<Vec<String>>,
    /// How many processes compute; `None` for one on each device, or on each processor.
    pub workers: Option<usize>,
    /// How many that are on processors alone.
    pub most: usize,
    /// The rank of this task on its node, if a launcher has started several.
    pub rank: Option<u32>,
    /// How many structures are computed at once; `None` for as many as pays.
    pub batch: Option<usize>,
    /// The results that are wanted; `None` for energy, forces and, where there is one, stress.
    pub properties: Option<Vec<String>>,
    /// A function of the user's, in place of a calculation.
    pub function: Option<Function>,
    /// Directories for the front of `sys.path`.
    pub paths: Vec<PathBuf>,
    /// How long a structure may take.
    pub step_timeout: Option<Duration>,
    /// How long the model may take to load.
    pub startup_timeout: Duration,
}

/// A function of atoms.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Function {
    /// A module's name, or a file's absolute path.
    pub module: String,
    /// Its name there.
    #[serde(rename = "function_name")]
    pub name: String,
    /// The sha256 of the file, if it is one.
    #[serde(skip)]
    pub digest: Option<String>,
}

/// The file with the structures.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Input {
    /// Its absolute path.
    pub path: PathBuf,
    /// Which structures of it, as ASE has it; all if `None`.
    pub index: Option<String>,
    /// Which of these: number and count of shards.
    pub shard: (u64, u64),
}
