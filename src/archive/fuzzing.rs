//! Archives made of a description that survives mutations: a zip archive has every name twice, with checksums, and a
//! mutated one is refused before anything else of it is read.

use std::io::Write as _;

/// What separates the parts of a description: no byte of UTF-8.
const SEPARATOR: u8 = 0xff;

/// A zip archive of these members: name, contents, name, contents, and so on. A name that begins with 1 is that of a symbolic
/// link, one that begins with 2 that of a program. `finish` makes one more member of those before it.
pub(crate) fn zip(
    description: &[u8],
    finish: impl FnOnce(&[(Vec<u8>, &[u8])]) -> Option<(Vec<u8>, Vec<u8>)>,
) -> Vec<u8> {
    let mut parts = description.split(|byte| *byte == SEPARATOR);
    let (mut members, mut modes) = (Vec::new(), Vec::new());
    while let (Some(name), Some(contents)) = (parts.next(), parts.next()) {
        let (mode, name) = match name {
            [1, name @ ..] => (0o120_777_u32, name),
            [2, name @ ..] => (0o100_755, name),
            name => (0o100_644, name),
        };
        members.push((name.to_vec(), contents));
        modes.push(mode);
    }
    let last = finish(&members);
    let last = last.iter().map(|(name, contents)| (name, &contents[..]));
    let members = members.iter().map(|(name, contents)| (name, *contents));
    let modes = modes.into_iter().chain([0o100_644]);
    let (mut out, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for ((name, contents), mode) in members.chain(last).zip(modes) {
        let start = length(out.len());
        let header = header(name, contents);
        out.extend(b"PK\x03\x04");
        out.extend(&header);
        out.extend([0; 2]);
        out.extend(name);
        out.extend(contents);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&header);
        directory.extend([0; 8]);
        directory.extend((mode << 16).to_le_bytes());
        directory.extend(start);
        directory.extend(name);
        count = count.saturating_add(1);
    }
    let start = length(out.len());
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(length(directory.len()));
    out.extend(start);
    out.extend([0; 2]);
    out
}

/// What both headers of a member have in common: version, flags, method, time, checksum, sizes and the name's length.
fn header(name: &[u8], contents: &[u8]) -> Vec<u8> {
    let mut checksum = flate2::Crc::new();
    checksum.update(contents);
    let mut header = b"\x14\0\0\0\0\0\0\0\x21\0".to_vec();
    header.extend(checksum.sum().to_le_bytes());
    header.extend(length(contents.len()));
    header.extend(length(contents.len()));
    header.extend(&length(name.len())[..2]);
    header
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length)
        .expect("descriptions are short")
        .to_le_bytes()
}

/// The same tar archive with the checksums of its headers put right.
pub(crate) fn tar(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(block) = bytes.get_mut(at..at + 512) {
        let mut header = ::tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        let is_end = block.iter().all(|byte| *byte == 0);
        if !is_end {
            block.copy_from_slice(header.as_bytes());
        }
        let size = header.entry_size().unwrap_or(0);
        let blocks = usize::try_from(size).unwrap_or(usize::MAX).div_ceil(512);
        at = at
            .saturating_add(512)
            .saturating_add(blocks.saturating_mul(512));
        if at > bytes.len() {
            break;
        }
    }
    bytes
}

/// The same, compressed.
pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).expect("a vector takes all");
    out.finish().expect("a vector takes all")
}
