//! Literals in a Python source that is not run: what a module assigns to a name, if that is text, numbers, lists and
//! dictionaries. Knows no names of its own.

use std::ops::Range;

use serde_json::Value;

/// A literal and its place in the source.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) literal: Literal,
    pub(super) span: Range<usize>,
}

/// A literal; keys of dictionaries are texts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    /// Text, a number, `True`, `False` or `None`.
    Plain(Value),
    List(Vec<Placed>),
    Map(Vec<(Placed, Placed)>),
}

/// What is assigned is no literal.
#[derive(Debug, PartialEq)]
pub(super) struct Unreadable {
    pub(super) span: Range<usize>,
    pub(super) reason: &'static str,
}

impl Placed {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.literal {
            Literal::Plain(value) => value.as_str(),
            _ => None,
        }
    }

    /// The value without places.
    pub(super) fn value(&self) -> Value {
        match &self.literal {
            Literal::Plain(value) => value.clone(),
            Literal::List(items) => items.iter().map(Placed::value).collect(),
            Literal::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| (key.text().unwrap_or_default().to_owned(), value.value()))
                .collect(),
        }
    }
}

/// What a module assigns to a name in a line of its own that is not indented; `None` if it does not.
pub(super) fn assigned(source: &str, name: &str) -> Result<Option<Placed>, Unreadable> {
    let mut reader = Reader { source, at: 0 };
    let mut found = None;
    while reader.at < source.len() {
        if let Some(value) = reader.assignment(name) {
            reader.at = value;
            reader.skip_blanks(false);
            found = Some(reader.literal(0)?);
        }
        reader.skip_logical_line();
    }
    Ok(found)
}

/// How many brackets may be open at once.
const DEEPEST: usize = 20;

struct Reader<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Reader<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Where the value begins, if an assignment to this name begins here.
    fn assignment(&self, name: &str) -> Option<usize> {
        let after = self.rest().strip_prefix(name)?;
        let line = after.split('\n').next().unwrap_or(after);
        let plain = line.trim_start();
        let blanks = line.len() - plain.len();
        let equals = if plain.starts_with(':') {
            plain.find('=')?
        } else if plain.starts_with('=') && !plain.starts_with("==") {
            0
        } else {
            return None;
        };
        Some(self.at + name.len() + blanks + equals + 1)
    }

    /// Goes to the beginning of the next line that does not continue this one.
    fn skip_logical_line(&mut self) {
        let mut open = 0_usize;
        while let Some(next) = self.peek() {
            match next {
                '"' | '\'' => {
                    self.text_body(false);
                    continue;
                }
                '#' => {
                    self.skip_comment();
                    continue;
                }
                '\\' => {
                    self.take();
                }
                '(' | '[' | '{' => open += 1,
                ')' | ']' | '}' => open = open.saturating_sub(1),
                '\n' if open == 0 => {
                    self.take();
                    return;
                }
                _ => {}
            }
            self.take();
        }
    }

    fn skip_comment(&mut self) {
        self.at += self.rest().find('\n').unwrap_or(self.rest().len());
    }

    /// Blanks and continued lines; inside brackets all line ends and comments too.
    fn skip_blanks(&mut self, inside: bool) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\n') if inside => self.at += 1,
                Some('#') if inside => self.skip_comment(),
                Some('\\') if self.rest()[1..].starts_with(['\n', '\r']) => self.at += 2,
                _ => return,
            }
        }
    }

    fn literal(&mut self, depth: usize) -> Result<Placed, Unreadable> {
        let start = self.at;
        let literal = match self.peek() {
            Some('{') => Literal::Map(self.entries('}', depth, Self::pair)?),
            Some('[') => Literal::List(self.entries(']', depth, Self::literal)?),
            Some('(') => {
                let mut items = self.entries(')', depth, Self::literal)?;
                // Without a comma they are parentheses around one value.
                if items.len() == 1
                    && !self.source[start..self.at]
                        .trim_end_matches(')')
                        .trim_end()
                        .ends_with(',')
                {
                    return Ok(items.remove(0));
                }
                Literal::List(items)
            }
            _ => match self.texts(depth > 0)? {
                Some(text) => Literal::Plain(text.into()),
                None => Literal::Plain(self.word()?),
            },
        };
        Ok(Placed {
            literal,
            span: start..self.at,
        })
    }

    fn unreadable<T>(&self, start: usize, reason: &'static str) -> Result<T, Unreadable> {
        let end = self.rest().chars().next().map_or(0, char::len_utf8);
        Err(Unreadable {
            span: start..(self.at + end).max(start),
            reason,
        })
    }

    /// What stands between brackets, separated by commas.
    fn entries<T>(
        &mut self,
        close: char,
        depth: usize,
        one: fn(&mut Self, usize) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, Unreadable> {
        let start = self.at;
        if depth == DEEPEST {
            return self.unreadable(start, "too many brackets are open");
        }
        self.take();
        let mut entries = Vec::new();
        loop {
            self.skip_blanks(true);
            if self.peek() == Some(close) {
                self.take();
                return Ok(entries);
            }
            entries.push(one(self, depth + 1)?);
            self.skip_blanks(true);
            match self.peek() {
                Some(',') => self.at += 1,
                Some(next) if next == close => {}
                _ => return self.unreadable(self.at, "only literals can be read here"),
            }
        }
    }

    fn pair(&mut self, depth: usize) -> Result<(Placed, Placed), Unreadable> {
        let key = self.literal(depth)?;
        if key.text().is_none() {
            return Err(Unreadable {
                span: key.span,
                reason: "a key has to be a text",
            });
        }
        self.skip_blanks(true);
        if self.peek() != Some(':') {
            return self.unreadable(self.at, "a `:` and a value were expected");
        }
        self.take();
        self.skip_blanks(true);
        Ok((key, self.literal(depth)?))
    }

    /// Texts that follow each other are one.
    fn texts(&mut self, inside: bool) -> Result<Option<String>, Unreadable> {
        let mut whole: Option<String> = None;
        loop {
            let start = self.at;
            let letters = self.rest().find(|c: char| !c.is_ascii_alphabetic());
            let prefix = &self.rest()[..letters.unwrap_or(0)];
            if !self.rest()[prefix.len()..].starts_with(['"', '\'']) {
                return Ok(whole);
            }
            let is_raw = match prefix.to_ascii_lowercase().as_str() {
                "" | "u" => false,
                "r" => true,
                _ => return self.unreadable(start, "only plain texts can be read here"),
            };
            self.at += prefix.len();
            let Some(text) = self.text_body(is_raw) else {
                return self.unreadable(start, "this text does not end");
            };
            whole.get_or_insert_default().push_str(&text);
            let end = self.at;
            self.skip_blanks(inside);
            if !self.rest().starts_with(['"', '\'', 'r', 'R', 'u', 'U']) {
                self.at = end;
                return Ok(whole);
            }
        }
    }

    /// One text from its first quote to its last.
    fn text_body(&mut self, is_raw: bool) -> Option<String> {
        let quote = &self.rest()[..1];
        let triple = quote.repeat(3);
        let end = if self.rest().starts_with(&triple) {
            triple.as_str()
        } else {
            quote
        };
        self.at += end.len();
        let mut text = String::new();
        loop {
            if self.rest().starts_with(end) {
                self.at += end.len();
                return Some(text);
            }
            match self.take()? {
                '\n' if end.len() == 1 => return None,
                '\\' if is_raw => {
                    text.push('\\');
                    text.extend(self.take());
                }
                '\\' => self.escape(&mut text)?,
                other => text.push(other),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let mut numbered = |reader: &mut Self, digits: usize| {
            let code = reader.rest().get(..digits)?;
            reader.at += digits;
            let number = u32::from_str_radix(code, 16).ok()?;
            text.push(char::from_u32(number)?);
            Some(())
        };
        match self.take()? {
            'x' => return numbered(self, 2),
            'u' => return numbered(self, 4),
            'U' => return numbered(self, 8),
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            '\n' => {}
            other @ ('\\' | '\'' | '"') => text.push(other),
            other => text.extend(['\\', other]),
        }
        Some(())
    }

    /// A number, `True`, `False` or `None`.
    fn word(&mut self) -> Result<Value, Unreadable> {
        let start = self.at;
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-');
        let rest = self.rest();
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let word = &rest[..end];
        let number = word.replace('_', "");
        let value = match word {
            "True" => Some(true.into()),
            "False" => Some(false.into()),
            "None" => Some(Value::Null),
            _ if !word.contains(|c: char| c.is_ascii_digit()) => None,
            _ => match number.parse::<i64>() {
                Ok(number) => Some(number.into()),
                Err(_) => number
                    .parse::<f64>()
                    .ok()
                    .and_then(serde_json::Number::from_f64)
                    .map(Value::Number),
            },
        };
        match value {
            Some(value) => {
                self.at += end;
                Ok(value)
            }
            None => {
                self.at += end;
                self.unreadable(start, "only literals can be read here")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(source: &str) -> Option<Value> {
        assigned(source, "X").unwrap().map(|found| found.value())
    }

    #[test]
    fn literals_are_read_as_python_reads_them() {
        for (source, expected) in [
            (
                "X = {'a': 'b', \"c\": None}\n",
                json!({"a": "b", "c": null}),
            ),
            (
                "X: dict[str, str] = {\n  # one\n  'a': 'b' 'c',  # two\n}\n",
                json!({"a": "bc"}),
            ),
            ("X = ['a', \"\"\"b\nc\"\"\",]", json!(["a", "b\nc"])),
            ("X = (\n  'a'\n  'b'\n)", json!("ab")),
            ("X = ('a',)", json!(["a"])),
            (
                "X = {'k': {'n': -1, 'f': 1e-3, 't': True, 'big': 1_000}}",
                json!({"k": {"n": -1, "f": 1e-3, "t": true, "big": 1000}}),
            ),
            ("X = r'a\\b' '\\x41\\u00e9\\n'", json!("a\\bAé\n")),
            ("X = 'a'\r\nY = 1\r\n", json!("a")),
            ("X = 1\nX = 2\n", json!(2)),
        ] {
            assert_eq!(value(source), Some(expected), "{source}");
        }
    }

    #[test]
    fn only_lines_of_the_module_assign() {
        for source in [
            "'''\nX = 1\n'''\n",
            "def f():\n    X = 1\n",
            "f(\nX = 1)\n",
            "# X = 1\n",
            "X == 1\nXY = 1\nX.y = 1\nX += 1\n",
            "s = \"it's\"; t = '\"'\n",
        ] {
            assert_eq!(value(source), None, "{source}");
        }
    }

    #[test]
    fn what_is_no_literal_is_named_in_its_place() {
        for (source, at) in [
            ("X = {'a': f'b'}", "f'"),
            ("X = dict(a=1)", "dict("),
            ("X = {**y}", "*"),
            ("X = {'a': y}", "y}"),
            ("X = {1: 'a'}", "1"),
            ("X = 'a", "'a"),
            ("X = ['a' + 'b']", "+"),
            ("X = \u{e9}", "\u{e9}"),
            ("X = {", "{"),
        ] {
            let error = assigned(source, "X").unwrap_err();
            let found = &source[error.span];
            let is_there = found.is_empty() || at.chars().next() == found.chars().next();
            assert!(is_there, "{source}: {found}");
        }
        let deep = format!("X = {}", "[".repeat(1000));
        assert!(assigned(&deep, "X").is_err());
    }
}
