//! Lines as rootstock writes them, of `[files]` and of lists of packages, read as what they are: most of a lock is such
//! lines, and a reader of all of TOML takes ten times as long. What is anything else is left to that one, which says
//! what is wrong with it.

use super::WrittenFile;

/// The package a line is about and its file, or None.
pub(super) fn read(line: &str) -> Option<(&str, WrittenFile)> {
    if !is_plain(line) {
        return None;
    }
    let (reference, pairs) = line.strip_prefix('"')?.split_once('"')?;
    let mut rest = pairs.strip_prefix(" = { ")?;
    let (mut index, mut url, mut git, mut commit, mut subdirectory) =
        (None, None, None, None, None);
    let (mut path, mut file, mut size, mut sha256) = (None, None, None, None);
    loop {
        let (key, value) = rest.split_once(" = ")?;
        let after = if let Some(quoted) = value.strip_prefix('"') {
            let (text, after) = quoted.split_once('"')?;
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
            after
        } else {
            let (number, after) = value.split_at(value.find([',', ' '])?);
            (key == "size").then(|| set(&mut size, number.parse().ok()?))??;
            after
        };
        if after == " }" {
            break;
        }
        rest = after.strip_prefix(", ")?;
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

/// The lists of packages in a piece of a lock, in their order, and the piece with empty lists in their place.
pub(super) fn lists(piece: &str) -> Option<(String, Vec<Vec<String>>)> {
    const START: &str = "\npackages = [\n";
    let (mut tables, mut lists) = (String::with_capacity(piece.len()), Vec::new());
    let mut rest = piece;
    while let Some((before, mut list)) = rest.split_once(START) {
        let mut items = Vec::new();
        loop {
            let (line, after) = list.split_once('\n')?;
            list = after;
            match line {
                "]" => break,
                _ => items.push(item(line)?),
            }
        }
        lists.push(items);
        tables.push_str(before);
        tables.push_str("\npackages = []\n");
        rest = list;
    }
    tables.push_str(rest);
    Some((tables, lists))
}

/// The string of a line in a list.
fn item(line: &str) -> Option<String> {
    let text = line.strip_prefix("    \"")?.strip_suffix("\",")?;
    (is_plain(text) && !text.contains('"')).then(|| text.to_owned())
}

/// Whether TOML means by this text the text itself. Without an early end, this is found for many bytes at once.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'\\';
    text.bytes().fold(true, |so_far, byte| so_far & plain(byte))
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
            let (reference, found) = read(&line).unwrap();
            let expected: BTreeMap<String, WrittenFile> = toml::from_str(&line).unwrap();
            assert_eq!(expected[reference], found);
        }
    }

    #[test]
    fn lists_are_what_toml_reads_and_the_rest_stays() {
        let text = "a = 1\npackages = [\n    \"b 1\",\n    \"c 2\",\n]\nd = [\n    \"e\",\n]\n";
        let (tables, found) = lists(text).unwrap();
        assert_eq!(found, [["b 1", "c 2"]]);
        let mut expected: toml::Table = toml::from_str(text).unwrap();
        assert_eq!(expected["packages"].as_array().unwrap().len(), 2);
        expected.insert("packages".into(), toml::Value::Array(Vec::new()));
        assert_eq!(toml::from_str::<toml::Table>(&tables).unwrap(), expected);
        for (from, to) in [
            ("    \"b 1\",", "\"b 1\","),
            ("\"b 1\",", "\"b 1\"  ,"),
            ("b 1", "b \\u0031"),
            ("b 1", "b\", \"1"),
            ("\"c 2\",", "\"c 2\", # so"),
            ("\n]\n", "\n ]\n"),
        ] {
            let other = text.replace(from, to);
            assert!(other != text && lists(&other).is_none(), "{other}");
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
            (" }", ", }"),
            ("{ ", "{ }"),
            ("size = 1", "file = 1"),
            ("0\" }", "\" }"),
        ] {
            let other = whole.replacen(from, to, 1);
            assert!(other != whole && read(&other).is_none(), "{other}");
        }
    }
}
