//! Results on their way to a file: added to `OUT.partial` as they are computed, so that nothing computed is lost however a run ends,
//! and put in the order of the input at the end. What a former run has left is found by number and content.

use std::collections::HashMap;
use std::io::{BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::record::{self, Record, Unreadable};
use super::run::Sink;
use super::source::Item;
use super::{Error, Failure};
use crate::files::{self, Beside, Context as _, File};

/// How many bytes may be written before they are flushed to disk.
const FLUSH: u64 = 256 << 20;

/// Where a record is: in the finished file of a former run, or in `OUT.partial`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    Out,
    Partial,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    index: u64,
    place: In,
    offset: u64,
    length: u64,
}

/// The result of a former run.
#[derive(Debug)]
struct Known {
    digest: String,
    /// Whether the input has the structure.
    is_met: bool,
}

#[derive(Debug)]
pub(super) struct Journal {
    out: PathBuf,
    partial: PathBuf,
    file: File,
    entries: Vec<Entry>,
    known: HashMap<u64, Known>,
    /// How long `OUT.partial` is, and up to where it is on disk.
    length: u64,
    flushed: u64,
    /// Whether there is a finished file of a former run.
    has_out: bool,
    added: bool,
}

/// The path of `OUT.partial`.
pub(super) fn partial(out: &Path) -> PathBuf {
    super::file::beside(out, ".partial")
}

impl Journal {
    /// For a new file.
    pub(super) fn create(out: &Path) -> Result<Self, Error> {
        let partial = partial(out);
        let file = files::create_new(&partial, 0o666)?;
        Ok(Self::empty(out, partial, file))
    }

    /// To complete a file of a former run with the same marks.
    pub(super) fn resume(out: &Path, notes: &str) -> Result<Self, Error> {
        let partial = partial(out);
        let (has_out, has_partial) = (files::exists(out), files::exists(&partial));
        let file = files::append(&partial)?;
        let mut journal = Self::empty(out, partial, file);
        journal.has_out = has_out;
        if has_out {
            journal.take_over(In::Out, notes)?;
        }
        if has_partial {
            let end = journal.take_over(In::Partial, notes)?;
            journal
                .file
                .set_len(end)
                .context("shorten", &journal.partial)?;
            journal.length = end;
            journal.flushed = end;
        }
        Ok(journal)
    }

    fn empty(out: &Path, partial: PathBuf, file: File) -> Self {
        Self {
            out: out.to_owned(),
            partial,
            file,
            entries: Vec::new(),
            known: HashMap::new(),
            length: 0,
            flushed: 0,
            has_out: false,
            added: false,
        }
    }

    /// Finds the results in a file; returns where the last whole one ends.
    fn take_over(&mut self, place: In, notes: &str) -> Result<u64, Error> {
        let path = self.path(place).to_owned();
        let file = files::open(&path)?;
        let found = record::scan(BufReader::with_capacity(1 << 20, file)).map_err(|error| match error {
            Unreadable::System(error) => Error::System(error),
            Unreadable::Foreign(line) => Error::Usage {
                message: format!("`{}` cannot be completed: line {line} was not written by one run of `rootstock evaluate`", path.display()),
                help: "write to another file, or replace this one with `--overwrite`".to_owned(),
            },
        })?;
        if let Some(theirs) = found.notes.as_ref().filter(|theirs| *theirs != notes) {
            return Err(Error::Usage {
                message: format!("`{}` has results of something else: {}", path.display(), differences(theirs, notes)),
                help: "run the same as before, write to another file, or replace this one with `--overwrite`".to_owned(),
            });
        }
        let mut last = None;
        for record in found.records {
            let Record {
                index,
                digest,
                offset,
                length,
                ..
            } = record;
            // Another image of the same structure, or one that is there already.
            if self.known.contains_key(&index) && last != Some(index) {
                continue;
            }
            last = Some(index);
            self.known.insert(
                index,
                Known {
                    digest,
                    is_met: false,
                },
            );
            self.entries.push(Entry {
                index,
                place,
                offset,
                length,
            });
        }
        Ok(found.end)
    }

    fn path(&self, place: In) -> &Path {
        match place {
            In::Out => &self.out,
            In::Partial => &self.partial,
        }
    }

    fn append(&mut self, index: u64, bytes: &[u8]) -> Result<(), Error> {
        if let Err(error) = self.file.write_all(bytes) {
            // Half a record is left out when the file is completed, too.
            let _ = self.file.set_len(self.length);
            return Err(Err::<(), _>(error)
                .context("write", &self.partial)
                .unwrap_err()
                .into());
        }
        self.entries.push(Entry {
            index,
            place: In::Partial,
            offset: self.length,
            length: bytes.len() as u64,
        });
        self.length += bytes.len() as u64;
        self.added = true;
        Ok(())
    }

    /// Removes `OUT.partial` if it is empty; returns it otherwise.
    pub(super) fn leave(self) -> Option<PathBuf> {
        if self.length == 0 {
            let _ = files::remove_if_present(&self.partial);
            return None;
        }
        let _ = self.file.sync_all();
        Some(self.partial)
    }

    /// Puts all results in order and gives the file its name. `false` if there is none.
    pub(super) fn publish(mut self) -> Result<bool, Error> {
        let others = self.known.values().filter(|known| !known.is_met).count();
        if others > 0 {
            return Err(Error::Usage {
                message: format!(
                    "`{}` has results of {others} structures that the input does not have",
                    self.out.display()
                ),
                help: "name the input, index and shard of the former run, write to another file, or use `--overwrite`".to_owned(),
            });
        }
        if !self.added && self.entries.iter().all(|entry| entry.place == In::Out) {
            let is_there = self.has_out;
            self.leave();
            return Ok(is_there);
        }
        let is_sorted = self.entries.is_sorted_by_key(|entry| entry.index);
        if is_sorted && self.entries.iter().all(|entry| entry.place == In::Partial) {
            self.file.sync_all().context("flush", &self.partial)?;
            files::rename(&self.partial, &self.out)?;
        } else {
            self.entries
                .sort_by_key(|entry| (entry.index, entry.offset));
            self.write_sorted()?;
            files::remove_if_present(&self.partial)?;
        }
        Ok(true)
    }

    fn write_sorted(&self) -> Result<(), Error> {
        let beside = Beside::new(&self.out)?;
        let mut to = BufWriter::with_capacity(1 << 20, beside.file());
        let open = |place| files::open(self.path(place));
        let mut out = if self.has_out {
            Some(open(In::Out)?)
        } else {
            None
        };
        let mut partial = open(In::Partial)?;
        let mut buffer = Vec::new();
        for entry in &self.entries {
            let from = match (entry.place, &mut out) {
                (In::Out, Some(out)) => out,
                _ => &mut partial,
            };
            let path = self.path(entry.place);
            from.seek(SeekFrom::Start(entry.offset))
                .context("read", path)?;
            buffer.clear();
            let read = from
                .take(entry.length)
                .read_to_end(&mut buffer)
                .context("read", path)?;
            if read as u64 != entry.length {
                return Err(std::io::Error::other(format!(
                    "`{}` has become shorter",
                    path.display()
                ))
                .into());
            }
            to.write_all(&buffer).context("write", &self.out)?;
        }
        to.flush().context("write", &self.out)?;
        drop(to);
        beside.publish()?;
        Ok(())
    }
}

impl Sink for Journal {
    fn is_done(&mut self, item: &Item) -> Result<bool, Error> {
        let Some(known) = self.known.get_mut(&item.index) else {
            return Ok(false);
        };
        known.is_met = true;
        if known.digest == item.digest {
            return Ok(true);
        }
        Err(Error::Usage {
            message: format!(
                "structure {} of the input is not the one whose results are in `{}`",
                item.index,
                self.out.display()
            ),
            help: "name the input of the former run, write to another file, or replace this one with `--overwrite`".to_owned(),
        })
    }

    fn done(&mut self, results: &[(Item, &[u8])]) -> Result<(), Error> {
        for (item, bytes) in results {
            self.append(item.index, bytes)?;
        }
        if self.length - self.flushed > FLUSH {
            self.file.sync_data().context("flush", &self.partial)?;
            self.flushed = self.length;
        }
        Ok(())
    }

    fn failed(&mut self, _: &Item, _: &Failure) -> Result<(), Error> {
        Ok(())
    }
}

/// What two runs differ in, by their marks.
fn differences(theirs: &str, ours: &str) -> String {
    let marks = |text: &str| -> Vec<(String, String)> {
        let pairs = text
            .split_whitespace()
            .filter_map(|mark| mark.split_once('='));
        pairs
            .map(|(name, value)| {
                (
                    name.trim_start_matches("rootstock_").to_owned(),
                    value.to_owned(),
                )
            })
            .collect()
    };
    let (theirs, ours) = (marks(theirs), marks(ours));
    let value = |marks: &[(String, String)], name: &str| {
        let found = marks.iter().find(|(known, _)| known == name);
        found.map_or_else(|| "none".to_owned(), |(_, value)| value.clone())
    };
    let mut names: Vec<&String> = theirs.iter().chain(&ours).map(|(name, _)| name).collect();
    names.dedup();
    let mut differing: Vec<String> = names
        .into_iter()
        .filter(|name| value(&theirs, name) != value(&ours, name))
        .map(|name| {
            format!(
                "its {name} is `{}`, and this run's is `{}`",
                value(&theirs, name),
                value(&ours, name)
            )
        })
        .collect();
    differing.sort();
    differing.dedup();
    differing.join("; ")
}
