//! A line of `[files]` as rootstock writes it, read as what it is: most of a lock is such lines, and a reader of all of
//! TOML takes ten times as long. What is anything else is left to that one, which says what is wrong with it.

use super::WrittenFile;

/// The package a line is about and its file, or None.
pub(super) fn read(line: &str) -> Option<(&str, WrittenFile)> {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'\\';
    let (reference, pairs) = line.strip_prefix('"')?.split_once("\" = { ")?;
    let pairs = pairs.strip_suffix(" }")?;
    // Without an early end, this is done for many bytes at once.
    let is_plain = line.bytes().fold(true, |so_far, byte| so_far & plain(byte));
    if !is_plain || reference.contains('"') {
        return None;
    }
    let (mut index, mut url, mut git, mut commit, mut subdirectory) =
        (None, None, None, None, None);
    let (mut path, mut file, mut size, mut sha256) = (None, None, None, None);
    for pair in pairs.split(", ") {
        let (key, value) = pair.split_once(" = ")?;
        if key == "size" {
            set(&mut size, value.parse().ok()?)?;
            continue;
        }
        let text = value.strip_prefix('"')?.strip_suffix('"')?;
        if text.contains('"') {
            return None;
        }
        match key {
            "index" => set(&mut index, text.parse().ok()?),
            "url" => set(&mut url, text.to_owned()),
            "git" => set(&mut git, text.to_owned()),
            "commit" => set(&mut commit, text.to_owned()),
            "subdirectory" => set(&mut subdirectory, text.to_owned()),
            "path" => set(&mut path, text.to_owned()),
            "file" => set(&mut file, text.to_owned()),
            "sha256" => set(&mut sha256, text.parse().ok()?),
            _ => None,
        }?;
    }
    let written = WrittenFile {
        index,
        url,
        git,
        commit,
        subdirectory,
        path,
        file: file?,
        size,
        sha256: sha256?,
    };
    Some((reference, written))
}

/// `None` if a key stands there twice.
fn set<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_read_is_what_toml_reads() {
        let digest = "7b9dd103f007".repeat(6);
        let sha256 = format!("sha256 = \"{}\"", &digest[..64]);
        for origin in [
            "",
            "index = \"torch\", ",
            "url = \"https://example.com/a?b=c, d\", ",
            "git = \"https://example.com/r\", commit = \"12ab\", subdirectory = \"python\", ",
            "path = \"./libs/d\", ",
        ] {
            let line =
                format!("\"a 1.0 7b\" = {{ {origin}file = \"a-1.0.tar\", size = 12, {sha256} }}");
            let Some((reference, found)) = read(&line) else {
                assert!(origin.contains(", d"), "{line}");
                continue;
            };
            let expected: BTreeMap<String, WrittenFile> = toml::from_str(&line).unwrap();
            assert_eq!(expected[reference], found);
        }
    }

    #[test]
    fn what_is_not_written_so_is_not_read() {
        let sha256 = format!("sha256 = \"{}\"", "0".repeat(64));
        let whole = format!("\"a 1.0 00\" = {{ file = \"a.whl\", size = 1, {sha256} }}");
        assert!(read(&whole).is_some());
        for (from, to) in [
            ("\"a 1.0 00\"", "a"),
            ("a 1.0", "a\\u0020"),
            ("a 1.0", "a\u{e4}"),
            ("a 1.0", "a\" = 1, \"b"),
            ("file = \"a.whl\"", "file = 'a.whl'"),
            ("file = \"a.whl\"", "file = \"a\\\"b\""),
            ("file = \"a.whl\"", "file = \"a\"b\""),
            ("file = \"a.whl\", ", ""),
            ("size = 1", "size = 1, size = 2"),
            ("size = 1", "size = one"),
            ("size = 1", "more = \"1\""),
            (" }", " } # so"),
            (" }", "}"),
            ("0\" }", "\" }"),
        ] {
            let other = whole.replacen(from, to, 1);
            assert!(other != whole && read(&other).is_none(), "{other}");
        }
    }
}
