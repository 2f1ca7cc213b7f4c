//! `rootstock bundle`: everything that a sync downloads, in one directory. Builds nothing.

use std::path::PathBuf;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, lock, root, show};
use crate::files;
use crate::lock::beside;
use crate::store::bundle;
use crate::sync;
use crate::sync::bundle::Request;

/// Arguments of `rootstock bundle`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The directory holds files of packages, managed interpreters, weights, the manifest, the lock and the \
                  environments' sources; `rootstock-bundle.json` lists them. Of models \
                  without weights it has what `rootstock sync` into the manifest's root has recorded. A run that broke off is continued by the \
                  same command, and what is damaged is fetched again. Files of packages that this run does not name are \
                  removed.\n\n\
                  Examples:\n  rootstock bundle -o carry                         what is not optional, for this machine type\n  \
                  rootstock bundle -o carry --target linux-aarch64  for another one\n\n  \
                  and there, without a network:\n  \
                  rootstock --manifest carry/rootstock.toml --root ROOT sync --offline --bundle carry"
)]
pub(crate) struct Arguments {
    /// Environments or models; without any, all environments that are not optional.
    #[arg(value_name = "NAME", conflicts_with = "all")]
    names: Vec<String>,
    /// All environments, the optional ones too.
    #[arg(long)]
    all: bool,
    /// The directory; made if it is not there.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// A machine type of the lock; this machine's if not given. May be repeated.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let manifest = lock::manifest(shared)?;
    let chosen = manifest.environments_named(&arguments.names, arguments.all);
    let chosen = chosen.or_exit(Exit::Usage)?;
    let only = (!arguments.names.is_empty()).then_some(&chosen[..]);
    let current = lock::current(&manifest, only)?;
    let targets = if arguments.target.is_empty() {
        vec![root::target()?.to_owned()]
    } else {
        arguments.target.clone()
    };
    let output = files::absolute(&arguments.output).or_exit(Exit::Usage)?;
    // Without a root no model was loaded.
    let loaded_in = root::named(shared, &manifest).ok();
    let request = Request {
        manifest: &manifest,
        lock: &current.lock,
        lock_path: &beside::path(&manifest.path),
        environments: &chosen,
        targets: &targets,
        loaded_in: loaded_in.as_ref(),
    };
    context::warn_of_refused(&["uv", "git"]);
    let root = bundle::as_root(&output);
    let supply = context::supply(&manifest, None, false);
    let context = context::build(shared, &manifest, &root, supply, None);
    let filled = sync::bundle::fill(&request, &context).map_err(|error| {
        let exit = if error.is_usage() {
            Exit::Usage
        } else {
            Exit::Failed
        };
        Failure {
            report: error.into(),
            exit,
        }
    })?;
    if let Some(warning) = filled.warning() {
        show::remark(&warning);
    }
    show::problems(&filled.problems());
    let Some(report) = filled.report(&output) else {
        return Ok(Exit::Failed);
    };
    show::report(&report, arguments.json)?;
    Ok(Exit::Ok)
}
