//! Which import names a Python has already: it is asked, with the variables of the command that it will run, and the answer is
//! kept for this user until one of the directories on its search path changes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Variables;
use crate::digest::Digest;
use crate::files;
use crate::process::Command;

const QUESTION: &str = include_str!("names.py");

/// What a Python has of some names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Its `sys.prefix`.
    pub(crate) prefix: String,
    /// The directories of its search path, each with its time in nanoseconds; `None` where there is none.
    places: Vec<(PathBuf, Option<i64>)>,
    /// What it has, by import name.
    pub(crate) names: BTreeMap<String, Theirs>,
}

/// A package of that Python's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Theirs {
    /// The directory it is in.
    pub(crate) place: PathBuf,
    /// The distribution it belongs to.
    pub(crate) distribution: Option<String>,
    /// The version of that.
    pub(crate) version: Option<String>,
}

/// What the Python at this path has of these names; `None` if it does not say. `cache` is the user's.
pub(crate) fn seen(
    python: &Path,
    names: &BTreeSet<String>,
    cache: &Path,
    variables: &Variables,
    limit: Duration,
) -> Option<Seen> {
    let directory = cache.join("interpreters");
    let file = directory.join(format!("{}.names.json", key(python, names, variables)));
    if let Some(known) = read(&file).filter(Seen::holds) {
        return Some(known);
    }
    let names = serde_json::to_string(names).expect("texts are JSON");
    let answer = Command::new(python)
        .arguments(["-B", "-c", QUESTION, &names])
        .variables(variables)
        .answer_within(limit)
        .ok()??;
    let answer = String::from_utf8(answer).ok()?;
    // What the user's own start-up files print stands before it.
    let seen: Seen = strict_json::from_str(answer.trim_end().lines().last()?).ok()?;
    let text = serde_json::to_string(&seen).ok()?;
    // Where it cannot be kept it is asked again.
    let _ = files::create_directories(&directory)
        .and_then(|()| files::write_atomically(&file, text.as_bytes()));
    Some(seen)
}

/// Everything that decides the answer, but for what is in the directories.
fn key(python: &Path, names: &BTreeSet<String>, variables: &Variables) -> String {
    let mut text = format!("{}\n{}\n", Digest::of(QUESTION), python.display());
    // Of a virtual environment, which decides what else it sees.
    let settings = python.parent().and_then(Path::parent);
    let settings = settings.map(|home| home.join("pyvenv.cfg"));
    for file in [Some(python.to_owned()), settings].into_iter().flatten() {
        let _ = writeln!(text, "{:?}", files::signature(&file).ok());
    }
    let decides = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("PYTHON") || name == "HOME"
    };
    let deciding: Vec<_> = variables.iter().filter(|(name, _)| decides(name)).collect();
    let _ = writeln!(text, "{deciding:?}");
    for name in names {
        let _ = writeln!(text, "{name}");
    }
    Digest::of(text).short(32)
}

fn read(file: &Path) -> Option<Seen> {
    strict_json::from_str(&files::read_text(file).ok()?).ok()
}

impl Seen {
    /// Whether no directory has changed since.
    fn holds(&self) -> bool {
        let mut places = self.places.iter();
        places.all(|(place, time)| {
            let now = files::signature(place).ok();
            now.map(|now| now.mtime_ns) == *time
        })
    }
}
