//! Why an environment is not as it should be: the reasons, found by comparing what is installed with what is
//! locked, and their words. What is done about them is the plan's decision.

use std::path::PathBuf;

use semver::Version;

use crate::digest::Digest;
use crate::lock::{LockedEnvironment, LockedTarget};
use crate::store::generation_id;
use crate::store::installed::{Complete, Current, Generation, Installed};
use crate::store::interpreter::Base;

/// Why an environment is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It was never built.
    Missing,
    /// The lock has moved on.
    LockChanged {
        /// Digest of the answer it was built from.
        was: Digest,
        /// Digest of the answer in the lock.
        now: Digest,
    },
    /// It was built in another format: this rootstock makes other files of the same lock.
    FormatChanged {
        /// The rootstock that built it.
        by: Version,
    },
    /// It was not finished.
    Incomplete,
    /// It was built for another machine type, or by a newer rootstock.
    Foreign(String),
    /// Something in it is not as it was built.
    Broken(String),
    /// Its Python is another one now.
    InterpreterChanged(PathBuf),
    /// Its Python is gone.
    InterpreterMissing(PathBuf),
    /// We may not read its Python.
    InterpreterClosed(PathBuf),
    /// It was asked for.
    Forced,
}

impl Reason {
    /// The state of an environment in one word.
    pub fn state(&self) -> &'static str {
        match self {
            Reason::Missing => "missing",
            Reason::LockChanged { .. } | Reason::FormatChanged { .. } => "stale",
            Reason::Incomplete => "incomplete",
            Reason::Foreign(_) => "foreign",
            Reason::Broken(_)
            | Reason::InterpreterChanged(_)
            | Reason::InterpreterMissing(_)
            | Reason::InterpreterClosed(_) => "broken",
            Reason::Forced => "forced",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::Missing => out.write_str("it is not built"),
            Reason::LockChanged { was, now } => write!(
                out,
                "the lock has changed ({} → {})",
                was.short(8),
                now.short(8)
            ),
            Reason::FormatChanged { by } => write!(
                out,
                "rootstock {by} built it in another format than this rootstock does"
            ),
            Reason::Incomplete => out.write_str("its build was not finished"),
            Reason::Foreign(why) | Reason::Broken(why) => out.write_str(why),
            Reason::InterpreterChanged(path) => {
                write!(out, "its Python has changed (`{}`)", path.display())
            }
            Reason::InterpreterMissing(path) => {
                write!(out, "its Python is gone (`{}`)", path.display())
            }
            Reason::InterpreterClosed(path) => {
                write!(out, "you may not read its Python (`{}`)", path.display())
            }
            Reason::Forced => out.write_str("`--force`"),
        }
    }
}

/// Why what an environment leads to is not what is locked; `None` if it is.
pub fn reason(
    environment: &LockedEnvironment,
    target: &LockedTarget,
    installed: &Installed,
) -> Option<Reason> {
    if let Some(error) = &installed.unreadable {
        return Some(Reason::Broken(error.clone()));
    }
    match (&installed.current, installed.current()) {
        (Current::Nothing, _) => Some(Reason::Missing),
        (Current::Elsewhere(path), _) => Some(Reason::Broken(format!(
            "its link leads to `{}`, which is not one of its generations",
            path.display()
        ))),
        (Current::Generation(_), None) => Some(Reason::Incomplete),
        (Current::Generation(_), Some(generation)) => {
            reason_of_generation(environment, target, generation)
        }
    }
}

/// Why a generation is not what is locked; `None` if it is.
pub(super) fn reason_of_generation(
    environment: &LockedEnvironment,
    target: &LockedTarget,
    generation: &Generation,
) -> Option<Reason> {
    let complete = match generation {
        Generation::Incomplete => return Some(Reason::Incomplete),
        Generation::Newer(schema) => {
            return Some(Reason::Foreign(format!(
                "a newer rootstock built it (stamp schema {schema})"
            )));
        }
        Generation::Unreadable(error) => return Some(Reason::Broken(error.clone())),
        Generation::Complete(complete) => complete,
    };
    let Complete {
        stamp,
        base,
        source,
        damage,
    } = complete.as_ref();
    if stamp.target != target.target.name() {
        return Some(Reason::Foreign(format!(
            "it was built for {}",
            stamp.target
        )));
    }
    if let Some(damage) = damage {
        return Some(Reason::Broken(damage.clone()));
    }
    if stamp.digest != target.digest {
        return Some(Reason::LockChanged {
            was: stamp.digest,
            now: target.digest,
        });
    }
    if stamp.id != generation_id(&stamp.digest, &stamp.python.identity.digest()) {
        return Some(Reason::FormatChanged {
            by: stamp.rootstock.clone(),
        });
    }
    if let Some(recorded) = target
        .recorded(&stamp.id)
        .filter(|tree| **tree != stamp.tree)
    {
        return Some(Reason::Broken(format!(
            "its files are not those that the lock records (tree {}, recorded {})",
            stamp.tree.short(12),
            recorded.short(12)
        )));
    }
    if *source != Some(environment.source.sha256) {
        let source = crate::store::inside::SOURCE;
        return Some(Reason::Broken(format!("`{source}` has changed")));
    }
    match base {
        Base::Same => None,
        Base::Changed(path) => Some(Reason::InterpreterChanged(path.clone())),
        Base::Missing(path) => Some(Reason::InterpreterMissing(path.clone())),
        Base::Closed(path) => Some(Reason::InterpreterClosed(path.clone())),
    }
}
