//! The catalogue that the program carries: the environments of its own repository, with their models, indexes and sources.

use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::addition::Addition;
use super::document;

/// The manifest of the repository.
const MANIFEST: &str = include_str!("../../rootstock.toml");

/// The sources of its environments, and of packages beside them, by path.
const SOURCES: &[Source] = include!(concat!(env!("OUT_DIR"), "/carried.rs"));

/// A path and a text.
pub(super) type Source = (&'static str, &'static str);

/// An environment of the catalogue in a list.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: String,
    /// What it is: the first line of its source.
    pub(crate) about: String,
    /// The ids of its models.
    pub(crate) models: Vec<String>,
}

/// Everything in the catalogue, by name.
pub(crate) fn list() -> Vec<Entry> {
    let document = document();
    let environments = table(&document, "environments");
    let mut entries: Vec<Entry> = environments
        .map(|(name, environment)| Entry {
            name: name.to_owned(),
            about: about(source(environment).1),
            models: ids(&document, name, environment),
        })
        .collect();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    entries
}

/// The environment of this name, or that of the model of this name.
pub(crate) fn find(name: &str) -> Option<Addition> {
    let document = document();
    let (name, environment) = table(&document, "environments").find(|(known, environment)| {
        *known == name
            || ids(&document, known, environment)
                .iter()
                .any(|id| id == name)
    })?;
    let (path, text) = source(environment);
    let mut wanted = environment.clone();
    // Who adds an environment wants it built.
    wanted.remove("optional");
    Some(Addition {
        name: name
            .parse()
            .expect("it is the name of an environment in a manifest"),
        source: path.to_owned(),
        text: text.to_owned(),
        replaces: None,
        beside: packages(&directories(environment)),
        models: models(&document, name)
            .map(|(id, model)| (id.to_owned(), without_numbers(model)))
            .collect(),
        indexes: indexes(&document, environment),
        environment: wanted,
        remarks: Vec::new(),
    })
}

/// The directories of packages that an environment requires by path.
pub(super) fn directories(environment: &dyn TableLike) -> Vec<String> {
    let dependencies = environment.get("dependencies").and_then(Item::as_array);
    let texts = dependencies
        .into_iter()
        .flatten()
        .filter_map(|text| text.as_str());
    let paths = texts.filter_map(|text| text.split_once("@ ./"));
    paths
        .map(|(_, path)| {
            path.split([' ', ';', '#'])
                .next()
                .unwrap_or(path)
                .to_owned()
        })
        .collect()
}

/// The carried sources of packages in these directories.
pub(super) fn packages(directories: &[String]) -> Vec<Source> {
    let within = |path: &str| {
        let mut directories = directories.iter();
        directories.any(|directory| {
            let below = path.strip_prefix(directory.as_str());
            below.is_some_and(|below| below.starts_with('/'))
        })
    };
    SOURCES
        .iter()
        .copied()
        .filter(|(path, _)| within(path))
        .collect()
}

fn document() -> DocumentMut {
    MANIFEST.parse().expect("the repository's manifest is TOML")
}

fn table<'a>(document: &'a DocumentMut, kind: &str) -> impl Iterator<Item = (&'a str, &'a Table)> {
    let parent = document.get(kind).and_then(Item::as_table);
    let tables = parent.into_iter().flat_map(Table::iter);
    tables.filter_map(|(name, item)| Some((name, item.as_table()?)))
}

/// The path of an environment's source and its text.
fn source(environment: &Table) -> (&'static str, &'static str) {
    let path = environment.get("source").and_then(Item::as_str);
    let path = path.expect("each environment of the repository has a source");
    *SOURCES
        .iter()
        .find(|(known, _)| *known == path)
        .expect("the sources of the repository's environments lie in `environments`")
}

/// The long forms of an environment's models.
fn models<'a>(
    document: &'a DocumentMut,
    environment: &str,
) -> impl Iterator<Item = (&'a str, &'a Table)> {
    table(document, "models").filter(move |(_, model)| {
        model.get("environment").and_then(Item::as_str) == Some(environment)
    })
}

/// Numbers are recorded for a generation of one's own: `rootstock probe --record`.
fn without_numbers(model: &Table) -> Table {
    let mut model = model.clone();
    model.remove("reference");
    model
}

fn ids(document: &DocumentMut, name: &str, environment: &Table) -> Vec<String> {
    let words = environment.get("models").and_then(Item::as_array);
    let words = words.into_iter().flatten().filter_map(|word| word.as_str());
    let short = words.map(|word| format!("{name}-{word}"));
    let long = models(document, name).map(|(id, _)| id.to_owned());
    short.chain(long).collect()
}

/// The indexes that an environment routes packages to.
fn indexes(document: &DocumentMut, environment: &Table) -> Vec<(String, Table)> {
    let routes = environment.get("indexes").and_then(Item::as_table_like);
    let routes = routes.into_iter().flat_map(TableLike::iter);
    let names: Vec<_> = routes.map(|(_, index)| document::plain(index)).collect();
    table(document, "indexes")
        .filter(|(name, _)| names.iter().any(|used| used == name))
        .map(|(name, index)| (name.to_owned(), index.clone()))
        .collect()
}

/// The first line of a source's docstring.
fn about(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    first.trim_matches('"').trim().to_owned()
}
