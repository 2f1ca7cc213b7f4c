//! `rootstock gc`: remove from a root what it can do without, or say what that would be; pin what must stay.

use std::time::Duration;

use serde_json::{Value, json};

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, given, place, show};
use crate::files::{self, freed::Room};
use crate::gc::{self, End, Gone, Kept, Kind, Policy, Survey, Why};
use crate::name::EnvironmentName;
use crate::process::threads;
use crate::report::bytes;
use crate::report::chain;
use crate::store::pins::{self, Pin};
use crate::store::{Root, layout};

/// Arguments of `rootstock gc`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Never removed: what a link below `envs` or a pin leads to, what a process of this host uses, weights. The link of an \
environment that the manifest last synced here does not have any more counts for nothing: link and generations go when it was \
dropped longer ago than `--older-than`. A job on ANOTHER node \
cannot be seen from here: give `--older-than` at least the longest time a job may run, or pin what it uses. Sync and gc may \
run at the same time; what a lock wants that is gone, the next sync builds again.

Everything goes to `trash` first. What cannot be removed there (files that a process has open on NFS stay as `.nfs…`) is told, \
and the next gc takes it.

Examples:
  rootstock gc --dry-run                what would go, with bytes and files, and what stays and why
  rootstock gc                          beside the current generation of each environment keep 1, and all of the last 14 days
  rootstock gc --keep 0 --older-than 0s when no job runs: everything that no link or pin leads to
  rootstock gc --pin mace               keep the present generation of mace until `--unpin mace@ID`")]
pub(crate) struct Arguments {
    /// How many generations of each environment to keep beside those that links and pins lead to.
    #[arg(long, value_name = "N", default_value_t = 1)]
    keep: usize,
    /// Remove only what nothing has led to for so long: `30d`, `1d 12h`; with s, m, h, d or w.
    #[arg(long, value_name = "DURATION", default_value = "14d", value_parser = humantime::parse_duration)]
    older_than: Duration,
    /// Remove nothing: say what would go, and what stays and why.
    #[arg(long)]
    dry_run: bool,
    /// Never remove this generation: an environment, or an environment and the beginning of an id.
    #[arg(long, value_name = "ENV[@ID]", conflicts_with_all = ["keep", "older_than", "dry_run"])]
    pin: Vec<String>,
    /// Take such a pin away.
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
    let root = place::built(shared)?;
    if !layout::check(&root).or_exit(Exit::Failed)? {
        let path = root.path().display();
        return Err(Failure::usage(
            &format!("there is no root at `{path}`"),
            &given::advice(root.path()),
        ));
    }
    let root = place::under_its_own_policy(root)?;
    if !arguments.pin.is_empty() || !arguments.unpin.is_empty() {
        return change_pins(&root, arguments);
    }
    let policy = Policy {
        keep: arguments.keep,
        older_than: arguments.older_than,
    };
    let Survey { items, kept } = gc::survey(&root, policy).or_exit(Exit::Failed)?;
    let gone = if arguments.dry_run {
        let rooms = gc::weigh(&items).or_exit(Exit::Failed)?;
        let each = items.into_iter().zip(rooms);
        each.map(|(item, room)| Gone {
            item,
            room,
            end: End::Removed,
        })
        .collect()
    } else {
        gc::sweep(&root, items).or_exit(Exit::Failed)?
    };
    let report = Report {
        root: &root,
        policy,
        dry_run: arguments.dry_run,
        gone: &gone,
        kept: &kept,
    };
    if arguments.json {
        show::json(&report.json());
    } else {
        report.print();
    }
    Ok(report.warn())
}

/// What was done, or would be.
struct Report<'a> {
    root: &'a Root,
    policy: Policy,
    dry_run: bool,
    gone: &'a [Gone],
    kept: &'a [Kept],
}

impl Report<'_> {
    /// What is given back.
    fn room(&self, of: impl Fn(&Gone) -> bool) -> (usize, Room) {
        let removed = self.gone.iter();
        let removed = removed.filter(|gone| matches!(gone.end, End::Removed) && of(gone));
        let rooms: Vec<Room> = removed.map(|gone| gone.room).collect();
        (rooms.len(), rooms.into_iter().sum())
    }

    fn print(&self) {
        for kept in self.kept {
            // What is led to is not worth a line, unless somebody wants to know.
            if !self.dry_run && matches!(kept.because, Why::Led(_)) {
                continue;
            }
            show::line(&format!(
                "keep {} {}: {}",
                kept.kind.word(),
                kept.name,
                reason(&kept.because)
            ));
        }
        let verb = if self.dry_run {
            "would remove"
        } else {
            "removed"
        };
        for gone in self.gone {
            // Of these there are hundreds, and nobody knows their names.
            let many = !matches!(
                gone.item.kind,
                Kind::Generation | Kind::Link | Kind::Python | Kind::Trash
            );
            if !many && matches!(gone.end, End::Removed) {
                let (kind, name) = (gone.item.kind.word(), &gone.item.name);
                show::line(&format!("{verb} {kind} {name}: {}", told(gone.room)));
            }
        }
        for (kind, one, many) in [
            (Kind::Wheel, "wheel", "wheels"),
            (Kind::Bytecode, "wheel's bytecode", "wheels' bytecode"),
            (Kind::Built, "built wheel", "built wheels"),
            (Kind::Archive, "downloaded file", "downloaded files"),
            (Kind::Part, "broken-off download", "broken-off downloads"),
            (Kind::Unfinished, "unfinished thing", "unfinished things"),
        ] {
            let (number, room) = self.room(|gone| gone.item.kind == kind);
            if number > 0 {
                let what = if number == 1 { one } else { many };
                show::line(&format!("{verb} {number} {what}: {}", told(room)));
            }
        }
        let (number, room) = self.room(|_| true);
        show::line(&if number == 0 {
            format!("nothing to remove in `{}`", self.root.path().display())
        } else {
            let verb = if self.dry_run { "would free" } else { "freed" };
            format!("{verb} {}", told(room))
        });
    }

    fn json(&self) -> Value {
        let items: Vec<Value> = self.gone.iter().map(item_json).collect();
        let kept: Vec<Value> = self.kept.iter().map(kept_json).collect();
        let (_, room) = self.room(|_| true);
        json!({
            "root": self.root.path(),
            "dry-run": self.dry_run,
            "keep": self.policy.keep,
            "older-than-seconds": self.policy.older_than.as_secs(),
            "items": items,
            "kept": kept,
            "bytes": room.bytes,
            "inodes": room.inodes,
        })
    }

    /// Tells what did not go. Only what is still in sight is a failure.
    fn warn(&self) -> Exit {
        let mut exit = Exit::Ok;
        for Gone { item, end, .. } in self.gone {
            match end {
                End::Removed => {}
                End::Wanted => show::remark(&format!("{} is wanted again and stays", item.name)),
                End::Left(errors) => {
                    let first = errors.first().map(|error| chain(error)).unwrap_or_default();
                    let left = show::counted(errors.len(), "entry").replace("entrys", "entries");
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
}

fn item_json(Gone { item, room, end }: &Gone) -> Value {
    let (result, errors) = match end {
        End::Removed => ("removed", Vec::new()),
        End::Wanted => ("wanted", Vec::new()),
        End::Left(errors) => ("left", errors.iter().map(|e| chain(e)).collect()),
        End::Stuck(error) => ("stuck", vec![chain(error)]),
    };
    json!({
        "kind": item.kind.word(),
        "name": item.name,
        "path": item.path,
        "bytes": room.bytes,
        "inodes": room.inodes,
        "result": result,
        "errors": errors,
    })
}

fn kept_json(kept: &Kept) -> Value {
    let code = match &kept.because {
        Why::Led(_) => "led-to",
        Why::Pinned => "pinned",
        Why::InUse(_) => "in-use",
        Why::Newest(_) => "newest",
        Why::Recent(_) => "recent",
        Why::Unknown(_) => "unknown",
    };
    json!({
        "kind": kept.kind.word(),
        "name": kept.name,
        "path": kept.path,
        "code": code,
        "reason": reason(&kept.because),
    })
}

fn reason(why: &Why) -> String {
    match why {
        Why::Led(link) => format!("`envs/{link}` leads to it"),
        Why::Pinned => "it is pinned".to_owned(),
        Why::InUse(processes) => {
            let numbers: Vec<String> = processes.iter().map(ToString::to_string).collect();
            let one = processes.len() == 1;
            let (what, verb) = if one {
                ("process", "uses")
            } else {
                ("processes", "use")
            };
            format!("{what} {} of this host {verb} it", numbers.join(", "))
        }
        Why::Newest(keep) => format!("`--keep {keep}`"),
        Why::Recent(age) => format!("it may be in use: {} ago something led to it", ago(*age)),
        Why::Unknown(path) => format!("`{}` may need it and cannot be read", path.display()),
    }
}

/// A length of time in its largest unit.
fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    show::counted(usize::try_from(number).unwrap_or(usize::MAX), unit)
}

fn told(room: Room) -> String {
    let inodes = usize::try_from(room.inodes).unwrap_or(usize::MAX);
    format!("{}, {}", bytes(room.bytes), show::counted(inodes, "inode"))
}

fn change_pins(root: &Root, arguments: &Arguments) -> Result<Exit, Failure> {
    let known = pins::read(root).or_exit(Exit::Failed)?;
    for text in &arguments.unpin {
        let (environment, id) = parts(text)?;
        let mut found = known
            .iter()
            .filter(|pin| pin.environment == environment && pin.id.starts_with(&id))
            .peekable();
        if found.peek().is_none() {
            return Err(Failure::usage(
                &format!("nothing is pinned as `{text}`"),
                &show::listed("pinned:", known.iter().map(ToString::to_string)),
            ));
        }
        for pin in found {
            pins::remove(root, pin).or_exit(Exit::Failed)?;
            show::line(&format!("unpinned {pin}"));
        }
    }
    for text in &arguments.pin {
        let pin = generation(root, text)?;
        pins::add(root, &pin).or_exit(Exit::Failed)?;
        show::line(&format!("pinned {pin}"));
    }
    Ok(Exit::Ok)
}

/// The generation that is meant: that of an id which begins like this, or the present one.
fn generation(root: &Root, text: &str) -> Result<Pin, Failure> {
    let (environment, id) = parts(text)?;
    let names = files::names(&root.generations(&environment)).or_exit(Exit::Failed)?;
    let ids: Vec<String> = names.into_iter().filter(|n| !n.starts_with('.')).collect();
    let current = files::link_target(&root.current(&environment)).or_exit(Exit::Failed)?;
    let current = current.and_then(|target| Some(target.file_name()?.to_str()?.to_owned()));
    let found: Vec<&String> = if text.contains('@') {
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
            &show::listed(
                "there are:",
                ids.iter().map(|id| format!("{environment}@{id}")),
            ),
        )),
        _ => Err(Failure::usage(
            &format!("`{text}` may be one of several generations"),
            &show::listed(
                "write more of it:",
                found.iter().map(|id| format!("{environment}@{id}")),
            ),
        )),
    }
}

/// An environment, and the beginning of an id, which may be empty.
fn parts(text: &str) -> Result<(EnvironmentName, String), Failure> {
    let (environment, id) = text.split_once('@').unwrap_or((text, ""));
    let environment = environment
        .parse()
        .map_err(|error| Failure::usage(&format!("{error}"), "write ENV or ENV@ID"))?;
    Ok((environment, id.to_owned()))
}
