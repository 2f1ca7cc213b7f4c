//! `rootstock status`.

use super::Shared;
use super::exit::{Exit, Failure};

/// Arguments of `rootstock status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_shared: &Shared, _arguments: &Arguments) -> Result<Exit, Failure> {
    Ok(Exit::Ok)
}
