//! Paths that some filesystems take for one: they differ only in case or in how Unicode writes them.

use std::collections::HashMap;

use icu_normalizer::ComposingNormalizerBorrowed;

/// The paths seen so far, directories included.
#[derive(Debug, Default)]
pub(crate) struct Alike {
    seen: HashMap<String, String>,
}

impl Alike {
    /// Adds a path. If some filesystem would put it, or a directory it is in, in the place of one that came
    /// before, the two are returned: first that one.
    pub(crate) fn clash(&mut self, path: &str) -> Option<(String, String)> {
        let ends = path.match_indices('/').map(|(at, _)| at);
        ends.chain([path.len()]).find_map(|end| {
            let path = &path[..end];
            let first = self
                .seen
                .entry(folded(path))
                .or_insert_with(|| path.to_owned());
            (first != path).then(|| (first.clone(), path.to_owned()))
        })
    }
}

fn folded(path: &str) -> String {
    if path.is_ascii() {
        return path.to_ascii_lowercase();
    }
    // Upper case first: it joins what has two small letters, as the last letter of a Greek word.
    let cased = path.to_uppercase().to_lowercase();
    ComposingNormalizerBorrowed::new_nfc()
        .normalize(&cased)
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_differ_only_in_case_or_normalisation_are_found() {
        for (one, two) in [
            ("a/b.py", "a/B.py"),
            ("a/b.py", "A/c.py"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{3c3}", "\u{3c2}"),
            ("\u{212b}", "\u{e5}"),
            ("a", "A/b"),
        ] {
            let mut alike = Alike::default();
            assert_eq!(alike.clash(one), None);
            assert!(alike.clash(two).is_some(), "{one} {two}");
        }
        let mut alike = Alike::default();
        for path in ["a/b", "a/b", "a/bc", "b/a", "ab", "a b"] {
            assert_eq!(alike.clash(path), None, "{path}");
        }
    }
}
