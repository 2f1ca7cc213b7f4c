//! Whose a file is and who may do what with it: owner, group, permission bits. What they should be is not known here.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use super::failed::GIVE;
use super::{Context, Result};

/// How a file or directory stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ownership {
    /// Its owner's number.
    pub owner: u32,
    /// Its group's number.
    pub group: u32,
    /// Its permission bits.
    pub mode: u32,
}

/// How the file or directory at this path stands, links followed.
pub(crate) fn ownership(path: &Path) -> Result<Ownership> {
    let metadata = std::fs::metadata(path).context("examine", path)?;
    Ok(Ownership {
        owner: metadata.uid(),
        group: metadata.gid(),
        mode: metadata.permissions().mode() & 0o7777,
    })
}

/// Makes sure that things can be made and replaced in a directory, as far as its filesystem, its owner and its mode say.
pub(crate) fn may_write(directory: &Path) -> Result<()> {
    rustix::fs::access(directory, rustix::fs::Access::WRITE_OK)
        .map_err(io::Error::from)
        .context("write in", directory)
}

/// Whether everybody can make things in a directory. A sticky bit protects what is there, and not the names that are free.
pub(crate) fn is_open_to_all(directory: &Path) -> bool {
    ownership(directory).is_ok_and(|there| there.mode & 0o002 != 0)
}

/// Gives a file or directory this mode and, if one is named, this group; where it has them nothing is done.
///
/// The mode comes last: giving something away takes its set-group bit.
pub(crate) fn set_ownership(path: &Path, mode: u32, group: Option<u32>) -> Result<()> {
    let there = ownership(path)?;
    let elsewhere = group.filter(|group| *group != there.group);
    if let Some(group) = elsewhere {
        lchown(path, None, Some(group)).context(GIVE, path)?;
    }
    if elsewhere.is_some() || there.mode != mode {
        super::set_mode(path, mode)?;
    }
    Ok(())
}

/// The number of the user we are, as far as files are concerned.
pub(crate) fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The number of the group of this name; `None` if the machine knows none.
pub(crate) fn group_named(name: &str) -> io::Result<Option<u32>> {
    let group = nix::unistd::Group::from_name(name)?;
    Ok(group.map(|group| group.gid.as_raw()))
}

/// What a group is called here, or its number.
pub(crate) fn group_name(number: u32) -> String {
    let group = nix::unistd::Group::from_gid(number.into()).ok().flatten();
    group.map_or_else(|| number.to_string(), |group| group.name)
}

/// Whether no other user is in a group: one of the user's own, as many systems give everybody. It has the user's name or number,
/// and no further member.
pub(super) fn is_private(number: u32) -> bool {
    let user = nix::unistd::User::from_uid(effective_uid().into())
        .ok()
        .flatten();
    let name = user.map(|user| user.name);
    match nix::unistd::Group::from_gid(number.into()).ok().flatten() {
        None => number == effective_uid(),
        Some(group) => {
            (number == effective_uid() || name.as_ref() == Some(&group.name))
                && group.mem.iter().all(|member| name.as_ref() == Some(member))
        }
    }
}

/// What a user is called here, or the number.
pub(crate) fn user_name(number: u32) -> String {
    let user = nix::unistd::User::from_uid(number.into()).ok().flatten();
    user.map_or_else(|| number.to_string(), |user| user.name)
}

/// What new files and directories of this process, and of those it starts, do not get; returns what that was before.
pub(crate) fn set_umask(mask: u32) -> u32 {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask)).bits()
}

/// Identifies a file, whatever its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct File {
    device: u64,
    inode: u64,
}

/// Which file it is, if it has several names.
pub(crate) fn shared(metadata: &std::fs::Metadata) -> Option<File> {
    (metadata.nlink() > 1).then(|| identity(metadata))
}

/// Which file it is.
pub(crate) fn identity(metadata: &std::fs::Metadata) -> File {
    File {
        device: metadata.dev(),
        inode: metadata.ino(),
    }
}
