//! What is asked of a root.

use std::collections::BTreeSet;
use std::path::Path;

use crate::access::Access;
use crate::lock::{LockedEnvironment, LockedTarget};
use crate::name::EnvironmentName;

/// The lock has no answer for this machine type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error("the lock has no `{target}` for the environment `{environment}`; it has {has}")]
#[diagnostic(help("add \"{target}\" to `targets` in the manifest and run `rootstock lock`"))]
pub struct NoTarget {
    /// The machine type.
    pub target: String,
    /// The first environment without it.
    pub environment: EnvironmentName,
    /// Those it has.
    pub has: String,
}

/// Which environments to plan for, and how.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The machine type: `linux-x86_64`.
    pub target: &'a str,
    /// The environments.
    pub environments: &'a [EnvironmentName],
    /// Environments that have drifted: their entries in the root stay.
    pub drifted: BTreeSet<EnvironmentName>,
    /// Those of them whose models may be called to fetch what they need.
    pub prefetch: &'a [EnvironmentName],
    /// Build them even if they are as they should be.
    pub force: bool,
    /// Where the root's cache is, if not in the root.
    pub cache: Option<&'a Path>,
    /// Who may use the root; `None` leaves it as it is.
    pub access: Option<&'a Access>,
}

/// The answer of an environment for a machine type.
pub fn target<'a>(
    environment: &'a LockedEnvironment,
    name: &str,
) -> Result<&'a LockedTarget, NoTarget> {
    environment.target(name).ok_or_else(|| {
        let has: Vec<String> = environment
            .targets
            .iter()
            .map(|t| format!("`{}`", t.target.name()))
            .collect();
        NoTarget {
            target: name.to_owned(),
            environment: environment.name.clone(),
            has: has.join(", "),
        }
    })
}
