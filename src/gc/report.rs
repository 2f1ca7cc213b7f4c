//! What a collection removed or would remove, for programs (`Serialize`) and for people (`Display`).

use std::fmt::{self, Formatter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{End, Gone, Kept, Kind, Policy, Why};
use crate::files::reclaim::Room;
use crate::report::{bytes, chain, counted, line};
use crate::store::pins::Pin;

/// What was removed, or would be, and what stays.
#[derive(Debug)]
pub struct Report {
    /// The root.
    pub root: PathBuf,
    /// What the items were chosen by.
    pub policy: Policy,
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// What was removed, or would be.
    pub gone: Vec<Gone>,
    /// What stays.
    pub kept: Vec<Kept>,
}

/// Pins that were added and removed.
#[derive(Debug, Default)]
pub struct PinReport {
    /// Removed.
    pub unpinned: Vec<Pin>,
    /// Added.
    pub pinned: Vec<Pin>,
}

impl Report {
    /// The number of the items that match, and the space that they free.
    fn freed(&self, is_meant: impl Fn(&Gone) -> bool) -> (usize, Room) {
        let removed = self.gone.iter();
        let removed = removed.filter(|gone| matches!(gone.end, End::Removed) && is_meant(gone));
        let rooms: Vec<Room> = removed.map(|gone| gone.room).collect();
        (rooms.len(), rooms.into_iter().sum())
    }
}

/// Kinds of which there are hundreds: only their number is shown.
const MANY: [(Kind, &str, &str); 6] = [
    (Kind::Wheel, "wheel", "wheels"),
    (Kind::Bytecode, "wheel's bytecode", "wheels' bytecode"),
    (Kind::Built, "built wheel", "built wheels"),
    (Kind::Archive, "downloaded file", "downloaded files"),
    (Kind::Part, "partial download", "partial downloads"),
    (Kind::Unfinished, "unfinished item", "unfinished items"),
];

impl fmt::Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let (removed, freed) = if self.dry_run {
            ("would remove", "would free")
        } else {
            ("removed", "freed")
        };
        for kept in &self.kept {
            // Current generations always stay, which only a dry run mentions.
            if self.dry_run || !matches!(kept.because, Why::Led(_)) {
                line(out, kept)?;
            }
        }
        for Gone { item, room, end } in &self.gone {
            let is_one_of_many = MANY.iter().any(|(kind, ..)| *kind == item.kind);
            if !is_one_of_many && matches!(end, End::Removed) {
                let (kind, name) = (item.kind, &item.name);
                line(
                    out,
                    format_args!("{removed} {kind} {name}: {}", amount(*room)),
                )?;
            }
        }
        for (kind, one, many) in MANY {
            let (number, room) = self.freed(|gone| gone.item.kind == kind);
            if number > 0 {
                let noun = if number == 1 { one } else { many };
                line(
                    out,
                    format_args!("{removed} {number} {noun}: {}", amount(room)),
                )?;
            }
        }
        match self.freed(|_| true) {
            (0, _) => line(
                out,
                format_args!("nothing to remove in `{}`", self.root.display()),
            ),
            (_, room) => line(out, format_args!("{freed} {}", amount(room))),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "keep {} {}: {}", self.kind, self.name, self.because)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Why::Led(link) => write!(out, "`envs/{link}` points to it"),
            Why::Pinned => write!(out, "it is pinned"),
            Why::InUse(processes) => {
                let numbers: Vec<String> = processes.iter().map(ToString::to_string).collect();
                let numbers = numbers.join(", ");
                match processes.len() {
                    1 => write!(out, "process {numbers} of this host uses it"),
                    _ => write!(out, "processes {numbers} of this host use it"),
                }
            }
            Why::Newest(keep) => write!(out, "`--keep {keep}`"),
            Why::Recent(age) => write!(out, "it may be in use: it was current {} ago", ago(*age)),
            Why::Unknown(path) => {
                write!(out, "`{}` may need it and cannot be read", path.display())
            }
        }
    }
}

impl Why {
    /// Its name in JSON.
    fn code(&self) -> &'static str {
        match self {
            Why::Led(_) => "led-to",
            Why::Pinned => "pinned",
            Why::InUse(_) => "in-use",
            Why::Newest(_) => "newest",
            Why::Recent(_) => "recent",
            Why::Unknown(_) => "unknown",
        }
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
    counted(usize::try_from(number).unwrap_or(usize::MAX), unit)
}

fn amount(room: Room) -> String {
    let inodes = usize::try_from(room.inodes).unwrap_or(usize::MAX);
    format!("{}, {}", bytes(room.bytes), counted(inodes, "inode"))
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (_, room) = self.freed(|_| true);
        let mut report = serializer.serialize_struct("Report", 8)?;
        report.serialize_field("root", &self.root)?;
        report.serialize_field("dry-run", &self.dry_run)?;
        report.serialize_field("keep", &self.policy.keep)?;
        report.serialize_field("older-than-seconds", &self.policy.older_than.as_secs())?;
        report.serialize_field("items", &self.gone)?;
        report.serialize_field("kept", &self.kept)?;
        report.serialize_field("bytes", &room.bytes)?;
        report.serialize_field("inodes", &room.inodes)?;
        report.end()
    }
}

/// An item in JSON.
#[derive(Serialize)]
struct GoneEntry<'a> {
    kind: Kind,
    name: &'a str,
    path: &'a Path,
    bytes: u64,
    inodes: u64,
    result: &'static str,
    errors: Vec<String>,
}

impl Serialize for Gone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (result, errors) = match &self.end {
            End::Removed => ("removed", Vec::new()),
            End::Wanted => ("wanted", Vec::new()),
            End::Left(errors) => ("left", errors.iter().map(|error| chain(error)).collect()),
            End::Stuck(error) => ("stuck", vec![chain(error)]),
        };
        let entry = GoneEntry {
            kind: self.item.kind,
            name: &self.item.name,
            path: &self.item.path,
            bytes: self.room.bytes,
            inodes: self.room.inodes,
            result,
            errors,
        };
        entry.serialize(serializer)
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut kept = serializer.serialize_struct("Kept", 5)?;
        kept.serialize_field("kind", &self.kind)?;
        kept.serialize_field("name", &self.name)?;
        kept.serialize_field("path", &self.path)?;
        kept.serialize_field("code", self.because.code())?;
        kept.serialize_field("reason", &self.because.to_string())?;
        kept.end()
    }
}

impl fmt::Display for PinReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for pin in &self.unpinned {
            line(out, format_args!("unpinned {pin}"))?;
        }
        for pin in &self.pinned {
            line(out, format_args!("pinned {pin}"))?;
        }
        Ok(())
    }
}

impl Serialize for PinReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = |pins: &[Pin]| pins.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut report = serializer.serialize_struct("PinReport", 2)?;
        report.serialize_field("unpinned", &names(&self.unpinned))?;
        report.serialize_field("pinned", &names(&self.pinned))?;
        report.end()
    }
}
