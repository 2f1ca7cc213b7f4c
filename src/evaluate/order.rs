//! The order: the first message to each Python of a run.

use std::path::PathBuf;

use serde::Serialize;

use super::{Context, Function, Input};
use crate::store::inside;

/// See the header of [`super`].
#[derive(Serialize)]
struct Order<'a> {
    launcher: u32,
    source: PathBuf,
    paths: Vec<PathBuf>,
    model: Model<'a>,
    function: Option<&'a Function>,
    properties: Option<&'a [String]>,
    write: bool,
    notes: &'a str,
    input: Option<&'a Input>,
}

/// What `load_calculator` needs beside the device.
#[derive(Serialize)]
struct Model<'a> {
    argument: &'a str,
    setup: &'a serde_json::Map<String, serde_json::Value>,
    weights: Option<&'a PathBuf>,
    rank: u32,
}

/// The order as JSON: to read this file, and to write results with these notes; or neither.
pub(super) fn of(
    context: &Context<'_>,
    input: Option<&Input>,
    notes: &str,
) -> serde_json::Result<Vec<u8>> {
    let Context {
        selected, options, ..
    } = context;
    serde_json::to_vec(&Order {
        launcher: std::process::id(),
        source: selected.generation.join(inside::SOURCE),
        paths: options
            .paths
            .iter()
            .flat_map(|path| [path.clone(), path.join("src")])
            .collect(),
        model: Model {
            argument: &selected.argument,
            setup: &selected.setup,
            weights: selected.weights.as_ref(),
            rank: options.rank.unwrap_or(0),
        },
        function: options.function.as_ref(),
        properties: options.properties.as_deref(),
        write: input.is_some(),
        notes,
        input,
    })
}
