//! A JSON object as its fields, in their order and unread: requests and answers may be large, and are passed on as they are.

use std::fmt::{self, Write as _};

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of an object. A key that occurs twice is an error.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The JSON text of a field.
    pub(super) fn get(&self, key: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| *value)
    }

    /// The same with another value of a field.
    pub(super) fn with<'b>(&self, key: &str, value: &'b RawValue) -> Fields<'b>
    where
        'a: 'b,
    {
        let fields = self.0.iter().map(|(known, old)| {
            let value = if known == key { value } else { *old };
            (known.clone(), value)
        });
        Fields(fields.collect())
    }

    /// Whether there is such a field.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Fields<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<String>()? {
            if fields.has(&key) {
                return Err(A::Error::custom(format!("the key `{key}` occurs twice")));
            }
            fields.0.push((key, map.next_value()?));
        }
        Ok(fields)
    }
}

/// An object that is written field by field, as one line of ASCII.
#[derive(Debug)]
pub(super) struct Line(String);

impl Line {
    /// An object without fields.
    pub(super) fn new() -> Self {
        Self(String::from("{"))
    }

    /// Adds a field.
    pub(super) fn field(&mut self, key: &str, value: &impl Serialize) {
        self.key(key);
        let text = serde_json::to_string(value).expect("names and texts can be written");
        self.push(&text);
    }

    /// Adds a field whose value is JSON already.
    pub(super) fn raw(&mut self, key: &str, value: &RawValue) {
        self.key(key);
        self.push(value.get());
    }

    /// The whole object.
    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.push(&serde_json::to_string(key).expect("a text can be written"));
        self.0.push(':');
    }

    /// Outside of strings JSON has only ASCII, and line breaks only between values.
    fn push(&mut self, text: &str) {
        if text.is_ascii()
            && !text
                .bytes()
                .any(|byte| matches!(byte, b'\n' | b'\r' | 0x7f))
        {
            self.0.push_str(text);
            return;
        }
        for c in text.chars() {
            match c {
                '\n' | '\r' => self.0.push(' '),
                c if c.is_ascii() && c != '\x7f' => self.0.push(c),
                c => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(self.0, "\\u{unit:04x}");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_of_ascii_and_means_the_same() {
        let value = "{\n \"a\u{e4}\": [1,\r\n 2], \"b\": \"\u{1f9ea}\u{7f}\"}";
        let mut line = Line::new();
        line.field("id", &7);
        line.raw("result", serde_json::from_str(value).unwrap());
        let text = line.end();
        assert!(text.is_ascii() && !text.contains('\n'), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected: serde_json::Value = serde_json::from_str(value).unwrap();
        assert_eq!(read["result"], expected);
    }

    #[test]
    fn a_key_that_occurs_twice_is_refused() {
        let error = serde_json::from_str::<Fields>("{\"a\": 1, \"a\": 2}").unwrap_err();
        assert!(
            error.to_string().contains("the key `a` occurs twice"),
            "{error}"
        );
    }
}
