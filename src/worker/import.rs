//! Whether the source of an environment can be imported: by a Python as a worker gets it, which does that and ends. No
//! model is loaded, `setup()` is not called, and nothing is written: what an import does beside that is the source's own.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::once;
use crate::runtime::Selected;
use crate::runtime::{Variables, variables};
use crate::store::{Root, inside};

pub use super::once::Failure;

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
pub fn import(
    root: &Root,
    selected: &Selected,
    inherited: &Variables,
    patience: Duration,
) -> Result<(), Failure> {
    let variables = variables::for_python(root, selected, inherited);
    let order = Order {
        task: "import",
        source: selected.generation.join(inside::SOURCE),
        patience: patience.as_secs_f64(),
    };
    let Imported {} = once::ask(selected, &variables, &order, Some(patience))?;
    Ok(())
}
