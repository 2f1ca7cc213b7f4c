//! A manifest as a document that is edited: tables are added, completed and removed; comments, order and format of everything
//! else stay as they are. Reads and writes no file.

use serde_json::Value as Plain;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

/// A manifest in the hands of an editor.
pub(super) struct Document {
    toml: DocumentMut,
    /// Whether its lines end as on Windows.
    windows: bool,
    /// Whether its first line is empty.
    begins_empty: bool,
}

/// A key that says one thing already and should say another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// `[environments.mace] source`.
    pub(super) key: String,
    /// What it says.
    pub(super) is: String,
    /// What it should say.
    pub(super) wanted: String,
}

impl Document {
    /// The document of a text that is TOML.
    pub(super) fn parse(text: &str) -> Result<Self, toml_edit::TomlError> {
        let windows = text.contains("\r\n") && !text.replace("\r\n", "").contains('\n');
        let text = if windows {
            text.replace("\r\n", "\n")
        } else {
            text.to_owned()
        };
        Ok(Self {
            toml: text.parse()?,
            windows,
            begins_empty: text.starts_with('\n'),
        })
    }

    /// Its text.
    pub(super) fn text(&self) -> String {
        let mut text = self.toml.to_string();
        if !self.begins_empty {
            text.drain(..text.len() - text.trim_start_matches('\n').len());
        }
        if self.windows {
            text.replace('\n', "\r\n")
        } else {
            text
        }
    }

    /// The table `[kind.name]`, however it is written.
    pub(super) fn get(&self, kind: &str, name: &str) -> Option<&dyn TableLike> {
        let parent = self.toml.get(kind)?.as_table_like()?;
        parent.get(name)?.as_table_like()
    }

    /// The names below a table: those of all environments.
    pub(super) fn names(&self, kind: &str) -> Vec<String> {
        let parent = self.toml.get(kind).and_then(Item::as_table_like);
        let names = parent.into_iter().flat_map(TableLike::iter);
        names.map(|(name, _)| name.to_owned()).collect()
    }

    /// Makes the table `[kind.name]` say everything that another one says, beside what it says now. Returns whether that
    /// changed something.
    pub(super) fn merge(
        &mut self,
        kind: &str,
        name: &str,
        wanted: &Table,
    ) -> Result<bool, Vec<Conflict>> {
        let parent = self.toml.as_table_mut().entry(kind).or_insert_with(|| {
            let mut parent = Table::new();
            parent.set_implicit(true);
            Item::Table(parent)
        });
        let Some(parent) = parent.as_table_like_mut() else {
            return Ok(false);
        };
        if let Some(there) = parent.get_mut(name).and_then(Item::as_table_like_mut) {
            let mut conflicts = Vec::new();
            let changed = complete(there, wanted, &format!("[{kind}.{name}]"), &mut conflicts);
            return if conflicts.is_empty() {
                Ok(changed)
            } else {
                Err(conflicts)
            };
        }
        let mut table = wanted.clone();
        forget_positions(&mut table);
        let comments = table.decor().prefix().and_then(|prefix| prefix.as_str());
        let comments = comments.unwrap_or_default().trim_start().to_owned();
        table.decor_mut().set_prefix(format!("\n{comments}"));
        parent.insert(name, Item::Table(table));
        Ok(true)
    }

    /// Removes the table `[kind.name]` with the comments right above it; whether it was there.
    pub(super) fn remove(&mut self, kind: &str, name: &str) -> bool {
        let top = self.toml.as_table_mut();
        let Some(parent) = top.get_mut(kind).and_then(Item::as_table_like_mut) else {
            return false;
        };
        let Some(removed) = parent.remove(name) else {
            return false;
        };
        let is_empty = parent.is_empty();
        let is_implicit = top.get(kind).and_then(Item::as_table);
        if is_empty && is_implicit.is_some_and(Table::is_implicit) {
            top.remove(kind);
        }
        if let Some(table) = removed.as_table() {
            self.keep_comments(table);
        }
        true
    }

    /// What stands above a table and is apart from it by an empty line belongs to the section: it goes before what follows.
    fn keep_comments(&mut self, removed: &Table) {
        let prefix = removed.decor().prefix().and_then(|prefix| prefix.as_str());
        let Some((apart, _)) = prefix.and_then(|prefix| prefix.rsplit_once("\n\n")) else {
            return;
        };
        if apart.trim().is_empty() {
            return;
        }
        let kept = format!("{apart}\n");
        let after = removed.position().unwrap_or(isize::MAX);
        let mut next = None;
        next_position(self.toml.as_table(), after, &mut next);
        let following = next.and_then(|next| at_position(self.toml.as_table_mut(), next));
        match following {
            Some(table) => {
                let prefix = table.decor().prefix().and_then(|prefix| prefix.as_str());
                let prefix = format!("{kept}{}", prefix.unwrap_or_default());
                table.decor_mut().set_prefix(prefix);
            }
            None => {
                let trailing = self.toml.trailing().as_str().unwrap_or_default();
                let trailing = format!("{kept}{trailing}");
                self.toml.set_trailing(trailing);
            }
        }
    }
}

/// The tables right below a table.
fn below(table: &Table) -> impl Iterator<Item = &Table> {
    table.iter().flat_map(|(_, item)| {
        let one = item.as_table().into_iter();
        let several = item.as_array_of_tables().into_iter();
        one.chain(several.flat_map(ArrayOfTables::iter))
    })
}

/// The place of the first table behind a place.
fn next_position(table: &Table, after: isize, next: &mut Option<isize>) {
    for table in below(table) {
        let position = table.position().filter(|_| !table.is_implicit());
        if let Some(position) = position
            && position > after
            && next.is_none_or(|next| position < next)
        {
            *next = Some(position);
        }
        next_position(table, after, next);
    }
}

/// The table at a place.
fn at_position(table: &mut Table, position: isize) -> Option<&mut Table> {
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(table) => {
                if table.position() == Some(position) && !table.is_implicit() {
                    return Some(table);
                }
                if let Some(found) = at_position(table, position) {
                    return Some(found);
                }
            }
            Item::ArrayOfTables(tables) => {
                for table in tables.iter_mut() {
                    if table.position() == Some(position) {
                        return Some(table);
                    }
                    if let Some(found) = at_position(table, position) {
                        return Some(found);
                    }
                }
            }
            Item::None | Item::Value(_) => {}
        }
    }
    None
}

/// A table of another document goes where it is put, not where it was.
fn forget_positions(table: &mut Table) {
    table.set_position(None);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(table) => forget_positions(table),
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(forget_positions),
            Item::None | Item::Value(_) => {}
        }
    }
}

/// Adds to a table what it lacks of another one; whether it lacked something.
fn complete(
    there: &mut dyn TableLike,
    wanted: &dyn TableLike,
    path: &str,
    conflicts: &mut Vec<Conflict>,
) -> bool {
    let mut changed = false;
    for (key, wanted) in wanted.iter() {
        let path = format!("{path} {key}");
        let Some(item) = there.get_mut(key) else {
            there.insert(key, wanted.clone());
            changed = true;
            continue;
        };
        let (is, should) = (plain(item), plain(wanted));
        if is == should {
            continue;
        }
        let conflict = || Conflict {
            key: path.clone(),
            is: is.to_string(),
            wanted: should.to_string(),
        };
        match (&is, &should) {
            (Plain::Object(_), Plain::Object(_)) => {
                let tables = (item.as_table_like_mut(), wanted.as_table_like());
                if let (Some(there), Some(wanted)) = tables {
                    changed |= complete(there, wanted, &path, conflicts);
                }
            }
            (Plain::Array(has), Plain::Array(wants)) => match item.as_array_mut() {
                Some(array) => {
                    for value in wants.iter().filter(|value| !has.contains(value)) {
                        let Some(text) = value.as_str() else {
                            conflicts.push(conflict());
                            break;
                        };
                        array.push(text);
                        changed = true;
                    }
                }
                None => conflicts.push(conflict()),
            },
            _ => conflicts.push(conflict()),
        }
    }
    changed
}

/// What an item says, without how it is written.
pub(super) fn plain(item: &Item) -> Plain {
    match item {
        Item::None => Plain::Null,
        Item::Value(value) => plain_value(value),
        Item::Table(table) => plain_table(table),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| plain_table(table)).collect(),
    }
}

fn plain_table(table: &dyn TableLike) -> Plain {
    let pairs = table.iter();
    pairs
        .map(|(key, item)| (key.to_owned(), plain(item)))
        .collect()
}

fn plain_value(value: &Value) -> Plain {
    match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Float(number) => (*number.value()).into(),
        Value::Boolean(truth) => (*truth.value()).into(),
        Value::Datetime(moment) => moment.value().to_string().into(),
        Value::Array(values) => values.iter().map(plain_value).collect(),
        Value::InlineTable(table) => plain_table(table),
    }
}
