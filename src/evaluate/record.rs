//! Structures in a file that `rootstock evaluate` has written: where each is, and which structure of the input it belongs to.

use std::io::{self, BufRead};

/// Begins what every structure is marked with.
pub(super) const MODEL: &str = " rootstock_model=";
const INPUT: &str = " rootstock_input=";

/// A structure in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The number of the structure in the input, and what identifies its content.
    pub(super) index: u64,
    pub(super) digest: String,
    /// Its number among those that a function has made of it, and how many these are.
    pub(super) image: (usize, usize),
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) records: Vec<Record>,
    /// What all records are marked with.
    pub(super) notes: Option<String>,
    /// Where the last whole record ends.
    pub(super) end: u64,
}

/// A file that holds something else.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// From this line on.
    Foreign(u64),
    System(io::Error),
}

/// Reads to the end; a last record that is not whole is left out.
pub(super) fn scan(mut file: impl BufRead) -> Result<Found, Unreadable> {
    let mut found = Found::default();
    let (mut offset, mut line_number) = (0, 1);
    let mut line = Vec::new();
    loop {
        let begin = offset;
        let first = line_number;
        let mut next = |line: &mut Vec<u8>| -> Result<bool, Unreadable> {
            line.clear();
            let count = file.read_until(b'\n', line).map_err(Unreadable::System)?;
            offset += count as u64;
            line_number += 1;
            Ok(line.last() == Some(&b'\n'))
        };
        if !next(&mut line)? {
            break;
        }
        let count = std::str::from_utf8(&line)
            .ok()
            .and_then(|text| text.trim_end().parse::<usize>().ok());
        let Some(count) = count else {
            return Err(Unreadable::Foreign(first));
        };
        if !next(&mut line)? {
            break;
        }
        let Some((notes, mut record)) = marks(&line) else {
            return Err(Unreadable::Foreign(first + 1));
        };
        if found.notes.as_ref().is_some_and(|known| *known != notes) {
            return Err(Unreadable::Foreign(first + 1));
        }
        found.notes = Some(notes);
        let mut is_whole = true;
        for _ in 0..count {
            is_whole = next(&mut line)?;
            if !is_whole {
                break;
            }
        }
        if !is_whole {
            break;
        }
        record.offset = begin;
        record.length = offset - begin;
        found.end = offset;
        found.records.push(record);
    }
    drop_unfinished(&mut found);
    Ok(found)
}

/// Leaves out what is there of a structure whose other images are not.
fn drop_unfinished(found: &mut Found) {
    let Some(last) = found.records.last() else {
        return;
    };
    let (number, count) = last.image;
    if number + 1 == count {
        return;
    }
    let keep = found.records.len().saturating_sub(number + 1);
    found.end = found.records[keep].offset;
    found.records.truncate(keep);
}

/// The marks at the end of a comment line.
fn marks(line: &[u8]) -> Option<(String, Record)> {
    let line = std::str::from_utf8(line).ok()?.trim_end_matches('\n');
    let notes = &line[line.rfind(MODEL)?..];
    let (notes, input) = notes.split_at(notes.find(INPUT)?);
    let mut record = Record {
        index: 0,
        digest: String::new(),
        image: (0, 1),
        offset: 0,
        length: 0,
    };
    let mut has_index = false;
    for mark in input.split(' ').filter(|mark| !mark.is_empty()) {
        match mark.split_once('=')? {
            ("rootstock_input", digest) => digest.clone_into(&mut record.digest),
            ("rootstock_index", index) => {
                record.index = index.parse().ok()?;
                has_index = true;
            }
            ("rootstock_image", image) => {
                let (number, count) = image.split_once('/')?;
                record.image = (number.parse().ok()?, count.parse().ok()?);
            }
            _ => return None,
        }
    }
    let is_whole = has_index && record.image.0 < record.image.1;
    is_whole.then(|| (notes.to_owned(), record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(index: u64, image: &str) -> String {
        format!(
            "2\nProperties=species:S:1:pos:R:3 a=\"rootstock_model=x\" rootstock_model=m rootstock_generation=g rootstock_input=d{index} \
             rootstock_index={index}{image}\nH 0 0 0\nH 0 0 1\n"
        )
    }

    fn indices(text: &str) -> (Vec<u64>, u64) {
        let found = scan(text.as_bytes()).map_err(|_| "foreign").unwrap();
        (
            found.records.iter().map(|record| record.index).collect(),
            found.end,
        )
    }

    #[test]
    fn whole_records_are_found_wherever_the_file_ends() {
        let (first, second) = (text(3, ""), text(1, ""));
        let both = format!("{first}{second}");
        for end in 0..=both.len() {
            let expected = match end {
                end if end == both.len() => vec![3, 1],
                end if end >= first.len() => vec![3],
                _ => vec![],
            };
            let length = if expected.len() == 1 {
                first.len()
            } else {
                both.len() * (expected.len() / 2)
            };
            assert_eq!(indices(&both[..end]), (expected, length as u64), "{end}");
        }
    }

    #[test]
    fn images_of_a_structure_count_together() {
        let images = [
            text(0, " rootstock_image=0/2"),
            text(0, " rootstock_image=1/2"),
        ];
        assert_eq!(indices(&images.concat()).0, [0, 0]);
        assert_eq!(indices(&images[0]), (vec![], 0));
        let before = text(7, "");
        assert_eq!(
            indices(&format!("{before}{}", images[0])),
            (vec![7], before.len() as u64)
        );
    }

    #[test]
    fn other_files_are_refused() {
        for text in [
            "hello\n",
            "2\nProperties=species:S:1\nH\nH\n",
            &format!("{}5\n\n", text(1, "")),
        ] {
            assert!(scan(text.as_bytes()).is_err(), "{text}");
        }
    }
}
