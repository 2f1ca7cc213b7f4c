//! What runs in a root: the environment of a model, and the variables that its Python or a command gets. Used by `worker`,
//! `run`, `probe`, `doctor --import` and `prefetch`. Reads what `sync` has built; starts nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;

pub(crate) mod advice;
pub(crate) mod command;
pub(crate) mod job;
pub(crate) mod print;
pub(crate) mod program;
pub(crate) mod select;
pub(crate) mod selected;
pub(crate) mod user_cache;
pub(crate) mod variables;

pub(crate) use selected::{Selected, Unusable};

/// Environment variables, by name.
pub(crate) type Variables = BTreeMap<OsString, OsString>;
