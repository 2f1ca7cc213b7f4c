//! Calls a model's `setup()` once, in a Python as a worker gets it, and learns which files that has used. What follows from
//! them is not known here.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::once::{self, Failure};
use crate::runtime::Selected;
use crate::runtime::{Variables, variables};
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

/// Files that `setup()` has opened or made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// Those below the root's cache, by absolute paths.
    pub opened: Vec<String>,
    /// Those below the user's home directory that nobody else has, by absolute paths.
    pub home: Vec<String>,
}

/// Calls `setup()` on the CPU, with these variables; `inherited` says where the user is at home.
pub fn call(
    root: &Root,
    selected: &Selected,
    variables: &Variables,
    inherited: &Variables,
) -> Result<Used, Failure> {
    let apart = vec![
        root.path().to_owned(),
        root.cache().to_owned(),
        selected.generation.clone(),
        variables::user_cache(inherited),
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
    once::ask(selected, variables, &order, None)
}
