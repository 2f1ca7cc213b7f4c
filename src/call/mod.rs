//! `rootstock call`: functions and classes in an environment's Python, one request after another, each answered by one line
//! of JSON whatever the function, its C libraries and its children print. Reads a root's directories alone, and writes nothing
//! there.
//!
//! ```text
//! requests ──▶ request ──▶ serve ──▶ pool ──▶ Python: shim/*.py
//! responses ◀── response ◀──┘  ◀─────┘
//! ```
//!
//! # Messages between the parent and its Python
//!
//! On a private socket, each with two int32 before it, kind and length (`pool::channel`):
//!
//! | kind  | from the parent                       | from Python                               |
//! |-------|---------------------------------------|-------------------------------------------|
//! | TEXT  | first the order, then requests        | ready, then one answer to each request    |
//! | ERROR |                                       | cannot load: `{"failure": …}`; it ends    |
//!
//! The **order**, with a file in memory for tracebacks (`SCM_RIGHTS`): `launcher` (the parent's pid), `source` (path of the
//! environment's source), `directory` (where the parent was started), `paths` (for the front of `sys.path`), `model` (what
//! `load_calculator` needs), `eager` (whether it is loaded first), `digest` (of the lock's answer), `entry_points` (of the projects in
//! `paths`, by group and name), `max_output`, `startup_timeout`.
//!
//! **Ready**: what Python reports of itself, `implementation`, `version`, `soabi`, `executable`, `prefix`, `pid`; the response's `python`.
//!
//! A **request**: `n` (its number), `kind` (a key of `KINDS` in `shim/kinds.py`), `workdir` (absolute; Python changes there),
//! `timeout` (seconds or null, only for the traceback: the parent stops it), `want` (`json` or `pickle`), `python` (the minor version
//! that made the pickles), and the keys of its kind:
//!
//! * function: `module` (a name, or the absolute path of a file) and `function_name`, or `function_code`; `args`, `kwargs`
//! * class: the same with `class_name` and `class_code`, `constructor_args`, `constructor_kwargs`, `method_name` (null: none is
//!   called), `instance_id`, `create_new_instance`, `close`; `args`, `kwargs`
//!
//! * task: `entrypoint`, `params`, `seed`; `module` and `function_name` where the entry point names a function
//! * aggregate: `module` and `function_name`, `sim_returns`, `target_data`
//!
//! Arguments are as in the request, with tags (`shim/values.py`), or the base64 text of a pickle.
//!
//! An **answer**: `n`; `worn` where this process cannot be used again; and `failure` (`kind`, `type`, `message`, `traceback`, `hint`,
//! `exit`), or fields that become those of the response: `result` (encoded as `want` says), `code` (`path` and `sha256` of the defining
//! file), and what a kind adds. Python shortens and escapes the texts of a failure.
//!
//! A closed socket means: end.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::runtime::{Selected, Variables};
use crate::store::Stamp;

mod answer;
pub mod failure;
mod fields;
mod input;
mod instances;
mod job;
mod keys;
pub mod list;
mod order;
mod outputs;
pub(crate) mod prepare;
pub mod project;
mod reference;
mod request;
mod requirements;
mod response;
mod serve;
mod tasks;
mod trace;
pub(crate) mod values;
mod workdir;

pub use failure::{Failure, Kind};
pub use input::{LONGEST as LONGEST_REQUEST, Source};
pub use serve::{Ends, Summary, serve};

/// The program that Python runs; later parts use earlier ones.
const PROGRAM: &str = concat!(
    include_str!("../../python/rootstock/large.py"),
    "\n\n",
    include_str!("../../python/rootstock/layout.py"),
    "\n\n",
    include_str!("../worker/shim/launcher.py"),
    "\n\n",
    include_str!("../worker/shim/report.py"),
    "\n\n",
    include_str!("../worker/shim/loading.py"),
    "\n\n",
    include_str!("../pool/streams.py"),
    "\n\n",
    include_str!("shim/values.py"),
    "\n\n",
    include_str!("shim/find.py"),
    "\n\n",
    include_str!("shim/pickles.py"),
    "\n\n",
    include_str!("shim/kinds.py"),
    "\n\n",
    include_str!("shim/task.py"),
    "\n\n",
    include_str!("shim/main.py"),
);

/// What calls work with.
pub struct Context<'a> {
    /// The environment and its generation.
    pub selected: &'a Selected,
    /// The stamp of its generation.
    pub stamp: &'a Stamp,
    /// The model.
    pub model: Model,
    /// All variables of Python.
    pub variables: &'a Variables,
    /// The same with this directory for the user's caches.
    pub with_cache: &'a dyn Fn(&std::path::Path) -> Variables,
    /// Where the caller is.
    pub directory: PathBuf,
    /// For private working directories.
    pub temporary: PathBuf,
    /// How to call.
    pub options: &'a Options,
}

/// How a model is loaded.
#[derive(Debug)]
pub struct Model {
    /// The device for `setup()`.
    pub device: String,
    /// Whether it is loaded in each process; otherwise only for a function that requires it.
    pub is_named: bool,
    /// The rank of this task on its node.
    pub rank: u32,
}

/// How to call.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub struct Options {
    /// How many processes there may be.
    pub jobs: usize,
    /// How long a request may take that does not say so itself.
    pub timeout: Option<Duration>,
    /// How long a process may take until it is ready.
    pub startup_timeout: Duration,
    /// Where functions work; a private directory if `None`.
    pub workdir: Option<PathBuf>,
    /// Whether private directories stay.
    pub keep: bool,
    /// Whether each request gets a process of its own.
    pub fresh: bool,
    /// The longest answer in bytes.
    pub max_output: usize,
    /// How much of each output is kept, in bytes.
    pub capture: usize,
    /// Whether pickles are accepted.
    pub pickle: bool,
    /// Whether source text is accepted.
    pub allow_code: bool,
    /// Whether only aggregations are accepted.
    pub aggregate: bool,
    /// Whether responses have the shapes of a cold runner.
    pub bare: bool,
    /// Where outputs of tasks are written; on the line if `None`.
    pub spill: Option<PathBuf>,
    /// What the project files in `paths` declare as tasks.
    pub entry_points: project::EntryPoints,
    /// The user's code, for the front of `sys.path`.
    pub paths: Vec<PathBuf>,
    /// After how long a process without work or instances is ended.
    pub idle_timeout: Option<Duration>,
    /// How many processes that died may be replaced; all if `None`.
    pub restarts: Option<u32>,
}

/// What a response says of the environment.
#[derive(Debug, Clone, Serialize)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// The id of the generation.
    pub id: Option<String>,
    /// The digest of the lock's answer.
    pub digest: Option<String>,
}

impl Environment {
    /// That of a generation.
    fn of(stamp: &Stamp) -> Self {
        Self {
            name: stamp.environment.to_string(),
            id: Some(stamp.id.clone()),
            digest: Some(stamp.digest.to_string()),
        }
    }
}

/// The response to a request that could not even be tried, for the environment of this name.
pub fn refused(environment: &str, request: &[u8], bare: bool, failure: &Failure) -> String {
    let id = request::id(request);
    let environment = Environment {
        name: environment.to_owned(),
        id: None,
        digest: None,
    };
    let nothing = crate::pool::Captured::default();
    let common = response::Common {
        id: &id,
        bare,
        stdout: &nothing,
        stderr: &nothing,
        seconds: 0.0,
        environment: &environment,
        python: None,
    };
    response::failure(&common, failure)
}
