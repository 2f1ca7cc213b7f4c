//! `rootstock status`: the state of every environment and model.

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, lock, root, show};
use crate::lock::beside;
use crate::status::{self, Subject};

/// Arguments of `rootstock status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "States: fresh, stale (the lock has changed since), missing, incomplete, foreign (locked or built for \
                        another machine type, or built by a newer rootstock), broken, unlocked (not in the lock)"
)]
pub(crate) struct Arguments {
    /// Show sizes; this reads every directory of the root's store.
    #[arg(long)]
    sizes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let manifest = lock::manifest(shared)?;
    let root = root::named(shared, &manifest)?;
    let lock = beside::read(&beside::path(&manifest.path)).or_exit(Exit::Usage)?;
    let subject = Subject {
        manifest: &manifest,
        lock: lock.as_ref(),
        root: &root,
        target: root::target()?,
    };
    let report = status::read(&subject, arguments.sizes).or_exit(Exit::Failed)?;
    show::report(&report, arguments.json)?;
    if report.drifted && !arguments.json {
        show::remark("the lock does not answer the manifest: see `rootstock lock --check`");
    }
    Ok(Exit::Ok)
}
