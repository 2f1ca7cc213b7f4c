//! Taking whole trees away: what that gives back, and doing it as far as it can be done. Whether they may go is not
//! decided here.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::iter::Sum;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::{Context, Error, Result};

/// Room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// Bytes, as the disk counts them.
    pub bytes: u64,
    /// Files, directories and links.
    pub inodes: u64,
}

impl Sum for Room {
    fn sum<I: Iterator<Item = Self>>(rooms: I) -> Self {
        rooms.fold(Self::default(), |sum, room| Self {
            bytes: sum.bytes + room.bytes,
            inodes: sum.inodes + room.inodes,
        })
    }
}

/// Computes how much room the removal of one tree after another frees. A file with several names gives back its room with the
/// last of them.
#[derive(Debug, Default)]
pub(crate) struct DiskUsage(HashMap<(u64, u64), u64>);

impl DiskUsage {
    /// What this tree gives back, once all that were added before it are gone. What is not there, or goes meanwhile,
    /// counts as nothing.
    pub(crate) fn add(&mut self, path: &Path) -> Result<Room> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Room::default()),
            Err(error) => return Err(error).context("examine", path),
        };
        // POSIX: blocks are counted in units of 512 bytes, whatever the filesystem's own are.
        let own = Room {
            bytes: metadata.blocks() * 512,
            inodes: 1,
        };
        if !metadata.is_dir() {
            let names = self.0.entry((metadata.dev(), metadata.ino()));
            let names = names.or_insert(metadata.nlink());
            *names = names.saturating_sub(1);
            return Ok(if *names == 0 { own } else { Room::default() });
        }
        let mut rooms = vec![own];
        for name in super::names(path)? {
            rooms.push(self.add(&path.join(name))?);
        }
        Ok(rooms.into_iter().sum())
    }
}

/// Removes of a tree what can be removed, read-only directories too; what could not be, and why. Nothing there is fine.
///
/// On NFS a file that a process of this host has open stays as `.nfs…` until it is closed, and its directory with it.
pub(crate) fn remove_what_goes(path: &Path) -> Vec<Error> {
    let mut left = Vec::new();
    remove(path, &mut left);
    left
}

fn remove(path: &Path, left: &mut Vec<Error>) {
    let is_directory = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_dir(),
        Err(_) => return,
    };
    let gone = if is_directory {
        // A directory without the write bit keeps its entries.
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o755));
        let before = left.len();
        // Names may be any bytes.
        match fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => {
                for entry in entries {
                    remove(&entry.path(), left);
                }
            }
            Err(error) => left.extend(Err::<(), _>(error).context("list", path).err()),
        }
        if left.len() > before {
            // That it is not empty is known, and why.
            return;
        }
        fs::remove_dir(path)
    } else {
        fs::remove_file(path)
    };
    if let Err(error) = gone
        && error.kind() != io::ErrorKind::NotFound
    {
        left.extend(Err::<(), _>(error).context("remove", path).err());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn a_file_with_two_names_gives_back_its_room_with_the_second() {
        let temporary = tempfile::tempdir().unwrap();
        let path = |name: &str| temporary.path().join(name);
        for directory in ["a", "b"] {
            files::create_directory(&path(directory)).unwrap();
        }
        files::write(&path("a/file"), &vec![1; 100_000]).unwrap();
        fs::hard_link(path("a/file"), path("b/file")).unwrap();
        let mut usage = DiskUsage::default();
        let (first, second) = (path("a"), path("b"));
        let (first, second) = (usage.add(&first).unwrap(), usage.add(&second).unwrap());
        assert_eq!((first.inodes, second.inodes), (1, 2));
        assert!(first.bytes < 100_000 && second.bytes >= 100_000);
        assert_eq!(usage.add(&path("c")).unwrap(), Room::default());
    }

    #[test]
    fn what_is_read_only_goes_and_what_is_not_there_is_no_error() {
        let temporary = tempfile::tempdir().unwrap();
        let tree = temporary.path().join("tree");
        files::create_directories(&tree.join("a/b")).unwrap();
        files::write(&tree.join("a/b/file"), b"x").unwrap();
        for path in ["a/b", "a", ""] {
            files::set_mode(&tree.join(path), 0o555).unwrap();
        }
        assert!(remove_what_goes(&tree).is_empty());
        assert!(!files::exists(&tree));
        assert!(remove_what_goes(&tree).is_empty());
    }
}
