//! `rootstock tree`: what an environment's packages require of each other.

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, root, selection, show};
use crate::lock::beside;
use crate::runtime::select;
use crate::store::Stamp;
use crate::store::stamp::Found;
use crate::tree::{self, Report, View};

/// Arguments of `rootstock tree`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Requirements are read from what is installed in the root; the lock beside the manifest, if there is one, says what the environment \
itself asks for, and where packages come from that are not of the default index.

Examples:
  rootstock tree mace
  rootstock tree mace --invert numpy    who asks for numpy, and with which bound")]
pub(crate) struct Arguments {
    /// An environment of the root.
    #[arg(value_name = "ENV")]
    environment: String,
    /// Show what asks for this package.
    #[arg(long, value_name = "PACKAGE")]
    invert: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let name = &arguments.environment;
    let root = root::built(shared)?;
    let selected = select::environment(&root, name)
        .map_err(|error| selection::failure(error, name, shared))?;
    let python = match Stamp::read(&selected.generation).or_exit(Exit::Failed)? {
        Found::Stamp(stamp) => stamp.python.version(),
        _ => None,
    };
    let python = python.ok_or_else(|| {
        let message = format!("the stamp of environment `{name}` names no version of Python");
        Failure::new(
            Exit::Environment,
            &message,
            Some("build it again with `rootstock sync --repair`"),
        )
    })?;
    // A lock that cannot be read says nothing here; `rootstock lock --check` says why.
    let lock = beside::read(&beside::path(&shared.manifest)).ok().flatten();
    let environment = selected.environment.to_string();
    let tree = tree::read(&environment, &selected.generation, &python, lock.as_ref())
        .or_exit(Exit::Failed)?;
    let view = match &arguments.invert {
        Some(package) => View::Inverted(tree.package(package).or_exit(Exit::Usage)?),
        None => View::Whole,
    };
    show::report(&Report { tree, view }, arguments.json)?;
    Ok(Exit::Ok)
}
