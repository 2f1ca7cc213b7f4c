//! Calls a model's `setup()` once in its environment's Python, started as a worker's, and reports the files it has used.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::task::{self, TaskError};
use crate::runtime::{Selected, Variables, user_cache};
use crate::store::{Root, inside};

#[derive(Debug, Serialize)]
struct Order<'a> {
    task: &'static str,
    source: PathBuf,
    argument: &'a str,
    setup: &'a serde_json::Map<String, serde_json::Value>,
    cache: PathBuf,
    home: Option<String>,
    apart: Vec<PathBuf>,
}

/// Files that `setup()` has opened or created.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Used {
    /// Absolute paths below the root's cache.
    pub opened: Vec<String>,
    /// Absolute paths below the user's home directory, which other users do not have.
    pub home: Vec<String>,
}

/// Calls `setup()` on the CPU with these variables. `inherited` has the user's own `HOME`.
pub(crate) fn call(
    root: &Root,
    selected: &Selected,
    variables: &Variables,
    inherited: &Variables,
) -> Result<Used, TaskError> {
    let apart = vec![
        root.path().to_owned(),
        root.cache().to_owned(),
        selected.generation.clone(),
        user_cache::user_cache(inherited),
    ];
    let home = inherited.get(std::ffi::OsStr::new("HOME"));
    let order = Order {
        task: "setup",
        source: selected.generation.join(inside::SOURCE),
        argument: &selected.argument,
        setup: &selected.setup,
        cache: root.cache().to_owned(),
        home: home.and_then(|home| home.to_str()).map(str::to_owned),
        apart,
    };
    task::run(selected, variables, &order, None)
}
