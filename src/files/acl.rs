//! POSIX access control lists, as far as they say what a group may do: the group bits of a mode are then only their
//! upper bound. Changes none.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use super::ownership::Ownership;

/// Where Linux keeps them: a version (2), then tag, permissions and number of each entry, little-endian.
const NAME: &str = "system.posix_acl_access";

/// The longest that Linux keeps: 8191 entries.
const LONGEST: usize = 64 << 10;

const USER: u16 = 0x02;
const GROUP_OWNER: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    tag: u16,
    permissions: u32,
    number: u32,
}

/// What the members of a group may do with what stands so: the three bits of read, write and execute.
pub(crate) fn group_may(path: &Path, there: &Ownership, group: u32) -> u32 {
    permissions(&read(path).unwrap_or_default(), there, group)
}

/// The users beside the owner whom the list of this file lets write it.
pub(super) fn users_who_write(path: &Path) -> io::Result<Vec<u32>> {
    let entries = read(path)?;
    let users = writing(&entries).filter(|entry| entry.tag == USER);
    Ok(users.map(|entry| entry.number).collect())
}

/// The groups that can write this file, which belongs to this one and whose mode lets its group write.
pub(super) fn groups_who_write(path: &Path, owning: u32) -> io::Result<Vec<u32>> {
    let entries = read(path)?;
    if entries.is_empty() {
        return Ok(vec![owning]);
    }
    let group = |entry: &Entry| match entry.tag {
        GROUP_OWNER => Some(owning),
        GROUP => Some(entry.number),
        _ => None,
    };
    Ok(writing(&entries).filter_map(group).collect())
}

/// The entries that allow writing, as far as the mask allows it.
fn writing(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    let mask = entries.iter().find(|entry| entry.tag == MASK);
    let mask = mask.map_or(0o7, |entry| entry.permissions);
    entries
        .iter()
        .filter(move |entry| entry.permissions & mask & 0o2 != 0)
}

/// The entries of a file's list; none where it, or its filesystem, has none.
fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let mut bytes = vec![0; LONGEST];
    match rustix::fs::getxattr(path, NAME, &mut bytes[..]) {
        Ok(length) => parse(&bytes[..length]).ok_or_else(|| io::ErrorKind::InvalidData.into()),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn parse(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (version, entries) = bytes.split_at_checked(4)?;
    if version != 2u32.to_le_bytes() || !entries.len().is_multiple_of(8) {
        return None;
    }
    let entry = |bytes: &[u8]| {
        Some(Entry {
            tag: u16::from_le_bytes(bytes[0..2].try_into().ok()?),
            permissions: u16::from_le_bytes(bytes[2..4].try_into().ok()?).into(),
            number: u32::from_le_bytes(bytes[4..8].try_into().ok()?),
        })
    };
    entries.chunks(8).map(entry).collect()
}

fn permissions(entries: &[Entry], there: &Ownership, group: u32) -> u32 {
    let of = |tag| entries.iter().find(|entry| entry.tag == tag);
    let mask = of(MASK).map_or(0o7, |entry| entry.permissions);
    let owner = of(GROUP_OWNER).map_or(there.mode >> 3 & 0o7, |entry| entry.permissions);
    let other = of(OTHER).map_or(there.mode & 0o7, |entry| entry.permissions);
    let named = entries
        .iter()
        .filter(|entry| entry.tag == GROUP && entry.number == group)
        .map(|entry| entry.permissions & mask);
    let owning = (there.group == group).then_some(owner & mask);
    named
        .chain(owning)
        .reduce(|one, more| one | more)
        .unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAFF: u32 = 50;

    fn may(mode: u32, group: u32, list: &[(u16, u16, u32)]) -> u32 {
        let mut bytes = 2u32.to_le_bytes().to_vec();
        for (tag, permissions, number) in list {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(permissions.to_le_bytes());
            bytes.extend(number.to_le_bytes());
        }
        let there = Ownership {
            owner: 0,
            group,
            mode,
        };
        let entries = if list.is_empty() {
            Vec::new()
        } else {
            parse(&bytes).unwrap()
        };
        permissions(&entries, &there, STAFF)
    }

    #[test]
    fn without_a_list_the_mode_decides() {
        assert_eq!(may(0o2750, STAFF, &[]), 0o5);
        assert_eq!(may(0o2750, 60, &[]), 0o0);
        assert_eq!(may(0o751, 60, &[]), 0o1);
    }

    #[test]
    fn with_a_list_named_groups_count_and_the_mask_bounds_them() {
        let list = |mask| {
            [
                (0x01, 7, u32::MAX),
                (GROUP_OWNER, 0, u32::MAX),
                (GROUP, 7, STAFF),
                (MASK, mask, u32::MAX),
                (OTHER, 0, u32::MAX),
            ]
        };
        assert_eq!(may(0o770, 60, &list(7)), 0o7);
        assert_eq!(may(0o750, 60, &list(5)), 0o5);
        // The group bits of the mode are the mask, not what the owning group may.
        let owner = &list(7)[..2];
        assert_eq!(may(0o770, STAFF, owner), 0o0);
    }
}
