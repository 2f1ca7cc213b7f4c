//! TOML values as rootstock writes them: each value has one spelling. Knows nothing of locks.

use std::fmt::{self, Display, Formatter, Write as _};

/// A basic string.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.write(out)
    }
}

impl Quoted<'_> {
    /// Writes it. Lists have thousands of them, and through `write!` each would take three times as long.
    pub(super) fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        out.write_char('"')?;
        // Nearly every string of a lock is plain.
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if self
            .0
            .bytes()
            .fold(true, |so_far, byte| so_far & plain(byte))
        {
            out.write_str(self.0)?;
        } else {
            for character in self.0.chars() {
                match character {
                    '"' => out.write_str("\\\"")?,
                    '\\' => out.write_str("\\\\")?,
                    '\n' => out.write_str("\\n")?,
                    '\t' => out.write_str("\\t")?,
                    c if c.is_control() => write!(out, "\\u{:04X}", u32::from(c))?,
                    c => out.write_char(c)?,
                }
            }
        }
        out.write_char('"')
    }
}

/// A key: bare where it can be.
pub(super) struct Key<'a>(pub(super) &'a str);

impl Display for Key<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !self.0.is_empty() && self.0.bytes().all(bare) {
            out.write_str(self.0)
        } else {
            Quoted(self.0).fmt(out)
        }
    }
}

/// An array of strings, one item a line, so that a diff shows the item.
pub(super) fn write_list<'a>(
    out: &mut impl fmt::Write,
    items: impl ExactSizeIterator<Item = &'a str>,
) -> fmt::Result {
    let many = items.len() > 1;
    out.write_char('[')?;
    for item in items {
        out.write_str(if many { "\n    " } else { "" })?;
        Quoted(item).write(out)?;
        out.write_str(if many { "," } else { "" })?;
    }
    out.write_str(if many { "\n]" } else { "]" })
}

/// A JSON value as an inline value. JSON's null cannot come from TOML, so it has no text here.
pub(super) struct Inline<'a>(pub(super) &'a serde_json::Value);

impl Display for Inline<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        use serde_json::Value;
        match self.0 {
            Value::Null => Quoted("").fmt(out),
            Value::Bool(boolean) => boolean.fmt(out),
            // Rust prints a float that is whole as `1.0`, in both formats.
            Value::Number(number) => number.fmt(out),
            Value::String(text) => Quoted(text).fmt(out),
            Value::Array(items) => {
                out.write_char('[')?;
                separated(out, items.iter().map(Inline))?;
                out.write_char(']')
            }
            Value::Object(map) => {
                Table(map.iter().map(|(key, value)| (key.as_str(), Inline(value)))).fmt(out)
            }
        }
    }
}

/// An inline table.
pub(super) struct Table<I>(pub(super) I);

impl<'a, I, V> Display for Table<I>
where
    I: Iterator<Item = (&'a str, V)> + Clone,
    V: Display,
{
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut pairs = self.0.clone().peekable();
        if pairs.peek().is_none() {
            return out.write_str("{}");
        }
        out.write_str("{ ")?;
        let mut first = true;
        for (key, value) in pairs {
            let comma = if first { "" } else { ", " };
            write!(out, "{comma}{} = {value}", Key(key))?;
            first = false;
        }
        out.write_str(" }")
    }
}

/// Values with a comma between them.
pub(super) fn separated(
    out: &mut impl fmt::Write,
    items: impl Iterator<Item = impl Display>,
) -> fmt::Result {
    for (at, item) in items.enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(out, "{comma}{item}")?;
    }
    Ok(())
}
