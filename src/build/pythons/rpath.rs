//! Where a program looks for its shared libraries (`DT_RUNPATH`, `DT_RPATH` of an ELF file), changed so that it finds those that
//! lie beside it. The text of the file is overwritten in place, so the new one must not be longer.

/// The library directory of an interpreter, seen from its program.
const OWN: &[u8] = b"$ORIGIN/../lib";

const LOAD: u64 = 1;
const DYNAMIC: u64 = 2;
const STRING_TABLE: u64 = 5;
const PATHS: [u64; 2] = [15, 29];

/// Has this program look for libraries in its own directory; `false` if it says nothing of where to look, too little to be
/// overwritten, or is no program of a 64-bit machine.
pub(super) fn point_to_own_libraries(program: &mut [u8]) -> bool {
    let places = Elf(program).search_paths().unwrap_or_default();
    let mut changed = false;
    for (start, length) in places {
        if let Some(text) = program.get_mut(start..start + length)
            && length >= OWN.len()
        {
            text.fill(0);
            text[..OWN.len()].copy_from_slice(OWN);
            changed = true;
        }
    }
    changed
}

/// A little-endian 64-bit ELF file.
struct Elf<'a>(&'a [u8]);

/// A part of the file that is loaded.
struct Segment {
    kind: u64,
    offset: usize,
    address: u64,
    size: usize,
}

impl Elf<'_> {
    fn number(&self, at: usize, bytes: usize) -> Option<u64> {
        let bytes = self.0.get(at..at.checked_add(bytes)?)?;
        let little = bytes.iter().rev();
        Some(little.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn offset(&self, at: usize) -> Option<usize> {
        usize::try_from(self.number(at, 8)?).ok()
    }

    fn segments(&self) -> Option<Vec<Segment>> {
        if !self.0.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let table = self.offset(0x20)?;
        let size = usize::try_from(self.number(0x36, 2)?).ok()?;
        let count = usize::try_from(self.number(0x38, 2)?).ok()?;
        let segment = |index: usize| {
            let at = table.checked_add(size.checked_mul(index)?)?;
            Some(Segment {
                kind: self.number(at, 4)?,
                offset: self.offset(at.checked_add(8)?)?,
                address: self.number(at.checked_add(16)?, 8)?,
                size: self.offset(at.checked_add(32)?)?,
            })
        };
        (0..count).map(segment).collect()
    }

    /// Where the texts of its search paths begin, and how long they are.
    fn search_paths(&self) -> Option<Vec<(usize, usize)>> {
        let segments = self.segments()?;
        let dynamic = segments.iter().find(|segment| segment.kind == DYNAMIC)?;
        let entries: Vec<(u64, u64)> = (0..dynamic.size / 16)
            .map_while(|index| {
                let at = dynamic.offset.checked_add(index * 16)?;
                Some((self.number(at, 8)?, self.number(at.checked_add(8)?, 8)?))
            })
            .take_while(|(tag, _)| *tag != 0)
            .collect();
        let (_, strings) = entries.iter().find(|(tag, _)| *tag == STRING_TABLE)?;
        let holder = segments.iter().find(|segment| {
            let end = segment.address.saturating_add(segment.size as u64);
            segment.kind == LOAD && (segment.address..end).contains(strings)
        })?;
        let strings = holder
            .offset
            .checked_add(usize::try_from(strings - holder.address).ok()?)?;
        let paths = entries.iter().filter(|(tag, _)| PATHS.contains(tag));
        let place = |(_, below): &(u64, u64)| {
            let start = strings.checked_add(usize::try_from(*below).ok()?)?;
            let length = self.0.get(start..)?.iter().position(|byte| *byte == 0)?;
            Some((start, length))
        };
        paths.map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one loaded segment, which has a dynamic section with this search path.
    fn program(path: &str) -> Vec<u8> {
        let (table, dynamic, strings) = (64_u64, 64 + 2 * 56, 64 + 2 * 56 + 3 * 16);
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(64, 0);
        bytes[0x20..0x28].copy_from_slice(&table.to_le_bytes());
        bytes[0x36] = 56;
        bytes[0x38] = 2;
        let size = strings + 1 + path.len() as u64 + 1;
        for (kind, offset, size) in [(LOAD, 0, size), (DYNAMIC, dynamic, 48)] {
            for number in [kind, offset, offset + 0x1000, 0, size, 0, 0] {
                bytes.extend(number.to_le_bytes());
            }
        }
        for number in [PATHS[1], 1, STRING_TABLE, strings + 0x1000, 0, 0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.push(0);
        bytes.extend(path.bytes());
        bytes.push(0);
        bytes
    }

    #[test]
    fn a_search_path_is_replaced_where_there_is_room() {
        let mut bytes = program("/opt/site/python/3.11/lib");
        let length = bytes.len();
        assert!(point_to_own_libraries(&mut bytes));
        assert_eq!(bytes.len(), length);
        assert!(
            bytes.ends_with(b"\0$ORIGIN/../lib\0\0\0\0\0\0\0\0\0\0\0\0"),
            "{bytes:?}"
        );
        let mut short = program("/opt/lib");
        assert!(!point_to_own_libraries(&mut short));
        assert_eq!(short, program("/opt/lib"));
    }

    #[test]
    fn what_is_no_program_stays_as_it_is_however_it_is_cut() {
        let whole = program("/opt/site/python/3.11/lib");
        for length in 0..whole.len() {
            let mut cut = whole[..length].to_vec();
            point_to_own_libraries(&mut cut);
            assert_eq!(cut.len(), length);
        }
        for at in 0..whole.len() - 27 {
            let mut wrong = whole.clone();
            wrong[at] = 0xff;
            point_to_own_libraries(&mut wrong);
        }
    }
}
