//! Where something stands in the text of a manifest, for those who point to it afterwards. Checks nothing.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The place of the key that this path of keys leads to, in bytes; `None` if it leads nowhere.
pub fn place(text: &str, path: &[&str]) -> Option<Range<usize>> {
    let whole = DeTable::parse(text).ok()?;
    let mut table = whole.get_ref();
    let (last, parents) = path.split_last()?;
    for parent in parents {
        let (_, value) = table.iter().find(|(key, _)| key.get_ref() == parent)?;
        let DeValue::Table(inner) = value.get_ref() else {
            return None;
        };
        table = inner;
    }
    let (key, _) = table.iter().find(|(key, _)| key.get_ref() == last)?;
    Some(key.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_however_their_table_is_written() {
        for text in [
            "[environments.emt]\nsource = 1\n",
            "environments = { emt = { source = 1 } }",
            "[environments]\n\"emt\".source = 1\n",
        ] {
            let at = place(text, &["environments", "emt", "source"]).unwrap();
            assert_eq!(&text[at], "source");
            let at = place(text, &["environments", "emt"]).unwrap();
            assert_eq!(text[at].trim_matches('"'), "emt");
            assert_eq!(place(text, &["environments", "other"]), None);
            assert_eq!(place(text, &["environments", "emt", "source", "x"]), None);
        }
        assert_eq!(place("no toml", &["a"]), None);
    }
}
