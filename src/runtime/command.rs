//! The environment variables of a command of `rootstock run`: the caller's, without those that decide which code Python and
//! the dynamic loader load; or, with `--clean`, a worker's and those of `--keep`. Reads no variable of this process.

use std::ffi::{OsStr, OsString};

use super::variables::{self, SYSTEM_PATH};
use super::{Selected, Variables};
use crate::store::Root;

/// Which of the caller's variables a command inherits.
#[derive(Debug)]
pub(crate) enum Inherit {
    /// All except those that decide which code is loaded.
    All,
    /// A worker's, and these.
    Listed(Vec<Keep>),
}

/// A variable of `--keep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keep {
    /// A name or `PREFIX*`, with the caller's values.
    Named(String),
    /// A name and its value.
    Set(String, OsString),
}

const PATH: &str = "PATH";

/// Prefixes of variables that decide which code Python, the dynamic loader or a tool of another environment loads.
const CHOOSES_CODE: &[&str] = &[
    "PYTHON",
    "LD_",
    "VIRTUAL_ENV",
    "CONDA_",
    "_CONDA_",
    "_CE_",
    "PIXI_",
    "PYENV_",
    "POETRY_ACTIVE",
    "PIPENV_ACTIVE",
];

/// The same, whole names.
const CHOOSES_ENVIRONMENT: &[&str] = &[
    "PIP_PYTHON",
    "PIP_PREFIX",
    "PIP_TARGET",
    "PIP_USER",
    "UV_PYTHON",
    "UV_PROJECT_ENVIRONMENT",
    "UV_SYSTEM_PYTHON",
];

/// The variables of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommandVariables {
    /// All of them.
    pub all: Variables,
    /// Those of them that rootstock, the manifest or `--keep` sets.
    pub set: Variables,
}

/// All variables of a command, given its caller's.
pub(crate) fn for_command(
    root: &Root,
    selected: &Selected,
    inherited: &Variables,
    inherit: &Inherit,
) -> CommandVariables {
    let (mut all, set) = match inherit {
        Inherit::All => (passed(inherited), set_over_all(root, selected, inherited)),
        Inherit::Listed(keep) => {
            let mut all = variables::kept(selected, inherited);
            let names: Vec<&str> = keep.iter().filter_map(Keep::named).collect();
            all.extend(matching(&names, inherited));
            (all, set_over_listed(root, selected, inherited, keep))
        }
    };
    all.extend(set.clone());
    CommandVariables { all, set }
}

/// All variables of a function that is called: a worker's, and these of the caller's.
pub(crate) fn for_call(
    root: &Root,
    selected: &Selected,
    inherited: &Variables,
    keep: &[Keep],
) -> Variables {
    let listed = Inherit::Listed(keep.to_vec());
    let mut all = for_command(root, selected, inherited, &listed).all;
    if !keep.iter().any(|keep| keep.is_about("VIRTUAL_ENV")) {
        all.remove(OsStr::new("VIRTUAL_ENV"));
    }
    all
}

/// The caller's variables without those that decide which code is loaded.
fn passed(inherited: &Variables) -> Variables {
    let chooses = |name: &OsStr| {
        let name = name.to_string_lossy();
        CHOOSES_CODE.iter().any(|prefix| name.starts_with(prefix))
            || CHOOSES_ENVIRONMENT.contains(&&*name)
    };
    let passed = inherited.iter().filter(|(name, _)| !chooses(name));
    passed.map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// What is set without `--clean`: the caller's values replace defaults, but not the manifest's.
fn set_over_all(root: &Root, selected: &Selected, inherited: &Variables) -> Variables {
    let mut set = variables::set(root, selected, inherited);
    set.insert("VIRTUAL_ENV".into(), selected.generation.clone().into());
    for name in variables::defaults() {
        let is_passed = !CHOOSES_CODE.iter().any(|prefix| name.starts_with(prefix));
        if let Some(value) = non_empty(name, inherited)
            && is_passed
            && !selected.settings.variables.contains_key(name)
        {
            set.insert(name.into(), value.clone());
        }
    }
    if !selected.settings.variables.contains_key(PATH)
        && let Some(path) = non_empty(PATH, inherited)
    {
        set.insert(PATH.into(), prepended(selected, path));
    }
    set
}

/// What is set with `--clean`: a worker's variables, and those of `--keep` with a value.
fn set_over_listed(
    root: &Root,
    selected: &Selected,
    inherited: &Variables,
    keep: &[Keep],
) -> Variables {
    let mut set = variables::set(root, selected, inherited);
    set.insert("VIRTUAL_ENV".into(), selected.generation.clone().into());
    for keep in keep {
        match keep {
            Keep::Set(name, value) if name == PATH => {
                set.insert(PATH.into(), prepended(selected, value));
            }
            Keep::Set(name, value) => {
                set.insert(name.into(), value.clone());
            }
            Keep::Named(name) if variables::matches(name, PATH) => {
                let path = non_empty(PATH, inherited).map_or(SYSTEM_PATH.into(), Clone::clone);
                set.insert(PATH.into(), prepended(selected, &path));
            }
            Keep::Named(_) => {}
        }
    }
    set
}

/// A search path with the environment's programs before this one.
fn prepended(selected: &Selected, path: &OsStr) -> OsString {
    let mut all = selected.generation.join("bin").into_os_string();
    all.push(":");
    all.push(path);
    all
}

fn non_empty<'a>(name: &str, inherited: &'a Variables) -> Option<&'a OsString> {
    inherited
        .get(OsStr::new(name))
        .filter(|value| !value.is_empty())
}

fn matching(names: &[&str], inherited: &Variables) -> Variables {
    let is_kept = |name: &OsString| {
        name.to_str().is_some_and(|name| {
            names.iter().any(|kept| variables::matches(kept, name))
                && !variables::is_never_kept(name)
        })
    };
    let kept = inherited.iter().filter(|(name, _)| is_kept(name));
    kept.map(|(n, v)| (n.clone(), v.clone())).collect()
}

impl Keep {
    fn is_about(&self, name: &str) -> bool {
        match self {
            Keep::Named(pattern) => variables::matches(pattern, name),
            Keep::Set(set, _) => set == name,
        }
    }

    fn named(&self) -> Option<&str> {
        match self {
            Keep::Named(name) => Some(name),
            Keep::Set(..) => None,
        }
    }
}
