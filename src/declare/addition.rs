//! An environment that is to be declared: its table, its models, the indexes that it routes packages to, its source. Where it
//! comes from is not known here.

use toml_edit::{Item, Table, TableLike};

use super::carried;
use super::document::{Conflict, Document};
use crate::name::{self, EnvironmentName};

/// An environment that is to be declared.
#[derive(Debug, Clone)]
pub(crate) struct Addition {
    /// The name of its table.
    pub(crate) name: EnvironmentName,
    /// Where its source goes, relative to the manifest.
    pub(crate) source: String,
    /// The text of its source.
    pub(crate) text: String,
    /// What the file at that place may be replaced by the text: it is where the text comes from.
    pub(crate) replaces: Option<String>,
    /// Files of packages beside it, relative to the manifest.
    pub(super) beside: Vec<carried::Source>,
    /// `[environments.NAME]`.
    pub(crate) environment: Table,
    /// `[models.ID]`, by id.
    pub(crate) models: Vec<(String, Table)>,
    /// `[indexes.NAME]`, by name.
    pub(crate) indexes: Vec<(String, Table)>,
    /// What was left out, or means something else here.
    pub(crate) remarks: Vec<String>,
}

impl Addition {
    /// Gives it another name than the catalogue does.
    pub(crate) fn rename(&mut self, name: &str) -> Result<(), name::Invalid> {
        self.name = name.parse()?;
        self.source = format!("environments/{name}.py");
        self.environment
            .insert("source", toml_edit::value(&self.source));
        for (_, model) in &mut self.models {
            model.insert("environment", toml_edit::value(name));
        }
        Ok(())
    }

    /// Puts its tables into a manifest; whether that changed something.
    pub(super) fn apply(&self, document: &mut Document) -> Result<bool, Vec<Conflict>> {
        let mut environment = self.environment.clone();
        let (mut changed, mut conflicts) = (false, Vec::new());
        for (name, table) in &self.indexes {
            let environment = &mut environment;
            if let Some(same) = same_index(document, name, table) {
                rename_routes(environment, name, &same);
                continue;
            }
            let free = free_name(document, name, self.name.as_str());
            rename_routes(environment, name, &free);
            note(
                document.merge("indexes", &free, table),
                &mut changed,
                &mut conflicts,
            );
        }
        let merged = document.merge("environments", self.name.as_str(), &environment);
        note(merged, &mut changed, &mut conflicts);
        for (id, table) in &self.models {
            note(
                document.merge("models", id, table),
                &mut changed,
                &mut conflicts,
            );
        }
        if conflicts.is_empty() {
            Ok(changed)
        } else {
            Err(conflicts)
        }
    }
}

fn note(merged: Result<bool, Vec<Conflict>>, changed: &mut bool, conflicts: &mut Vec<Conflict>) {
    match merged {
        Ok(one) => *changed |= one,
        Err(more) => conflicts.extend(more),
    }
}

/// The key and the address of an index.
fn address(index: &dyn TableLike) -> Option<(&'static str, &str)> {
    ["url", "find-links"].into_iter().find_map(|key| {
        let address = index.get(key)?.as_str()?;
        Some((key, address.trim_end_matches('/')))
    })
}

/// The name of an index with this address that the manifest has already, its own one first.
fn same_index(document: &Document, name: &str, index: &Table) -> Option<String> {
    let mut names = document.names("indexes");
    names.sort_by_key(|there| there != name);
    let is_same = |there: &String| {
        let there = document.get("indexes", there);
        there.is_some_and(|there| address(there) == address(index))
    };
    names.into_iter().find(is_same)
}

/// A name for an index that the manifest does not have yet.
fn free_name(document: &Document, name: &str, environment: &str) -> String {
    if document.get("indexes", name).is_none() {
        return name.to_owned();
    }
    let numbered = (2..).map(|number| format!("{name}-{environment}-{number}"));
    let mut names = std::iter::once(format!("{name}-{environment}")).chain(numbered);
    names
        .find(|name| document.get("indexes", name).is_none())
        .expect("there are more numbers than indexes")
}

/// Routes packages to an index by the name that it has in the manifest.
fn rename_routes(environment: &mut Table, from: &str, to: &str) {
    let routes = environment.get_mut("indexes");
    let Some(routes) = routes.and_then(Item::as_table_like_mut) else {
        return;
    };
    for (_, index) in routes.iter_mut() {
        if index.as_str() == Some(from) {
            *index = toml_edit::value(to);
        }
    }
}
