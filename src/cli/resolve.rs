//! `rootstock resolve`: where the root is, for programs that need it before they start anything: the Python package, LAMMPS.

use std::path::Path;

use serde::Serialize;

use super::exit::{Exit, Failure};
use super::{Shared, root, show, worker};
use crate::runtime::Selected;

/// Arguments of `rootstock resolve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
LAMMPS' `fix rootstock` and `pair_style rootstock` pass the name of their `cluster` on and read `root`.

Examples:
  rootstock resolve --cluster perlmutter --json
  rootstock resolve --root /shared/rootstock --model mace-mp-0-medium --json")]
pub(crate) struct Arguments {
    /// A model, or an environment of the root, that must be able to run here.
    #[arg(long)]
    model: Option<String>,
    /// Print JSON, which is the only form.
    #[arg(long)]
    json: bool,
}

/// The answer. Programs look for `"root": "` in it.
#[derive(Serialize)]
struct Place<'a> {
    root: &'a Path,
    cache: &'a Path,
    cluster: Option<&'a str>,
    from: String,
    #[serde(flatten)]
    model: Option<Model>,
}

#[derive(Serialize)]
struct Model {
    #[serde(rename = "model")]
    name: String,
    environment: String,
    generation: String,
}

impl Model {
    fn of(name: &str, selected: &Selected) -> Self {
        Self {
            name: name.to_owned(),
            environment: selected.environment.to_string(),
            generation: selected.id(),
        }
    }
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let (root, origin) = root::located_alone(shared)?;
    let model = match &arguments.model {
        Some(name) => Some(Model::of(name, &worker::select(shared, &root, name, None)?)),
        None => None,
    };
    show::value(&Place {
        root: root.path(),
        cache: root.cache(),
        cluster: origin.cluster(),
        from: origin.to_string(),
        model,
    })?;
    Ok(Exit::Ok)
}
