//! Reading a TOML table key by key: each getter returns a value of the right type with its place, or complains.
//! Knows TOML, not what the manifest means.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::complaint::{Text, nearest};

/// A value and its place in the text.
#[derive(Debug, Clone)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// A table, its place, and what it is called in messages: `an environment`.
#[derive(Clone)]
pub(crate) struct Section<'t> {
    pub(crate) table: &'t DeTable<'t>,
    pub(crate) span: Range<usize>,
    pub(crate) what: &'static str,
}

impl<'t> Section<'t> {
    /// Complains about every key that is not known.
    pub(crate) fn check_keys(&self, text: &mut Text, known: &[&str]) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let help = nearest(name, known.iter().copied()).map_or_else(
                || format!("{} may have: {}", self.what, known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            text.complain(
                key.span(),
                format!("unknown key `{name}` in {}", self.what),
                "not known here",
                Some(help),
            );
        }
    }

    fn get(&self, key: &str) -> Option<(Range<usize>, &'t Spanned<DeValue<'t>>)> {
        self.table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(name, value)| (name.span(), value))
    }

    /// Whether the key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The place of a key.
    pub(crate) fn key_span(&self, key: &str) -> Range<usize> {
        self.get(key).map_or(self.span.clone(), |(span, _)| span)
    }

    /// A text.
    pub(crate) fn string(&self, text: &mut Text, key: &str) -> Option<Placed<String>> {
        let (_, value) = self.get(key)?;
        string(text, value, key, "text in quotes: `\"…\"`")
    }

    /// Whether a key has a truth value.
    pub(crate) fn is_boolean(&self, key: &str) -> bool {
        let value = self.get(key);
        value.is_some_and(|(_, value)| value.get_ref().as_bool().is_some())
    }

    /// A truth value.
    pub(crate) fn boolean(&self, text: &mut Text, key: &str) -> Option<bool> {
        let (_, value) = self.get(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            wrong_type(text, value, key, "`true` or `false`");
        }
        found
    }

    /// A number that is not negative.
    pub(crate) fn count(&self, text: &mut Text, key: &str) -> Option<u64> {
        let (_, value) = self.get(key)?;
        let integer = value.get_ref().as_integer();
        let found =
            integer.and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok());
        if found.is_none() {
            wrong_type(text, value, key, "a number of bytes");
        }
        found
    }

    /// A number that is finite and greater than zero.
    pub(super) fn positive(&self, text: &mut Text, key: &str) -> Option<f64> {
        let (_, value) = self.get(key)?;
        let number: Option<f64> = match value.get_ref() {
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
            _ => None,
        };
        let found = number.filter(|number| number.is_finite() && *number > 0.0);
        if found.is_none() {
            wrong_type(text, value, key, "a number greater than zero: `1e-3`");
        }
        found
    }

    /// A list of tables: `[{ … }, { … }]`; empty if the key is missing.
    pub(crate) fn table_list(
        &self,
        text: &mut Text,
        key: &str,
        what: &'static str,
    ) -> Vec<Section<'t>> {
        let Some((_, value)) = self.get(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            wrong_type(text, value, key, "a list of tables: `[{ … }]`");
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in array {
            match item.get_ref().as_table() {
                Some(table) => sections.push(Section {
                    table,
                    span: item.span(),
                    what,
                }),
                None => wrong_type(text, item, key, "a list of tables: `[{ … }]`"),
            }
        }
        sections
    }

    /// A list of texts; empty if the key is missing.
    pub(crate) fn strings(&self, text: &mut Text, key: &str) -> Vec<Placed<String>> {
        let Some((_, value)) = self.get(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            wrong_type(text, value, key, "a list of texts: `[\"…\", \"…\"]`");
            return Vec::new();
        };
        array
            .iter()
            .filter_map(|item| string(text, item, key, "a list of texts: `[\"…\", \"…\"]`"))
            .collect()
    }

    /// The tables below a key, each with its name's place: `[environments.mace]`.
    pub(crate) fn tables(
        &self,
        text: &mut Text,
        key: &str,
        what: &'static str,
    ) -> Vec<(Placed<String>, Section<'t>)> {
        let Some(all) = self.table(text, key, what) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in all.table {
            let name = Placed {
                value: name.get_ref().to_string(),
                span: name.span(),
            };
            match value.get_ref().as_table() {
                Some(table) => {
                    let span = name.span.clone();
                    sections.push((name, Section { table, span, what }));
                }
                None => wrong_type(
                    text,
                    value,
                    &name.value,
                    &format!("a table: `[{key}.{}]`", name.value),
                ),
            }
        }
        sections
    }

    /// A table below a key.
    pub(crate) fn table(
        &self,
        text: &mut Text,
        key: &str,
        what: &'static str,
    ) -> Option<Section<'t>> {
        let (span, value) = self.get(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            wrong_type(text, value, key, "a table");
        }
        Some(Section {
            table: table?,
            span,
            what,
        })
    }

    /// A table of texts: `{ torch = "pytorch-cu128" }`, each with the places of key and value.
    pub(crate) fn string_table(
        &self,
        text: &mut Text,
        key: &str,
    ) -> Vec<(Placed<String>, Placed<String>)> {
        let Some(section) = self.table(text, key, "this table") else {
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, value) in section.table {
            let placed = Placed {
                value: name.get_ref().to_string(),
                span: name.span(),
            };
            if let Some(value) = string(text, value, name.get_ref(), "text in quotes: `\"…\"`") {
                pairs.push((placed, value));
            }
        }
        pairs
    }

    /// A table of anything JSON can say; dates it cannot.
    pub(crate) fn json(
        &self,
        text: &mut Text,
        key: &str,
    ) -> serde_json::Map<String, serde_json::Value> {
        let Some(section) = self.table(text, key, "this table") else {
            return serde_json::Map::new();
        };
        let mut map: Vec<(String, serde_json::Value)> = Vec::new();
        for (name, value) in section.table {
            if let Some(value) = json(text, value, name.get_ref()) {
                map.push((name.get_ref().to_string(), value));
            }
        }
        // Sorted, so that the order in the manifest is no difference.
        map.sort_by(|a, b| a.0.cmp(&b.0));
        map.into_iter().collect()
    }
}

fn string(
    text: &mut Text,
    value: &Spanned<DeValue<'_>>,
    key: &str,
    wanted: &str,
) -> Option<Placed<String>> {
    let Some(found) = value.get_ref().as_str() else {
        wrong_type(text, value, key, wanted);
        return None;
    };
    Some(Placed {
        value: found.to_owned(),
        span: value.span(),
    })
}

fn json(text: &mut Text, value: &Spanned<DeValue<'_>>, key: &str) -> Option<serde_json::Value> {
    use serde_json::Value;
    Some(match value.get_ref() {
        DeValue::String(string) => Value::from(string.as_ref()),
        DeValue::Boolean(boolean) => Value::from(*boolean),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::from(number),
            Err(_) => {
                wrong_type(text, value, key, "an integer of 64 bits");
                return None;
            }
        },
        DeValue::Float(float) => match float
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
        {
            Some(number) => Value::Number(number),
            None => {
                wrong_type(text, value, key, "a finite number");
                return None;
            }
        },
        DeValue::Datetime(_) => {
            wrong_type(
                text,
                value,
                key,
                "text, a number, a truth value, a list or a table",
            );
            return None;
        }
        DeValue::Array(items) => items
            .iter()
            .map(|item| json(text, item, key))
            .collect::<Option<Vec<_>>>()?
            .into(),
        DeValue::Table(table) => {
            let mut pairs = Vec::new();
            for (name, value) in table {
                pairs.push((
                    name.get_ref().to_string(),
                    json(text, value, name.get_ref())?,
                ));
            }
            pairs.sort_by(|a: &(String, Value), b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().collect())
        }
    })
}

fn wrong_type(text: &mut Text, value: &Spanned<DeValue<'_>>, key: &str, wanted: &str) {
    let found = match value.get_ref().type_str() {
        "integer" => "an integer".to_owned(),
        "array" => "an array".to_owned(),
        other => format!("a {other}"),
    };
    text.complain(
        value.span(),
        format!("`{key}` has the wrong type"),
        format!("this is {found}"),
        Some(format!("write {wanted}")),
    );
}
