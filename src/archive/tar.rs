//! Tar archives, looked through before the first of their files is written: paths, links and kinds of all members.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use super::alike::Alike;
use crate::report::chain;

/// A member, as it will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its path, without `.` and empty parts. What is not UTF-8 in it is replaced.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link that leads here, and stays below the directory which all is unpacked into.
    Symlink(String),
    /// Another name of a file that came before.
    HardLink(String),
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is none, or it ends too early.
    #[error("{}", chain(.0))]
    Unreadable(#[from] std::io::Error),
    /// A member that is refused.
    #[error("`{}` {why}", member.escape_debug())]
    Member {
        /// Its path.
        member: String,
        /// What is wrong with it.
        why: String,
    },
}

/// How long a name may be that does not fit into a header. It is read into memory.
const LONGEST: u64 = 1 << 20;
/// How many members there may be. They are all remembered.
const MOST: usize = 2_000_000;

/// All members, if none of them would leave the directory. `open` opens the archive, which is read twice; names that differ
/// only in case are refused unless `alike` returns true for them.
pub(crate) fn members<R: Read>(
    open: impl Fn() -> R,
    alike: impl Fn(&str) -> bool,
) -> Result<Vec<Member>, Error> {
    check_headers(open())?;
    let mut archive = ::tar::Archive::new(open());
    let mut members = Vec::new();
    let mut files = HashSet::new();
    for entry in archive.entries()? {
        let entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refused = |why: &str| Error::Member {
            member: path.clone(),
            why: why.to_owned(),
        };
        let plain = plain(&path).map_err(refused)?;
        let target = entry
            .link_name_bytes()
            .map(|target| String::from_utf8_lossy(&target).into_owned());
        let kind = match (entry.header().entry_type(), target) {
            (::tar::EntryType::XGlobalHeader, _) => continue,
            (::tar::EntryType::Directory, _) => Kind::Directory,
            (::tar::EntryType::Regular | ::tar::EntryType::Continuous, _) => {
                files.insert(plain.clone());
                Kind::File
            }
            (::tar::EntryType::Symlink, target) => {
                let target = target.unwrap_or_default();
                super::check_link(&plain, &target).map_err(refused)?;
                Kind::Symlink(target)
            }
            (::tar::EntryType::Link, Some(target)) => match self::plain(&target) {
                Ok(target) if files.contains(&target) => Kind::HardLink(target),
                Ok(_) => return Err(refused("is another name of no file before it")),
                Err(_) => return Err(refused("is a link that leaves the archive")),
            },
            _ => return Err(refused("is neither a file nor a directory nor a link")),
        };
        if plain.is_empty() && kind != Kind::Directory {
            return Err(refused("has no name"));
        }
        members.push(Member { path: plain, kind });
        if members.len() > MOST {
            return Err(refused("is one of more than two million"));
        }
    }
    check_together(&members, alike)?;
    Ok(members)
}

/// The path without `.` and empty parts.
pub(crate) fn plain(path: &str) -> Result<String, &'static str> {
    if path.starts_with('/') {
        return Err("is absolute");
    }
    if path.chars().any(char::is_control) {
        return Err("has a control character");
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.contains(&"..") {
        return Err("leads out of it");
    }
    let plain = parts.join("/");
    if super::is_too_long(&plain) {
        return Err("is too long");
    }
    Ok(plain)
}

/// Checks the headers alone: names that do not fit into one are read into memory later.
fn check_headers(from: impl Read) -> Result<(), Error> {
    let mut archive = ::tar::Archive::new(from);
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let extends = kind.is_pax_local_extensions() || kind.is_pax_global_extensions();
        if !(extends || kind.is_gnu_longname() || kind.is_gnu_longlink()) {
            continue;
        }
        let refused = |why: String| Error::Member {
            member: String::from_utf8_lossy(&entry.path_bytes()).into_owned(),
            why,
        };
        if entry.size() > LONGEST {
            return Err(refused(format!("is a name of {} bytes", entry.size())));
        }
        let wrong = refused("has another size than in its header".to_owned());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        // Programs differ in whether they believe it.
        let sized = ::tar::PaxExtensions::new(&bytes)
            .flatten()
            .any(|extension| extension.key_bytes() == b"size");
        if extends && sized {
            return Err(wrong);
        }
    }
    Ok(())
}

/// What is wrong only beside other members: nothing is written through a link, and nothing takes another's place.
fn check_together(members: &[Member], known: impl Fn(&str) -> bool) -> Result<(), Error> {
    let mut kinds: HashMap<&str, &Kind> = HashMap::new();
    let mut alike = Alike::default();
    for Member { path, kind } in members {
        let refused = |why: String| Error::Member {
            member: path.clone(),
            why,
        };
        if let Some(before) = kinds.insert(path, kind) {
            // A directory is made once, and of two files the later one wins, as in every tar.
            let harmless = matches!(
                (before, kind),
                (Kind::Directory, Kind::Directory) | (Kind::File, Kind::File)
            );
            if !harmless {
                return Err(refused("occurs twice, as different things".to_owned()));
            }
        }
        if let Some((first, _)) = alike.clash(path)
            && !known(path)
        {
            let first = first.escape_debug();
            return Err(refused(format!(
                "differs from `{first}` only in case, or in how Unicode writes it"
            )));
        }
    }
    for Member { path, .. } in members {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        let mut above = above.filter_map(|above| kinds.get(above));
        if above.any(|kind| **kind != Kind::Directory) {
            return Err(Error::Member {
                member: path.clone(),
                why: "is below a link or a file".to_owned(),
            });
        }
    }
    Ok(())
}
