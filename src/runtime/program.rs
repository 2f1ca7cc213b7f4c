//! Which program a command in an environment starts: one of the environment's first, then one on the search path. What
//! belongs to the environment is never taken from elsewhere.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Selected;
use crate::files;
use crate::process::find;
use crate::store::inside;

/// There is no such program.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// Not anywhere.
    #[error("`{name}` is not found")]
    #[diagnostic(help("{help}"))]
    NotFound {
        /// The program.
        name: String,
        /// Where it was looked for.
        help: &'static str,
    },
    /// It is not a program.
    #[error("`{}` is not executable", .0.display())]
    NotExecutable(PathBuf),
    /// The environment has none of this name, and no other one would do.
    #[error("environment `{environment}` has no `{name}`")]
    #[diagnostic(help("{help}"))]
    NotInEnvironment {
        /// The environment's name.
        environment: String,
        /// The program.
        name: String,
        /// What to do instead.
        help: String,
    },
    /// The environment has lost it.
    #[error("`{}` belongs to environment `{environment}` and {wrong}", path.display())]
    #[diagnostic(help("repair the environment: `rootstock sync --repair {environment}`"))]
    Damaged {
        /// The environment's name.
        environment: String,
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        wrong: &'static str,
    },
    /// A file operation failed.
    #[error(transparent)]
    Files(#[from] files::Error),
}

/// The program that this word names: a path as it is, a name in the environment first, then on the search path.
pub(crate) fn find(
    name: &OsStr,
    selected: &Selected,
    search_path: &OsStr,
) -> Result<PathBuf, Error> {
    let named = Path::new(name);
    let places: Vec<PathBuf> = if named.components().count() > 1 || named.is_absolute() {
        vec![named.to_owned()]
    } else {
        let ours = selected.generation.join("bin").join(named);
        if files::is_executable(&ours) {
            return Ok(ours);
        }
        belongs_elsewhere(selected, &named.to_string_lossy(), ours)?;
        find::places(name, search_path).collect()
    };
    let help = "looked for in the environment's `bin`, then on PATH";
    first(places, name, help)
}

/// The same under a Python that is not the environment's: `python` is that one; others are looked for beside it, then on the
/// search path.
pub(crate) fn beside(python: &Path, name: &OsStr, search_path: &OsStr) -> Result<PathBuf, Error> {
    let named = Path::new(name);
    let is_name = named.components().count() == 1 && !named.is_absolute();
    if is_name && is_versioned(&named.to_string_lossy(), "python") {
        let help = "name a Python that exists with `--python`";
        return first(vec![python.to_owned()], python.as_os_str(), help);
    }
    let near = python.parent().map(|directory| directory.join(named));
    let near = near.filter(|near| is_name && files::is_executable(near));
    let places = match near {
        Some(near) => vec![near],
        None if is_name => find::places(name, search_path).collect(),
        None => vec![named.to_owned()],
    };
    let help = "looked for beside the Python of `--python`, then on PATH";
    first(places, name, help)
}

/// A program by its path: as it is, made absolute, or the first of this name on the search path.
pub(crate) fn named(program: &Path, search_path: &OsStr) -> PathBuf {
    let found = if program.components().count() > 1 || program.is_absolute() {
        files::absolute(program).ok()
    } else {
        let mut places = find::places(program.as_os_str(), search_path);
        places.find(|place| files::is_executable(place))
    };
    found.unwrap_or_else(|| program.to_owned())
}

/// The first of these places that can be executed.
fn first(places: Vec<PathBuf>, name: &OsStr, help: &'static str) -> Result<PathBuf, Error> {
    if let Some(program) = places.iter().find(|place| files::is_executable(place)) {
        return Ok(program.clone());
    }
    match places.into_iter().find(|place| files::exists(place)) {
        Some(place) => Err(Error::NotExecutable(place)),
        None => Err(Error::NotFound {
            name: name.to_string_lossy().into_owned(),
            help,
        }),
    }
}

/// Makes sure that a name which the environment cannot run is not its own.
fn belongs_elsewhere(selected: &Selected, name: &str, ours: PathBuf) -> Result<(), Error> {
    let environment = selected.environment.to_string();
    if files::exists(&ours) {
        return Err(Error::Damaged {
            environment,
            path: ours,
            wrong: "cannot be executed",
        });
    }
    // A directory that is purged file by file loses programs one by one.
    let tree = files::read_text_if_present(&selected.generation.join(inside::TREE))?;
    let listed = format!(" bin/{name}");
    if tree.is_some_and(|tree| tree.lines().any(|line| line.ends_with(&listed))) {
        return Err(Error::Damaged {
            environment,
            path: ours,
            wrong: "is gone",
        });
    }
    let help = if is_versioned(name, "python") {
        "run `python`: a program of this name on PATH would be another Python".to_owned()
    } else if is_versioned(name, "pip") {
        format!(
            "an environment does not change once it is built: add packages to its source's `dependencies`, then \
             `rootstock lock && rootstock sync {environment}`"
        )
    } else {
        return Ok(());
    };
    Err(Error::NotInEnvironment {
        environment,
        name: name.to_owned(),
        help,
    })
}

/// Whether this is the name of a program, with or without a version: `python`, `python3`, `python3.13t`, `pip3.11`,
/// `python3-config`.
fn is_versioned(name: &str, program: &str) -> bool {
    let Some(rest) = name.strip_prefix(program) else {
        return false;
    };
    let rest = rest.strip_suffix("-config").unwrap_or(rest);
    let flags = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    matches!(flags, "" | "t" | "d" | "td" | "w" | "m" | "-intel64")
}
