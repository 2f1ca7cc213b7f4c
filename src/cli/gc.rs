//! `rootstock gc`: removes what a root no longer needs; pins what must stay.

use std::time::Duration;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, root, show};
use crate::gc::{self, End, Gone, Policy, Report, pin};
use crate::manifest::path_advice;
use crate::process::threads;
use crate::report::{chain, counted};
use crate::store::layout;

/// Arguments of `rootstock gc`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Never removed: the targets of links below `envs` and of pins, what a process of this host uses, weights. The link of an \
environment that the manifest last synced here no longer has does not count: link and generations go when it was \
dropped longer ago than `--older-than`. Jobs on OTHER nodes \
are invisible: give `--older-than` at least the longest time a job may run, or pin what it uses. Sync and gc may \
run at the same time; the next sync rebuilds what the lock needs.

Everything goes to `trash` first. Files that cannot be removed there (on NFS, an open file stays as `.nfs…`) are reported, \
and left for the next gc.

Examples:
  rootstock gc --dry-run                what would be removed, with sizes, and what stays and why
  rootstock gc                          keep each current generation, the one before, and all of the last 14 days
  rootstock gc --keep 0 --older-than 0s when no job runs: all but the targets of links and pins
  rootstock gc --pin mace               keep the current generation of mace until `--unpin mace@ID`")]
pub(crate) struct Arguments {
    /// The number of generations of each environment to keep beside the targets of links and pins.
    #[arg(long, value_name = "N", default_value_t = 1)]
    keep: usize,
    /// Remove only what has been unused for this long: `30d`, `1d 12h`; with s, m, h, d or w.
    #[arg(long, value_name = "DURATION", default_value = "14d", value_parser = humantime::parse_duration)]
    older_than: Duration,
    /// Remove nothing: show what would be removed, and what stays and why.
    #[arg(long)]
    dry_run: bool,
    /// Never remove this generation: an environment, or an environment and a prefix of an id.
    #[arg(long, value_name = "ENV[@ID]", conflicts_with_all = ["keep", "older_than", "dry_run"])]
    pin: Vec<String>,
    /// Remove such a pin.
    #[arg(long, value_name = "ENV[@ID]", conflicts_with_all = ["keep", "older_than", "dry_run"])]
    unpin: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    threads::in_pool(context::processors(), || gc(shared, arguments))
}

fn gc(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let root = root::built(shared)?;
    if !layout::check(&root).or_exit(Exit::Failed)? {
        let path = root.path().display();
        return Err(Failure::usage(
            &format!("there is no root at `{path}`"),
            &path_advice(root.path()),
        ));
    }
    let root = root::with_own_policy(root)?;
    root::apply_umask(&root);
    if !arguments.pin.is_empty() || !arguments.unpin.is_empty() {
        let report = pin::change(&root, &arguments.pin, &arguments.unpin).map_err(|error| {
            let exit = match error {
                pin::Error::Files(_) => Exit::Failed,
                _ => Exit::Usage,
            };
            Failure {
                report: error.into(),
                exit,
            }
        })?;
        show::report(&report, arguments.json)?;
        return Ok(Exit::Ok);
    }
    let policy = Policy {
        keep: arguments.keep,
        older_than: arguments.older_than,
    };
    let report = gc::collect(&root, policy, arguments.dry_run).or_exit(Exit::Failed)?;
    show::report(&report, arguments.json)?;
    Ok(warn(&report))
}

/// Reports what could not be removed. Only an item that is still in place is a failure.
fn warn(report: &Report) -> Exit {
    let mut exit = Exit::Ok;
    for Gone { item, end, .. } in &report.gone {
        match end {
            End::Removed => {}
            End::Wanted => show::remark(&format!("{} is needed again and stays", item.name)),
            End::Left(errors) => {
                let first = errors.first().map(|error| chain(error)).unwrap_or_default();
                let left = counted(errors.len(), "entry").replace("entrys", "entries");
                show::remark(&format!(
                    "{}: {left} could not be removed and wait in the trash for the next gc: {first}",
                    item.name
                ));
            }
            End::Stuck(error) => {
                exit = Exit::Failed;
                show::problems(&[error.into()]);
            }
        }
    }
    exit
}
