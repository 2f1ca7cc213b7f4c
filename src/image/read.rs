//! A `.tar.zst` image read once from its beginning to its end. Nothing in it is trusted: a member must be listed, and have the contents
//! that the list says; what is missing, listed nowhere or larger than the beginning says is an error.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::contents::{FILE, Image, SCHEMA};
use super::decoder::{Decoder, Meter, Unmetered, open};
use super::inventory::{self, Kind};
use super::write::{self, Failed, Wanted};
use super::{Contents, Error, Event, Watch};
use crate::access::{self, Access};
use crate::archive;
use crate::digest::Digest;
use crate::files;
use crate::process::threads;
use crate::store::tree::Tree;
use crate::store::{directory, inside};

/// The beginning of an image is not longer.
const LONGEST_BEGINNING: u64 = 64 << 20;
/// Nor is the list of a tree.
const LONGEST_LIST: u64 = 256 << 20;
/// Files up to this size are written by other threads than the one that decompresses.
const SMALL: u64 = 1 << 20;
/// How many of them may wait.
const WAITING: usize = 32;

/// What every version of the beginning says.
#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

/// The beginning of an image.
pub(crate) fn head(path: &Path) -> Result<Image, Error> {
    let mut archive = open(path)?;
    let damaged = |why: io::Error| no_image(path, &why.to_string());
    let (archive, meter) = &mut archive;
    let mut entries = archive.entries().map_err(damaged)?;
    beginning(path, meter, entries.next())
}

fn no_image(path: &Path, why: &str) -> Error {
    Error::NoImage {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

fn beginning(
    path: &Path,
    meter: &Meter,
    entry: Option<io::Result<::tar::Entry<'_, Decoder>>>,
) -> Result<Image, Error> {
    let damaged = |why: io::Error| no_image(path, &why.to_string());
    let entry = entry.ok_or_else(|| no_image(path, "it is empty"))?;
    let entry = entry.map_err(damaged)?;
    if entry.path_bytes() != FILE.as_bytes() || entry.size() > LONGEST_BEGINNING {
        return Err(no_image(path, &format!("it does not begin with `{FILE}`")));
    }
    let mut text = Vec::new();
    meter.allow(entry.size());
    { entry }.read_to_end(&mut text).map_err(damaged)?;
    parse(path, &text)
}

/// The beginning of an image from its text.
pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Image, Error> {
    let wrong = |error: serde_json::Error| no_image(path, &format!("`{FILE}`: {error}"));
    let Schema { schema } = strict_json::from_slice(text).map_err(wrong)?;
    if schema > SCHEMA {
        return Err(Error::Newer {
            path: path.to_owned(),
            schema,
        });
    }
    let image: Image = strict_json::from_slice(text).map_err(wrong)?;
    check(path, &image)?;
    Ok(image)
}

/// Makes sure that the names in a beginning are names.
fn check(path: &Path, image: &Image) -> Result<(), Error> {
    let contents = &image.contents;
    let is_id = |id: &str| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let environments = contents.environments.values().map(|e| &e.id);
    if let Some(id) = environments
        .chain(contents.pythons.keys())
        .find(|id| !is_id(id))
    {
        return Err(no_image(path, &format!("`{}` is no id", id.escape_debug())));
    }
    let lists = contents.pythons.keys().eq(image.pythons.keys());
    let pythons = contents.pythons.values().map(|python| &python.executable);
    let records = contents
        .prefetched
        .values()
        .flat_map(|record| &record.files);
    let names = pythons.chain(contents.cache.keys());
    let names = names.chain(records.map(|file| &file.path));
    for name in names {
        let wrong = |why| no_image(path, &format!("`{}` {why}", name.escape_debug()));
        archive::check_path(name).map_err(wrong)?;
    }
    if lists {
        Ok(())
    } else {
        Err(no_image(path, "it has no list of an interpreter"))
    }
}

/// Where an image is unpacked, and how.
#[derive(Clone, Copy)]
pub(crate) struct Unpacking<'a> {
    /// The image.
    pub(crate) path: &'a Path,
    /// Its beginning, as it was read before.
    pub(crate) image: &'a Image,
    /// The digest of the file, where that is known.
    pub(crate) sha256: Option<Digest>,
    /// A directory that has none of it.
    pub(crate) into: &'a Path,
    /// Who may read what is unpacked.
    pub(crate) access: Option<&'a Access>,
    /// How many threads write.
    pub(crate) jobs: usize,
    /// Called as the work goes on.
    pub(crate) watch: Watch<'a>,
}

/// Unpacks an image, verified file by file.
pub(crate) fn unpack(unpacking: Unpacking) -> Result<(), Error> {
    let totals = &unpacking.image.totals;
    (unpacking.watch)(Event::Begin(totals.files, totals.bytes));
    let writing = Writing {
        unpacking,
        written: AtomicU64::new(0),
        failed: Mutex::new(None),
    };
    let (send, receive) = sync_channel(WAITING);
    let receive = Mutex::new(receive);
    let links = std::thread::scope(|scope| {
        let mut threads = 0;
        // With one processor, decompressing and writing take turns.
        if unpacking.jobs > 1 {
            for _ in 0..unpacking.jobs {
                let there = threads::spawn(scope, || writing.serve(&receive));
                threads += usize::from(there.is_ok());
            }
        }
        let hand_over = |file: Small| {
            if threads == 0 {
                writing.small(&file);
                return;
            }
            // They take what comes until this end is closed, also after an error.
            let _ = send.send(file);
        };
        let read = Members::new(&writing).read(&hand_over);
        drop(send);
        read
    })?;
    let failed = writing
        .failed
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    failed.map_or(Ok(()), Err)?;
    // After the last file: so nothing is written through one.
    for (path, target) in &links {
        write::link(target, &unpacking.into.join(path))?;
    }
    (unpacking.watch)(Event::End);
    Ok(())
}

/// A file on its way to a thread that writes it.
struct Small {
    path: String,
    bytes: Vec<u8>,
    wanted: Wanted,
}

/// What all threads share.
struct Writing<'a> {
    unpacking: Unpacking<'a>,
    written: AtomicU64,
    failed: Mutex<Option<Error>>,
}

impl Writing<'_> {
    fn serve(&self, receive: &Mutex<Receiver<Small>>) {
        loop {
            let next = receive
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
            let Ok(file) = next else {
                return;
            };
            self.small(&file);
        }
    }

    fn small(&self, file: &Small) {
        if self.has_failed() {
            return;
        }
        if let Err(error) = self.write(&file.path, &mut &file.bytes[..], file.wanted) {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert(error);
        }
    }

    fn has_failed(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some()
    }

    fn write(&self, path: &str, from: &mut dyn Read, wanted: Wanted) -> Result<(), Error> {
        let to = self.unpacking.into.join(path);
        match write::file(from, &to, wanted) {
            Ok(bytes) => {
                (self.unpacking.watch)(Event::Bytes(bytes));
                Ok(())
            }
            Err(Failed::Read(error)) => Err(self.damaged(&error.to_string())),
            Err(Failed::Write(error)) => Err(error.into()),
            Err(Failed::Content) => {
                Err(self.damaged(&format!("`{path}` has other contents than its list says")))
            }
        }
    }

    fn damaged(&self, why: &str) -> Error {
        no_image(self.unpacking.path, why)
    }
}

/// The members of an archive against what is expected of them.
struct Members<'a> {
    writing: &'a Writing<'a>,
    /// What has not come yet, by path.
    expected: HashMap<String, Kind>,
    /// The lists of trees among them, with the directories that they are about.
    lists: HashMap<String, String>,
    /// Links by path, and where they lead.
    links: Vec<(String, String)>,
}

impl<'a> Members<'a> {
    fn new(writing: &'a Writing<'a>) -> Self {
        let mut members = Self {
            writing,
            expected: HashMap::new(),
            lists: HashMap::new(),
            links: Vec::new(),
        };
        let image = writing.unpacking.image;
        for (id, list) in &image.pythons {
            members.expect_list(Contents::python(id), list.tree);
        }
        for (name, environment) in &image.contents.environments {
            members.expect_list(Contents::generation(name, environment), environment.tree);
        }
        for (path, cached) in &image.contents.cache {
            let path = format!("{}/{path}", directory::CACHE);
            members.expected.insert(path, inventory::of_cache(cached));
        }
        members
    }

    fn expect_list(&mut self, below: String, sha256: Digest) {
        let path = format!("{below}/{}", inside::TREE);
        let list = Kind::File {
            sha256,
            executable: false,
            size: 0,
        };
        self.expected.insert(path.clone(), list);
        self.lists.insert(path, below);
    }

    /// Reads all of it; the links that are to be made are the answer.
    fn read(mut self, hand_over: &dyn Fn(Small)) -> Result<Vec<(String, String)>, Error> {
        let unpacking = self.writing.unpacking;
        let damaged = |error: io::Error| self.writing.damaged(&error.to_string());
        let (mut archive, meter) = open(unpacking.path)?;
        let mut entries = archive.entries().map_err(damaged)?;
        if beginning(unpacking.path, &meter, entries.next())? != *unpacking.image {
            return Err(self.writing.damaged("it was replaced while it was read"));
        }
        let text = unpacking.image.text();
        files::write(&unpacking.into.join(FILE), text.as_bytes())?;
        while let Some(entry) = meter.between(|| entries.next()) {
            let entry = entry.map_err(damaged)?;
            meter.allow(entry.size());
            self.member(entry, hand_over)?;
            if self.writing.has_failed() {
                return Ok(Vec::new());
            }
        }
        if let Some(path) = self.expected.keys().min() {
            let lacks = format!("it has no `{path}`");
            return Err(self.writing.damaged(&lacks));
        }
        self.finish(archive.into_inner().from)?;
        Ok(self.links)
    }

    fn member(
        &mut self,
        mut entry: ::tar::Entry<'_, Decoder>,
        hand_over: &dyn Fn(Small),
    ) -> Result<(), Error> {
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let shown = path.escape_debug();
        let Some(kind) = self.expected.remove(&path) else {
            let listed_nowhere = format!("`{shown}` is in none of its lists, or there twice");
            return Err(self.writing.damaged(&listed_nowhere));
        };
        let other = || {
            self.writing
                .damaged(&format!("`{shown}` is not what its list says"))
        };
        let (sha256, executable) = match kind {
            Kind::Link(target) => {
                let found = entry.link_name().ok().flatten();
                let is_link = entry.header().entry_type() == ::tar::EntryType::Symlink;
                if !is_link || found.as_deref() != Some(Path::new(&target)) {
                    return Err(other());
                }
                self.links.push((path, target));
                return Ok(());
            }
            Kind::File {
                sha256, executable, ..
            } => (sha256, executable),
        };
        if entry.header().entry_type() != ::tar::EntryType::Regular {
            return Err(other());
        }
        let size = entry.size();
        self.reserve(size)?;
        let wanted = Wanted {
            sha256,
            mode: access::published(self.writing.unpacking.access, executable),
        };
        if let Some(below) = self.lists.remove(&path) {
            return self.list(&path, &below, &mut entry, wanted);
        }
        if size > SMALL {
            return self.writing.write(&path, &mut entry, wanted);
        }
        let bytes = self.bytes(&mut entry)?;
        hand_over(Small {
            path,
            bytes,
            wanted,
        });
        Ok(())
    }

    /// What was checked to be free must be enough.
    fn reserve(&self, size: u64) -> Result<(), Error> {
        let before = self.writing.written.fetch_add(size, Ordering::Relaxed);
        if before.saturating_add(size) > self.writing.unpacking.image.totals.bytes {
            return Err(self.writing.damaged("it holds more than it says"));
        }
        Ok(())
    }

    fn bytes(&self, entry: &mut ::tar::Entry<'_, Decoder>) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or(0));
        let read = entry.read_to_end(&mut bytes);
        read.map_err(|error| self.writing.damaged(&error.to_string()))?;
        Ok(bytes)
    }

    /// The list of a tree, whose files are expected from here on.
    fn list(
        &mut self,
        path: &str,
        below: &str,
        entry: &mut ::tar::Entry<'_, Decoder>,
        wanted: Wanted,
    ) -> Result<(), Error> {
        let wrong = |why: &str| self.writing.damaged(&format!("`{path}` {why}"));
        if entry.size() > LONGEST_LIST {
            return Err(wrong("is too long"));
        }
        let bytes = self.bytes(entry)?;
        self.writing.write(path, &mut &bytes[..], wanted)?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text"))?;
        let tree = Tree::parse(&text).map_err(|error| wrong(&error.to_string()))?;
        for (path, kind) in inventory::of_tree(tree)? {
            self.expected.insert(format!("{below}/{path}"), kind);
        }
        Ok(())
    }

    /// Reads what follows the last member, which is nothing, and compares the digest of the file.
    fn finish(&self, mut decoder: Unmetered) -> Result<(), Error> {
        let damaged = |error: io::Error| self.writing.damaged(&error.to_string());
        let mut rest = Vec::new();
        let limited = io::Read::by_ref(&mut decoder).take(SMALL);
        { limited }.read_to_end(&mut rest).map_err(damaged)?;
        if rest.len() as u64 == SMALL || rest.iter().any(|byte| *byte != 0) {
            return Err(self.writing.damaged("something follows its end"));
        }
        let mut source = decoder.finish();
        io::copy(&mut source, &mut io::sink()).map_err(damaged)?;
        let (found, _) = source.into_inner().finish();
        let path: PathBuf = self.writing.unpacking.path.to_owned();
        match self.writing.unpacking.sha256 {
            Some(wanted) if wanted != found => Err(Error::Another {
                path,
                wanted,
                found,
            }),
            _ => Ok(()),
        }
    }
}
