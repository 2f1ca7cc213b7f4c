//! Imports the source of an environment in its Python, started as a worker's. Loads no model, does not call `setup()`, and
//! writes nothing itself.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::task;
use crate::runtime::Selected;
use crate::runtime::{Variables, variables};
use crate::store::{Root, inside};

pub(crate) use super::task::TaskError;

#[derive(Debug, Serialize)]
struct Order {
    task: &'static str,
    source: PathBuf,
    patience: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Imported {}

/// Imports the source of an environment.
pub(crate) fn import(
    root: &Root,
    selected: &Selected,
    inherited: &Variables,
    timeout: Duration,
) -> Result<(), TaskError> {
    let variables = variables::for_python(root, selected, inherited);
    let order = Order {
        task: "import",
        source: selected.generation.join(inside::SOURCE),
        patience: timeout.as_secs_f64(),
    };
    let Imported {} = task::run(selected, &variables, &order, Some(timeout))?;
    Ok(())
}
