//! The variables that a command of `rootstock run` gets: the caller's, but for those that decide which code Python and the
//! dynamic loader load; or, for `--clean`, no more than a worker's and what is named. Reads no variable itself.

use std::ffi::{OsStr, OsString};

use super::environment::{self, SYSTEM_PATH, Variables};
use super::select::Selected;
use crate::store::Root;

/// What a command inherits of its caller's variables.
#[derive(Debug)]
pub enum Inherit {
    /// All but those that decide which code is loaded.
    All,
    /// What a worker does, and these.
    Listed(Vec<Keep>),
}

/// A variable that is kept beside those of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// This one, or with `*` at its end all that begin alike, as the caller has them.
    Named(String),
    /// This one with a value.
    Set(String, OsString),
}

/// The search path for programs.
const PATH: &str = "PATH";

/// Beginnings of variables that choose the code which Python, the dynamic loader or a tool of another virtual environment
/// loads.
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

/// The same, by their whole names.
const CHOOSES_ENVIRONMENT: &[&str] = &[
    "PIP_PYTHON",
    "PIP_PREFIX",
    "PIP_TARGET",
    "PIP_USER",
    "UV_PYTHON",
    "UV_PROJECT_ENVIRONMENT",
    "UV_SYSTEM_PYTHON",
];

/// The variables of a command, and which of them are set whatever the caller has.
#[derive(Debug, PartialEq, Eq)]
pub struct CommandVariables {
    /// All of them.
    pub all: Variables,
    /// Those that rootstock, the manifest or `--keep` sets.
    pub ours: Variables,
}

/// What a command in an environment gets, from what its caller has.
pub fn variables(
    root: &Root,
    selected: &Selected,
    inherited: &Variables,
    inherit: &Inherit,
) -> CommandVariables {
    let (mut all, ours) = match inherit {
        Inherit::All => (passed(inherited), passing(root, selected, inherited)),
        Inherit::Listed(keep) => {
            let mut all = environment::kept(selected, inherited);
            let names: Vec<&str> = keep.iter().filter_map(Keep::named).collect();
            all.extend(matching(&names, inherited));
            (all, listing(root, selected, inherited, keep))
        }
    };
    all.extend(ours.clone());
    CommandVariables { all, ours }
}

/// The caller's variables without those that choose code.
fn passed(inherited: &Variables) -> Variables {
    let chooses = |name: &OsStr| {
        let name = name.to_string_lossy();
        CHOOSES_CODE.iter().any(|prefix| name.starts_with(prefix))
            || CHOOSES_ENVIRONMENT.contains(&&*name)
    };
    let passed = inherited.iter().filter(|(name, _)| !chooses(name));
    passed.map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// What is set where everything is passed: defaults give way to what the caller has, what the manifest says does not.
fn passing(root: &Root, selected: &Selected, inherited: &Variables) -> Variables {
    let mut ours = environment::ours(root, selected, inherited);
    ours.insert("VIRTUAL_ENV".into(), selected.generation.clone().into());
    for name in environment::defaults() {
        let is_passed = !CHOOSES_CODE.iter().any(|prefix| name.starts_with(prefix));
        if let Some(value) = given(name, inherited)
            && is_passed
            && !selected.settings.variables.contains_key(name)
        {
            ours.insert(name.into(), value.clone());
        }
    }
    if !selected.settings.variables.contains_key(PATH)
        && let Some(path) = given(PATH, inherited)
    {
        ours.insert(PATH.into(), before(selected, path));
    }
    ours
}

/// What is set for `--clean`: what a worker gets, and what `--keep` gives a value.
fn listing(root: &Root, selected: &Selected, inherited: &Variables, keep: &[Keep]) -> Variables {
    let mut ours = environment::ours(root, selected, inherited);
    ours.insert("VIRTUAL_ENV".into(), selected.generation.clone().into());
    for keep in keep {
        match keep {
            Keep::Set(name, value) if name == PATH => {
                ours.insert(PATH.into(), before(selected, value));
            }
            Keep::Set(name, value) => {
                ours.insert(name.into(), value.clone());
            }
            Keep::Named(name) if environment::covers(name, PATH) => {
                let path = given(PATH, inherited).map_or(SYSTEM_PATH.into(), Clone::clone);
                ours.insert(PATH.into(), before(selected, &path));
            }
            Keep::Named(_) => {}
        }
    }
    ours
}

/// The environment's programs, then those of this search path.
fn before(selected: &Selected, path: &OsStr) -> OsString {
    let mut all = selected.generation.join("bin").into_os_string();
    all.push(":");
    all.push(path);
    all
}

fn given<'a>(name: &str, inherited: &'a Variables) -> Option<&'a OsString> {
    inherited
        .get(OsStr::new(name))
        .filter(|value| !value.is_empty())
}

fn matching(names: &[&str], inherited: &Variables) -> Variables {
    let is_kept = |name: &OsString| {
        name.to_str().is_some_and(|name| {
            names.iter().any(|kept| environment::covers(kept, name))
                && !environment::is_never_kept(name)
        })
    };
    let kept = inherited.iter().filter(|(name, _)| is_kept(name));
    kept.map(|(n, v)| (n.clone(), v.clone())).collect()
}

impl Keep {
    fn named(&self) -> Option<&str> {
        match self {
            Keep::Named(name) => Some(name),
            Keep::Set(..) => None,
        }
    }
}
