//! Files and directories that are named on the command line and do not exist.

use std::path::Path;

use super::Shared;
use super::exit::Failure;
use crate::files;
use crate::manifest::path_advice;

/// Fails if nothing exists at a path that was given for `what`, with the path that was probably meant.
pub(super) fn exists(what: &str, path: &Path) -> Result<(), Failure> {
    if files::exists(path) {
        return Ok(());
    }
    let message = format!("there is no {what} `{}`", path.display());
    Err(Failure::usage(&message, &path_advice(path)))
}

/// Fails if there is no manifest: what changes one needs it.
pub(super) fn manifest(shared: &Shared) -> Result<(), Failure> {
    if files::exists(&shared.manifest) {
        return Ok(());
    }
    Err(Failure::usage(
        &format!("there is no manifest `{}`", shared.manifest.display()),
        "begin a project with `rootstock init`, or name the manifest with `--manifest FILE`",
    ))
}
