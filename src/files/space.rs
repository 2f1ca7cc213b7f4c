//! What kind of filesystem a path is on, and how much room it has, as the system reports. Quotas of users and projects
//! are not in these numbers.

use std::io;
use std::path::{Path, PathBuf};

use super::{Context, Result};

/// A filesystem.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Space {
    /// Its kind: `ext4`, `lustre`; a number in hexadecimal digits where we have no name for it.
    pub kind: String,
    /// Whether others may see it over a network.
    pub network: bool,
    /// Bytes that may still be written.
    pub bytes_free: u64,
    /// All bytes.
    pub bytes: u64,
    /// Files that may still be made.
    pub inodes_free: u64,
    /// All files it has room for; 0 where it has no fixed number.
    pub inodes: u64,
}

/// The numbers by which Linux distinguishes filesystems (statfs(2), and the sources of those that are not part of it), and
/// whether they are shared over a network.
const KINDS: &[(u64, &str, bool)] = &[
    (0xEF53, "ext4", false),
    (0x5846_5342, "xfs", false),
    (0x9123_683E, "btrfs", false),
    (0x2FC1_2FC1, "zfs", false),
    (0x0102_1994, "tmpfs", false),
    (0x794C_7630, "overlay", false),
    (0x7371_7368, "squashfs", false),
    (0x6969, "nfs", true),
    (0x0BD0_0BD0, "lustre", true),
    (0x4750_4653, "gpfs", true),
    (0x1983_0326, "beegfs", true),
    (0x00C3_6400, "ceph", true),
    (0xAAD7_AAEA, "panfs", true),
    (0xFE53_4D42, "smb", true),
    (0xFF53_4D42, "cifs", true),
    (0x0102_1997, "9p", true),
    (0x5346_414F, "afs", true),
    (0x6573_5546, "fuse", true),
];

/// The filesystem that holds this path.
pub(crate) fn of(path: &Path) -> Result<Space> {
    let converted = |result: rustix::io::Result<_>| result.map_err(io::Error::from);
    let kind = converted(rustix::fs::statfs(path).map(|s| s.f_type))
        .context("examine the filesystem of", path)?;
    let room = rustix::fs::statvfs(path)
        .map_err(io::Error::from)
        .context("examine the filesystem of", path)?;
    // The type of the number differs between machines; its 32 bits do not.
    let kind = u64::try_from(kind).unwrap_or_default() & 0xFFFF_FFFF;
    let known = KINDS.iter().find(|(number, _, _)| *number == kind);
    let (name, network) = match known {
        Some((_, name, network)) => ((*name).to_owned(), *network),
        None => (format!("{kind:#x}"), false),
    };
    Ok(Space {
        kind: name,
        network,
        bytes_free: room.f_bavail * room.f_frsize,
        bytes: room.f_blocks * room.f_frsize,
        inodes_free: room.f_favail,
        inodes: room.f_files,
    })
}

/// What there is too little of, if that is why something failed.
pub(crate) fn shortage(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull => Some("the filesystem is full"),
        io::ErrorKind::QuotaExceeded => Some("a quota of bytes or files is used up"),
        _ => None,
    }
}

/// Where the filesystem that holds this path is mounted: the uppermost of its directories on the same device.
pub(crate) fn mount_point(path: &Path) -> Result<PathBuf> {
    let real = super::real_path(path)?;
    let device = |path: &Path| rustix::fs::stat(path).map(|found| found.st_dev);
    let here = device(&real)
        .map_err(io::Error::from)
        .context("examine the filesystem of", &real)?;
    let above = real.ancestors().skip(1);
    let same = above.take_while(|above| device(above) == Ok(here));
    Ok(same.last().unwrap_or(&real).to_owned())
}
