//! Zip archives without contradictions: each file has one place and one name, and two programs that read such an
//! archive in different ways find the same in it.
//!
//! Members are described twice, in a header before their contents and in a directory at the end. Programs that stream
//! read the one, programs that seek the other; where the two contradict each other, one wheel is two.

use std::io::{Read, Seek, SeekFrom};

use crate::files::SharedFile;

/// An open archive.
pub(crate) type Archive = ::zip::ZipArchive<SharedFile>;

const FILE_TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// The flag of sizes that follow the contents, because they were not known before.
const SIZES_FOLLOW: u16 = 1 << 3;
/// The longest that these are: a signature, a checksum and two sizes.
const DESCRIPTOR: u64 = 24;
/// A size that stands elsewhere, because it does not fit.
const ELSEWHERE: u32 = u32::MAX;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its number in the archive.
    pub index: usize,
    /// Its path: relative, separated by `/`, without `.`, `..` or empty parts.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Its size, unpacked.
    pub size: u64,
    /// Whether the archive marks it as a program.
    pub executable: bool,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link: its contents are where it leads.
    Link,
}

/// Opens an archive and looks through all of it but the contents.
pub(crate) fn open(file: SharedFile) -> Result<(Archive, Vec<Member>), String> {
    let zip = ::zip::ZipArchive::new(file.clone())
        .map_err(|error| format!("it is not a zip archive: {error}"))?;
    if zip.has_duplicate_names() {
        return Err("it holds two files of one path".to_owned());
    }
    let members = (0..zip.len())
        .map(|index| member(&zip, index))
        .collect::<Result<Vec<_>, _>>()?;
    check_structure(&zip, file)?;
    Ok((zip, members))
}

fn member(zip: &Archive, index: usize) -> Result<Member, String> {
    let entry = zip.by_index_data(index).map_err(|e| unreadable(&e))?;
    // The format demands UTF-8 of wheels, whether or not the archive's flag is set.
    let path = str::from_utf8(entry.name_raw())
        .map_err(|_| "the path of a file in it is not UTF-8".to_owned())?;
    let wrong = |reason: &str| {
        let shown: String = path.chars().take(300).collect();
        format!("the path {shown:?} in it {reason}")
    };
    if entry.encrypted() {
        return Err(wrong("is encrypted"));
    }
    super::check_path(path.strip_suffix('/').unwrap_or(path)).map_err(wrong)?;
    let mode = entry.external_attributes() >> 16;
    let kind = match mode & FILE_TYPE {
        LINK => Kind::Link,
        _ if path.ends_with('/') => Kind::Directory,
        _ => Kind::File,
    };
    Ok(Member {
        index,
        path: path.strip_suffix('/').unwrap_or(path).to_owned(),
        kind,
        size: entry.size(),
        executable: mode & FILE_TYPE == REGULAR && mode & 0o111 != 0,
    })
}

fn unreadable(error: &dyn std::error::Error) -> String {
    format!("its directory cannot be read: {error}")
}

/// Where a member begins and ends, with what may follow it.
struct Extent {
    start: u64,
    end: u64,
    /// How much may follow that belongs to it.
    more: u64,
    path: String,
}

/// Compares both descriptions of each member, and sees to it that members cover the archive, one after another.
fn check_structure(zip: &Archive, mut file: SharedFile) -> Result<(), String> {
    let mut extents = (0..zip.len())
        .map(|index| extent(zip, index, &mut file))
        .collect::<Result<Vec<_>, _>>()?;
    extents.sort_by_key(|extent| extent.start);
    let first = extents.first().map_or(0, |extent| extent.start);
    if zip.offset() != 0 || first != 0 {
        return Err("there is something before its first file".to_owned());
    }
    let starts = extents.iter().skip(1).map(|extent| extent.start);
    let starts = starts.chain([zip.central_directory_start()]);
    for (extent, next) in extents.iter().zip(starts) {
        let path = &extent.path;
        match next.checked_sub(extent.end) {
            None => return Err(format!("{path:?} in it overlaps with what follows")),
            Some(gap) if gap > extent.more => {
                return Err(format!(
                    "there is something in it behind {path:?} that is no file"
                ));
            }
            Some(_) => {}
        }
    }
    check_end(zip, &mut file)
}

/// Nothing may follow the archive's end, or programs that look for it from behind find another.
fn check_end(zip: &Archive, file: &mut SharedFile) -> Result<(), String> {
    const LENGTH: i64 = 22;
    let comment = i64::try_from(zip.comment().len()).unwrap_or(0);
    let mut end = [0; 4];
    let read = file
        .seek(SeekFrom::End(-LENGTH - comment))
        .and_then(|_| file.read_exact(&mut end));
    match read {
        Ok(()) if end == *b"PK\x05\x06" => Ok(()),
        Ok(()) => Err("there is something behind its end".to_owned()),
        Err(error) => Err(unreadable(&error)),
    }
}

/// The fixed part of the header before a member's contents.
struct Local {
    flags: u16,
    method: u16,
    crc: u32,
    sizes: [u32; 2],
    name: Vec<u8>,
    extra: Vec<u8>,
}

fn extent(zip: &Archive, index: usize, file: &mut SharedFile) -> Result<Extent, String> {
    let entry = zip.by_index_data(index).map_err(|e| unreadable(&e))?;
    let path = String::from_utf8_lossy(entry.name_raw()).into_owned();
    let contradicts =
        || format!("its directory and the header before {path:?} contradict each other");
    let start = entry.header_start();
    let local = local(file, start).map_err(|error| unreadable(&error))?;
    let local = local.ok_or_else(contradicts)?;
    let [flags, method] =
        central(file, entry.central_header_start()).map_err(|e| unreadable(&e))?;
    if (local.flags, local.method) != (flags, method) || local.name != entry.name_raw() {
        return Err(contradicts());
    }
    let more = if local.flags & SIZES_FOLLOW == 0 {
        0
    } else {
        DESCRIPTOR
    };
    let (sizes, crc) = ([entry.compressed_size(), entry.size()], entry.crc32());
    let unknown = more > 0 && local.crc == 0;
    if !(unknown || local.crc == crc && local.sizes() == Some(sizes)) {
        return Err(contradicts());
    }
    let before = 30 + (local.name.len() + local.extra.len()) as u64;
    let end = before
        .checked_add(entry.compressed_size())
        .and_then(|length| start.checked_add(length));
    Ok(Extent {
        start,
        end: end.ok_or_else(contradicts)?,
        more,
        path,
    })
}

/// Flags and method of a member by the directory.
fn central(file: &mut SharedFile, at: u64) -> std::io::Result<[u16; 2]> {
    let mut header = [0; 12];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut header)?;
    Ok([short(&header, 8), short(&header, 10)])
}

/// The header before a member's contents; none if something else is there.
fn local(file: &mut SharedFile, at: u64) -> std::io::Result<Option<Local>> {
    let mut header = [0; 30];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut header)?;
    if !header.starts_with(b"PK\x03\x04") {
        return Ok(None);
    }
    let mut name = vec![0; usize::from(short(&header, 26))];
    file.read_exact(&mut name)?;
    let mut extra = vec![0; usize::from(short(&header, 28))];
    file.read_exact(&mut extra)?;
    Ok(Some(Local {
        flags: short(&header, 6),
        method: short(&header, 8),
        crc: long(&header, 14),
        sizes: [long(&header, 18), long(&header, 22)],
        name,
        extra,
    }))
}

impl Local {
    /// Packed and unpacked, wherever they stand; none if they should be elsewhere and are not.
    fn sizes(&self) -> Option<[u64; 2]> {
        if !self.sizes.contains(&ELSEWHERE) {
            return Some(self.sizes.map(u64::from));
        }
        let mut rest = self.extra.as_slice();
        while rest.len() >= 4 {
            let (id, length) = (short(rest, 0), usize::from(short(rest, 2)));
            let field = rest.get(4..4 + length)?;
            // In this field the unpacked size comes first.
            if id == 1 && length >= 16 {
                return Some([wide(field, 8), wide(field, 0)]);
            }
            rest = &rest[4 + length..];
        }
        None
    }
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(short(bytes, at)) | u32::from(short(bytes, at + 2)) << 16
}

fn wide(bytes: &[u8], at: usize) -> u64 {
    u64::from(long(bytes, at)) | u64::from(long(bytes, at + 4)) << 32
}
