//! `rootstock status`: the state of every environment and model.

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, lock, root, show};
use crate::files;
use crate::lock::beside;
use crate::status::{self, Report, Subject};
use crate::store::Catalogue;

/// Arguments of `rootstock status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "States: fresh, stale (the lock has changed since), missing, incomplete, foreign (locked or built for \
                        another machine type, or built by a newer rootstock), broken, unlocked (not in the lock). Without a \
                        manifest, from the root alone: built, missing, incomplete, foreign, broken"
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
    let report = if files::exists(&shared.manifest) {
        of_manifest(shared, arguments.sizes)?
    } else {
        of_root(shared, arguments.sizes)?
    };
    show::report(&report, arguments.json)?;
    if report.drifted == Some(true) && !arguments.json {
        show::remark("the lock does not answer the manifest: see `rootstock lock --check`");
    }
    Ok(Exit::Ok)
}

fn of_manifest(shared: &Shared, sizes: bool) -> Result<Report, Failure> {
    let manifest = lock::manifest(shared)?;
    let (root, origin) = root::located(shared, &manifest)?;
    let lock = beside::read(&beside::path(&manifest.path)).or_exit(Exit::Usage)?;
    let subject = Subject {
        manifest: &manifest,
        lock: lock.as_ref(),
        root: &root,
        origin: &origin.to_string(),
        target: root::target()?,
    };
    status::read(&subject, sizes).or_exit(Exit::Failed)
}

/// Without a manifest here, the root alone answers.
fn of_root(shared: &Shared, sizes: bool) -> Result<Report, Failure> {
    if shared.is_manifest_named() {
        lock::manifest(shared)?;
    }
    let (root, origin) = root::located_alone(shared)?;
    let catalogue = Catalogue::read(&root.models()).or_exit(Exit::Usage)?;
    let Some(catalogue) = catalogue else {
        return Err(Failure::new(
            Exit::Environment,
            &format!(
                "nothing was built in the root `{}` yet",
                root.path().display()
            ),
            Some("build it with `rootstock sync`, in the directory of its `rootstock.toml`"),
        ));
    };
    status::read_alone(&root, &catalogue, &origin.to_string(), sizes).or_exit(Exit::Failed)
}
