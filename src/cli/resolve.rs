//! `rootstock resolve`: where the root is, for programs that need it before they start anything: the Python package, LAMMPS.

use std::path::Path;

use serde::Serialize;

use super::exit::{Exit, Failure};
use super::{Shared, root, show};

/// Arguments of `rootstock resolve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
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
}

pub(crate) fn run(shared: &Shared, _: &Arguments) -> Result<Exit, Failure> {
    let (root, origin) = root::located_alone(shared)?;
    show::value(&Place {
        root: root.path(),
        cache: root.cache(),
        cluster: origin.cluster(),
        from: origin.to_string(),
    })?;
    Ok(Exit::Ok)
}
