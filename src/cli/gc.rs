//! `rootstock gc`: removes what a root no longer needs; pins what must stay.

use std::time::Duration;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, given, root, show};
use crate::files;
use crate::gc::{self, End, Gone, PinReport, Policy, Report};
use crate::name::EnvironmentName;
use crate::process::threads;
use crate::report::{chain, counted, listed};
use crate::store::pins::{self, Pin};
use crate::store::{Root, layout};

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
            &given::advice(root.path()),
        ));
    }
    let root = root::with_own_policy(root)?;
    root::apply_umask(&root);
    if !arguments.pin.is_empty() || !arguments.unpin.is_empty() {
        return change_pins(&root, arguments);
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
                show::failure(&Failure::files(error));
            }
        }
    }
    exit
}

fn change_pins(root: &Root, arguments: &Arguments) -> Result<Exit, Failure> {
    let known = pins::read(root).or_exit(Exit::Failed)?;
    let mut report = PinReport::default();
    for text in &arguments.unpin {
        let found = pinned(&known, text)?;
        for pin in &found {
            pins::remove(root, pin).or_exit(Exit::Failed)?;
        }
        report.unpinned.extend(found);
    }
    for text in &arguments.pin {
        let pin = generation(root, text)?;
        pins::add(root, &pin).or_exit(Exit::Failed)?;
        report.pinned.push(pin);
    }
    show::report(&report, arguments.json)?;
    Ok(Exit::Ok)
}

/// The pins that a text stands for: there is at least one.
fn pinned(known: &[Pin], text: &str) -> Result<Vec<Pin>, Failure> {
    let (environment, id) = parts(text)?;
    let is_meant = |pin: &&Pin| pin.environment == environment && pin.id.starts_with(&id);
    let found: Vec<Pin> = known.iter().filter(is_meant).cloned().collect();
    if found.is_empty() {
        return Err(Failure::usage(
            &format!("nothing is pinned as `{text}`"),
            &listed("pinned:", known.iter().map(ToString::to_string)),
        ));
    }
    Ok(found)
}

/// The generation with this prefix of an id, or the current one.
fn generation(root: &Root, text: &str) -> Result<Pin, Failure> {
    let (environment, id) = parts(text)?;
    let names = files::names(&root.generations(&environment)).or_exit(Exit::Failed)?;
    let ids: Vec<String> = names.into_iter().filter(|n| !n.starts_with('.')).collect();
    let current = files::link_target(&root.current(&environment)).or_exit(Exit::Failed)?;
    let current = current.and_then(|target| Some(target.file_name()?.to_str()?.to_owned()));
    let found: Vec<&String> = if text != environment.as_str() {
        ids.iter().filter(|known| known.starts_with(&id)).collect()
    } else {
        ids.iter()
            .filter(|known| Some(*known) == current.as_ref())
            .collect()
    };
    match found[..] {
        [id] => Ok(Pin {
            environment,
            id: id.clone(),
        }),
        [] => Err(Failure::usage(
            &format!("there is no generation `{text}`"),
            &listed(
                "there are:",
                ids.iter().map(|id| format!("{environment}@{id}")),
            ),
        )),
        _ => Err(Failure::usage(
            &format!("`{text}` matches several generations"),
            &listed(
                "write more of the id:",
                found.iter().map(|id| format!("{environment}@{id}")),
            ),
        )),
    }
}

/// An environment, and a prefix of an id, which may be empty.
fn parts(text: &str) -> Result<(EnvironmentName, String), Failure> {
    // `mace@3.12` is an environment, `mace@3` is one and an id.
    if let Ok(environment) = text.parse() {
        return Ok((environment, String::new()));
    }
    let (environment, id) = text.rsplit_once('@').unwrap_or((text, ""));
    let environment = environment
        .parse()
        .map_err(|error| Failure::usage(&format!("{error}"), "write ENV or ENV@ID"))?;
    Ok((environment, id.to_owned()))
}
