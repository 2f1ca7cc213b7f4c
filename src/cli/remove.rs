//! `rootstock remove`: environments go from the manifest.

use super::exit::{Exit, Failure};
use super::{Shared, add, given, show};
use crate::declare::change;

/// Arguments of `rootstock remove`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The lock and the root are not changed: `rootstock lock` drops what the manifest does not have, `rootstock gc` what was built.

Examples:
  rootstock remove mace
  rootstock remove mace --keep-source")]
pub(crate) struct Arguments {
    /// Environments of the manifest. Their models go too, and indexes and source files that nothing else in it names.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Leave the source files.
    #[arg(long)]
    keep_source: bool,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    given::manifest(shared)?;
    let removed = change::remove(&shared.manifest, &arguments.names, arguments.keep_source);
    show::text(&removed.map_err(add::failure)?);
    show::remark("next: rootstock lock; what is built stays until `rootstock gc`");
    Ok(Exit::Ok)
}
