//! An environment's packages under a Python that is not its own: which generation fits that Python, where its packages go on
//! that Python's search path, and what is recorded of it.
//!
//! ```text
//! P ──interpreter──▶ what it is ──choose──▶ a generation ──contents, names──▶ what both have ──decide──▶ start
//! ```
//!
//! What fits is decided by implementation, ABI, platform and C library, never by a version or a cache tag alone. Nothing is
//! written into the generation or into P; everything happens in a `sitecustomize` module on PYTHONPATH (see [`start`]).

use std::collections::BTreeMap;
use std::ffi::OsString;

pub(crate) mod choose;
pub(crate) mod contents;
pub(crate) mod decide;
pub(crate) mod interpreter;
pub(crate) mod names;
pub mod record;
pub(crate) mod start;
mod unavailable;

pub(crate) use choose::Built;
pub(crate) use contents::{Chosen, Contents};
pub(crate) use decide::{Decision, Placement};
pub use record::{Collision, Mode, Record};
pub(crate) use start::Start;
pub(crate) use unavailable::Unavailable;

/// Environment variables by name.
type Variables = BTreeMap<OsString, OsString>;
