//! Files and directories that are named on the command line and do not exist.

use std::path::Path;

use super::exit::Failure;
use crate::files;
use crate::manifest::nearest_path;

/// Fails if nothing exists at a path that was given for `what`, with the path that was probably meant.
pub(super) fn exists(what: &str, path: &Path) -> Result<(), Failure> {
    if files::exists(path) {
        return Ok(());
    }
    let message = format!("there is no {what} `{}`", path.display());
    Err(Failure::usage(&message, &advice(path)))
}

/// What to do about a path where nothing exists.
pub(super) fn advice(path: &Path) -> String {
    match nearest_path(Path::new(""), path) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "correct the path; it starts in the current directory".to_owned(),
    }
}
