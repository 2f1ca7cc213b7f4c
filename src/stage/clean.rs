//! Removing stages that no process uses.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::{Place, look};
use crate::files::{self, times};
use crate::report::line;
use crate::store::claims::{self, Builder};
use crate::store::{Root, unfinished};

/// What became of the stages of a place.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Cleaned {
    /// Removed.
    pub(crate) removed: Vec<PathBuf>,
    /// Still there, because a process uses it.
    pub(crate) used: Vec<PathBuf>,
    /// Still there, because it was asked for lately.
    pub(crate) recent: Vec<PathBuf>,
}

impl Display for Cleaned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            (&self.removed, "removed"),
            (&self.used, "kept, because a process runs from it:"),
            (&self.recent, "kept, because it was asked for lately:"),
        ];
        for (stages, what) in lists {
            for stage in stages {
                line(out, format_args!("{what} {}", stage.display()))?;
            }
        }
        if lists.iter().all(|(stages, _)| stages.is_empty()) {
            line(out, "there is no stage")?;
        }
        Ok(())
    }
}

/// Removes stages that no process of this node runs from and that were not asked for in this time; with what killed processes
/// have left.
pub(crate) fn clean(place: &Place, older_than: Duration) -> files::Result<Cleaned> {
    let directory = place.directory();
    unfinished::sweep(&Root::at(directory, None));
    empty_trash(directory)?;
    give_up_claims(&Root::at(directory, None));
    let mut cleaned = Cleaned::default();
    let names = files::names(directory)?.into_iter();
    for name in names.filter(|name| is_id(name)) {
        let stage = directory.join(&name);
        let list = if is_recent(&stage, older_than)? {
            &mut cleaned.recent
        } else if is_used(&stage) {
            &mut cleaned.used
        } else {
            remove(&stage)?;
            &mut cleaned.removed
        };
        list.push(stage);
    }
    Ok(cleaned)
}

fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_recent(stage: &Path, older_than: Duration) -> files::Result<bool> {
    if older_than.is_zero() {
        return Ok(false);
    }
    // A stage without its mark is none.
    let Ok(asked) = times::changed(&look::mark(stage)) else {
        return Ok(false);
    };
    let now = times::now(stage)?;
    Ok(now.duration_since(asked).unwrap_or_default() < older_than)
}

/// Whether a process runs from a stage. That a variable names it says nothing: the shell that cleans up has such a one.
fn is_used(stage: &Path) -> bool {
    let itself = std::process::id().to_string();
    let processes = files::names(Path::new("/proc")).unwrap_or_default();
    let mut processes = processes
        .iter()
        .filter(|name| name.bytes().all(|b| b.is_ascii_digit()) && **name != itself);
    processes.any(|process| runs_from(&Path::new("/proc").join(process), stage))
}

fn runs_from(process: &Path, stage: &Path) -> bool {
    let below = format!("{}/", stage.display());
    let mentions = |file| {
        let text = files::read(&process.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&text).contains(&below)
    };
    let leads = |link| {
        let target = files::link_target(&process.join(link)).ok().flatten();
        target.is_some_and(|target| target.starts_with(stage))
    };
    ["cwd", "exe"].into_iter().any(leads) || ["cmdline", "maps"].into_iter().any(mentions)
}

/// Takes a stage out of use at once, and then away, unless a process runs from it; what is left of it is removed another time.
pub(super) fn remove(stage: &Path) -> files::Result<()> {
    let used = is_used(stage);
    let aside = Root::at(stage.parent().unwrap_or(stage), None).trash();
    files::create_directories(&aside)?;
    let aside = files::temporary_directory(&aside, "stage-")?.keep();
    files::rename(stage, &aside)?;
    if used {
        Ok(())
    } else {
        files::remove_tree(&aside)
    }
}

/// Removes the claims of processes that are gone.
fn give_up_claims(stages: &Root) {
    for claim in claims::all(stages) {
        if claim.builder() == Builder::Gone {
            claim.give_up(stages);
        }
    }
}

/// Removes what was put aside and is not used any more.
fn empty_trash(directory: &Path) -> files::Result<()> {
    let trash = Root::at(directory, None).trash();
    let all = files::names(&trash)?.into_iter();
    let all = all.map(|name| trash.join(name));
    all.filter(|stage| !is_used(stage))
        .try_for_each(|stage| files::remove_tree(&stage))
}
