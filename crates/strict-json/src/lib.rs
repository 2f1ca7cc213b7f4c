//! JSON from outside, read strictly: a key that an object repeats, at any depth, is an error with its place, where `serde_json`
//! keeps the last of the values; and the number of values can be limited before any of them takes memory.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Result;

/// Reads a value in which no object repeats a key.
pub fn from_slice<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T> {
    check(text, usize::MAX)?;
    serde_json::from_slice(text)
}

/// The same, of a text.
pub fn from_str<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    from_slice(text.as_bytes())
}

/// Makes sure that a text is one JSON value with at most this many values in it, and that no object repeats a key.
pub fn check(text: &[u8], most: usize) -> Result<()> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    (&Budget::new(most)).deserialize(&mut reader)?;
    reader.end()
}

/// How many more values may follow. A reference to it is a seed that reads any value, stores nothing, and fails at a repeated
/// key or one value too many.
#[derive(Debug)]
pub struct Budget {
    most: usize,
    left: Cell<usize>,
}

/// What an entry of an object counts: its key is allocated, and there is an index of keys.
const ENTRY: usize = 4;

/// How much of a repeated key the error shows.
const SHOWN: usize = 100;

impl Budget {
    /// So many values; an entry of an object counts as four.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            left: Cell::new(most),
        }
    }

    fn spend<E: serde::de::Error>(&self, count: usize) -> std::result::Result<(), E> {
        let left = self.left.get().checked_sub(count);
        let left = left.ok_or_else(|| E::custom(format_args!("more than {} values", self.most)))?;
        self.left.set(left);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &Budget {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> std::result::Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Budget {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> std::result::Result<(), E> {
        self.spend(1)
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> std::result::Result<(), E> {
        self.spend(1)
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> std::result::Result<(), E> {
        self.spend(1)
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> std::result::Result<(), E> {
        self.spend(1)
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> std::result::Result<(), E> {
        self.spend(1)
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> std::result::Result<(), E> {
        self.spend(1)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        self.spend(1)?;
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<(), A::Error> {
        self.spend(1)?;
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key()? {
            self.spend::<A::Error>(ENTRY - 1)?;
            keys.add(key)?;
            entries.next_value_seed(self)?;
        }
        Ok(())
    }
}

/// The keys of one object so far.
#[derive(Debug, Default)]
pub struct Keys(HashSet<String>);

impl Keys {
    /// Adds one; an error if it is there already.
    pub fn add<E: serde::de::Error>(&mut self, key: String) -> std::result::Result<(), E> {
        if self.0.contains(&key) {
            let shown: String = key.chars().take(SHOWN).collect();
            return Err(E::custom(format_args!("the key `{shown}` occurs twice")));
        }
        self.0.insert(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        from_str::<serde_json::Value>(text).unwrap_err().to_string()
    }

    #[test]
    fn a_repeated_key_is_named_wherever_it_is() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"b": {"a": 1, "c": [], "a": null}}"#,
            r#"[[{"x": [{"a": "", "\u0061": 2}]}]]"#,
        ] {
            let error = error(text);
            assert!(
                error.starts_with("the key `a` occurs twice at line 1 column "),
                "{error}"
            );
        }
        assert!(error(&format!(r#"{{"{0}": 1, "{0}": 2}}"#, "é".repeat(1000))).len() < 300);
        let value: serde_json::Value =
            from_str(r#"[{"a": 1}, {"a": [true, 1.5, "", null, -1]}]"#).unwrap();
        assert_eq!(value[1]["a"][1], 1.5);
        for broken in ["", "{", "[1,]", "1 2", "{} {}", &"[".repeat(100_000)] {
            assert!(check(broken.as_bytes(), 10).is_err(), "{broken}");
        }
    }

    #[test]
    fn values_are_counted_before_they_are_stored() {
        for (text, count) in [
            ("1", 1),
            ("[]", 1),
            ("[1, [2]]", 4),
            (r#"{"a": 1}"#, 5),
            (r#"{"a": {}}"#, 5),
        ] {
            check(text.as_bytes(), count).unwrap();
            let error = check(text.as_bytes(), count - 1).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("more than {} values at line", count - 1)),
                "{error}"
            );
        }
    }
}
