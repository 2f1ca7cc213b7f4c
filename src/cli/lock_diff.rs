//! `rootstock lock --diff`: in what the lock differs from that of a revision, or from another file.

use std::path::Path;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, show};
use crate::files;
use crate::lock::{Diff, Lock, beside, file};
use crate::process::{Command, find, tail};

pub(super) fn run(shared: &Shared, from: &str, as_json: bool) -> Result<Exit, Failure> {
    let path = beside::path(&shared.manifest);
    let now = beside::read(&path).or_exit(Exit::Usage)?;
    let now = now.ok_or_else(|| {
        let message = format!("there is no lock `{}`", path.display());
        Failure::usage(&message, "write it with `rootstock lock`")
    })?;
    let was = if files::exists(Path::new(from)) && !files::is_directory(Path::new(from)) {
        let text = files::read_text(Path::new(from)).or_exit(Exit::Usage)?;
        file::read(from, &text).or_exit(Exit::Usage)?
    } else {
        of_revision(&path, from)?
    };
    show::report(&Diff::new(&was, &now), as_json)?;
    Ok(Exit::Ok)
}

/// The lock as a revision of git has it.
fn of_revision(path: &Path, revision: &str) -> Result<Lock, Failure> {
    let advice = "name a file, or a revision that git knows here: `--diff=HEAD~1`";
    let unusable = |reason: &str| {
        let message =
            format!("`{revision}` is neither a file nor a revision with a lock: {reason}");
        Failure::usage(&message, advice)
    };
    // Git takes what begins with `-` for an option, and `:` for the end of the revision.
    if revision.is_empty() || revision.starts_with('-') || revision.contains(':') {
        return Err(unusable("it is no name of a revision"));
    }
    let variables = context::kept_environment();
    let Some(git) = find::find("git", &context::search_path(), &variables) else {
        context::warn_of_refused(&["git"]);
        return Err(unusable("there is no git on PATH"));
    };
    let here = path.parent().filter(|here| !here.as_os_str().is_empty());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let object = format!("{revision}:./{name}");
    let output = Command::new(git)
        .argument("-C")
        .argument(here.unwrap_or(Path::new(".")))
        .arguments([
            "-c",
            "core.fsmonitor=false",
            "show",
            "--no-textconv",
            "--end-of-options",
            &object,
        ])
        .variables(&variables)
        .run()
        .map_err(|error| unusable(&error.to_string()))?;
    if !output.exit.success() {
        return Err(unusable(&tail(&output.stderr, 1)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    file::read(&object, &text).or_exit(Exit::Usage)
}
