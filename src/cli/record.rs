//! `rootstock lock --record`: the tree digests of what is built here, into the lock.

use std::path::Path;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, lock, root, show};
use crate::lock::Lock;
use crate::lock::drift::Finding;
use crate::manifest::Manifest;
use crate::name::EnvironmentName;
use crate::sync::record;

/// The old lock, and the one with what is built here in it; or what the manifest and the lock differ in.
pub(super) fn record(
    shared: &Shared,
    manifest: &Manifest,
    path: &Path,
    only: Option<&[EnvironmentName]>,
) -> Result<Result<(Lock, Lock), Vec<Finding>>, Failure> {
    let old = match lock::current(manifest, path, only)? {
        Ok(current) => current.lock,
        Err(findings) => return Ok(Err(findings)),
    };
    let root = root::named(shared, manifest)?;
    let skipped = |name: &EnvironmentName, why: &str| {
        show::remark(&format!("{name}: nothing to record: {why}"));
    };
    let new = record::record(&root, &old, only, root::target()?, &skipped);
    let exit = match &new {
        Err(record::Error::NotBuilt(_)) => Exit::Environment,
        _ => Exit::Failed,
    };
    let new = new.or_exit(exit)?;
    Ok(Ok((old, new)))
}
