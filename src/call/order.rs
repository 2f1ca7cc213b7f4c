//! The order: the first message to each Python of a run.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Context;
use super::project::EntryPoints;
use crate::store::inside;

/// See the header of [`super`].
#[derive(Serialize)]
struct Order<'a> {
    launcher: u32,
    source: PathBuf,
    directory: &'a Path,
    paths: Vec<PathBuf>,
    model: Model<'a>,
    eager: bool,
    digest: String,
    entry_points: &'a EntryPoints,
    max_output: usize,
    startup_timeout: f64,
}

/// What `load_calculator` needs.
#[derive(Serialize)]
struct Model<'a> {
    argument: &'a str,
    setup: &'a serde_json::Map<String, serde_json::Value>,
    weights: Option<&'a PathBuf>,
    device: &'a str,
    rank: u32,
}

/// The order as JSON.
pub(super) fn of(context: &Context<'_>) -> serde_json::Result<Vec<u8>> {
    let Context {
        selected, options, ..
    } = context;
    let model = Model {
        argument: &selected.argument,
        setup: &selected.setup,
        weights: selected.weights.as_ref(),
        device: &context.model.device,
        rank: context.model.rank,
    };
    let paths = options.paths.iter();
    let order = Order {
        launcher: std::process::id(),
        source: selected.generation.join(inside::SOURCE),
        directory: &context.directory,
        paths: paths
            .flat_map(|path| [path.clone(), path.join("src")])
            .collect(),
        model,
        eager: context.model.is_named,
        digest: context.stamp.digest.to_string(),
        entry_points: &options.entry_points,
        max_output: options.max_output,
        startup_timeout: options.startup_timeout.as_secs_f64(),
    };
    serde_json::to_vec(&order)
}
