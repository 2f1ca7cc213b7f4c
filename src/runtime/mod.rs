//! What runs in a root: the environment of a model, and the variables that its Python or a command gets. Used by `worker`,
//! `run`, `probe`, `doctor --import` and `prefetch`. Reads what `sync` has built; starts nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;

pub mod command;
pub mod print;
pub mod program;
pub mod select;
pub mod selected;
pub mod variables;

pub use selected::{Selected, Unusable};

/// Environment variables, by name.
pub type Variables = BTreeMap<OsString, OsString>;
