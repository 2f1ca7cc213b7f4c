//! A script with inline metadata (PEP 723) from elsewhere, as an environment of a manifest: `[tool.uv]` and the `CHECKPOINTS`
//! of the Python rootstock become tables, the rest stays the source. What rootstock has no key for is complained about in its
//! place; what decides nothing is named and left out. Nothing of the file is run.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use pep508_rs::PackageName;
use toml::de::DeTable;
use toml_edit::{Array, InlineTable, Table};

use super::addition::Addition;
use crate::files;
use crate::manifest::{Complaint, Complaints, Requirement, Section, Text, script_block};
use crate::name::{self, EnvironmentName};

mod checkpoints;
mod indexes;
mod keys;
mod literal;
mod rewrite;
mod settings;
mod sources;

use checkpoints::Checkpoints;
use settings::Settings;

/// Fetches a page of the network; the error in words.
pub(crate) type FetchPage<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, String>;

/// What is to be taken over.
pub(crate) struct Request<'a> {
    /// The path of the file.
    pub(crate) file: &'a Path,
    /// The name of the environment, if not that of the file.
    pub(crate) name: Option<&'a str>,
    /// The manifest's directory.
    pub(crate) here: &'a Path,
    /// How pages with links are read.
    pub(crate) page: FetchPage<'a>,
}

/// A script cannot be taken over.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// It cannot be read.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// Its name is none for an environment.
    #[error("{invalid}")]
    #[diagnostic(help("{}", about_name(invalid)))]
    Name {
        /// What is wrong with it.
        invalid: name::Invalid,
    },
    /// Something in it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Complaints(#[from] Complaints),
}

fn about_name(invalid: &name::Invalid) -> String {
    let better = invalid.suggestion().unwrap_or_else(|| "NAME".to_owned());
    format!("name the environment: `--name {better}`")
}

/// A script while it is read.
pub(super) struct Script<'a> {
    name: EnvironmentName,
    /// The file as it was named.
    shown: String,
    content: Arc<String>,
    /// What its dependencies name.
    names: BTreeSet<PackageName>,
    directory: PathBuf,
    here: PathBuf,
    page: FetchPage<'a>,
}

impl Script<'_> {
    /// The number of the line that a place is in.
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.content.get(..span.start).unwrap_or_default();
        before.matches('\n').count() + 1
    }

    /// A path as the manifest sees it; `None` if nothing is there.
    fn relocated(&self, path: &str) -> Option<String> {
        let there = files::real_path(&self.directory.join(path)).ok()?;
        Some(relative(&self.here, &there))
    }

    /// The names in a directory.
    fn files(&self, path: &str) -> Result<Vec<String>, String> {
        let there = self.directory.join(path);
        if !files::is_directory(&there) {
            return Err("there is no such directory".to_owned());
        }
        files::names(&there).map_err(|error| error.text())
    }
}

/// A path from one directory to something, as a reference: `./libs/a`, `../a`.
fn relative(from: &Path, to: &Path) -> String {
    let (mut from, mut to) = (from.components().peekable(), to.components().peekable());
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    let up = from.map(|_| Component::ParentDir).collect::<Vec<_>>();
    let begin = if up.is_empty() { "./" } else { "" };
    let path: PathBuf = up.into_iter().chain(to).collect();
    format!("{begin}{}", path.display())
}

/// Reads a script as an environment.
pub(crate) fn read(request: &Request) -> Result<Addition, Error> {
    let Request { file, here, .. } = *request;
    let name = name(request)?;
    let real = files::real_path(file)?;
    let directory = real.parent().unwrap_or(Path::new("/")).to_owned();
    let below = Path::new(real.file_name().unwrap_or_default());
    let content = files::read_text_of_project(&directory, below)?;
    let here = files::real_path(&here.join("."))?;
    let mut text = Text::new(&file.display().to_string(), content);
    let mut script = Script {
        name,
        shown: file.display().to_string(),
        content: text.text(),
        names: BTreeSet::new(),
        directory,
        here,
        page: request.page,
    };
    let addition = taken(&mut text, &mut script, &real);
    if let (Some(addition), true) = (addition, text.complaints.is_empty()) {
        return Ok(addition);
    }
    let what = format!("in the way of taking over `{}`", file.display());
    text.complaints.sort_by_key(Complaint::place);
    Err(Complaints::with_headline(text.complaints, &what).into())
}

fn name(request: &Request) -> Result<EnvironmentName, Error> {
    let stem = request
        .file
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let name = request.name.unwrap_or(&stem);
    name.parse().map_err(|invalid| Error::Name { invalid })
}

/// The script as an environment; `None` if it cannot be read at all.
fn taken(text: &mut Text, script: &mut Script, real: &Path) -> Option<Addition> {
    let content = text.text();
    let Ok(block) = script_block(&content) else {
        text.complain(
            0..content.find('\n').unwrap_or(0),
            "this file has no whole PEP 723 `script` block",
            "expected near the top",
            Some(
                "begin the file with\n  # /// script\n  # dependencies = [\"ase\"]\n  # ///"
                    .to_owned(),
            ),
        );
        return None;
    };
    let (table, errors) = DeTable::parse_recoverable(&block.toml);
    for error in &errors {
        text.complain_syntax(error);
    }
    if !errors.is_empty() {
        return None;
    }
    let section = Section {
        table: table.get_ref(),
        span: block.span.clone(),
        what: "a `script` block",
    };
    let dependencies: Vec<String> = section
        .strings(text, "dependencies")
        .into_iter()
        .map(|placed| placed.value)
        .collect();
    let requirements = dependencies.iter();
    let requirements = requirements.filter_map(|text| name::requirement(text).ok());
    script.names = requirements.map(|one: Requirement| one.name).collect();
    let tool = section.table(text, "tool", "`[tool]`");
    let uv = tool.and_then(|tool| tool.table(text, "uv", "`[tool.uv]`"));
    let settings = uv.map_or_else(Settings::default, |uv| settings::read(text, script, &uv));
    let checkpoints = checkpoints::read(text, script);
    let source = format!("environments/{}.py", script.name);
    let is_there = files::real_path(&script.here.join(&source)).is_ok_and(|there| there == real);
    Some(Addition {
        text: rewrite::rewritten(script, &block.span, &settings.references),
        beside: Vec::new(),
        replaces: is_there.then(|| content.to_string()),
        environment: environment(&source, &dependencies, &settings, &checkpoints),
        indexes: settings.indexes.iter().map(index).collect(),
        remarks: remarks(script, &settings, &checkpoints),
        models: checkpoints.models,
        name: script.name.clone(),
        source,
    })
}

/// `[environments.NAME]`.
fn environment(
    source: &str,
    dependencies: &[String],
    settings: &Settings,
    checkpoints: &Checkpoints,
) -> Table {
    let mut table = Table::new();
    table.insert("source", toml_edit::value(source));
    if !settings.routes.is_empty() {
        let routes = settings.routes.iter();
        let routes: InlineTable = routes
            .map(|(name, index)| (name.to_string(), index.as_str()))
            .collect();
        table.insert("indexes", toml_edit::value(routes));
    }
    for (key, values) in &settings.lists {
        insert_list(&mut table, key, values.iter().cloned());
    }
    if !settings.build_dependencies.is_empty() {
        let builds = settings.build_dependencies.iter();
        let builds: InlineTable = builds
            .map(|(name, requirements)| (name.to_string(), requirements.iter().collect::<Array>()))
            .collect();
        table.insert("build-dependencies", toml_edit::value(builds));
    }
    insert_list(
        &mut table,
        "sdists",
        settings.sdists(dependencies).into_iter(),
    );
    if let Some(moment) = &settings.exclude_newer {
        table.insert("exclude-newer", toml_edit::value(moment));
    }
    if checkpoints.is_restricted {
        table.insert("optional", toml_edit::value(true));
    }
    table
}

/// A list, if there is something in it; a long one has a line for each value.
fn insert_list(table: &mut Table, key: &str, values: impl Iterator<Item = String>) {
    let mut array: Array = values.collect();
    if array.is_empty() {
        return;
    }
    if array.to_string().len() > 100 {
        for value in array.iter_mut() {
            value.decor_mut().set_prefix("\n    ");
        }
        array.set_trailing("\n");
        array.set_trailing_comma(true);
    }
    table.insert(key, toml_edit::value(array));
}

/// `[indexes.NAME]`.
fn index((name, (key, address)): (&String, &(&'static str, String))) -> (String, Table) {
    let mut table = Table::new();
    table.insert(key, toml_edit::value(address));
    if *key == "find-links" {
        // Links come without the times of their files.
        table.insert("exclude-newer", toml_edit::value(false));
    }
    (name.clone(), table)
}

/// What is left out or means something else, by line.
fn remarks(script: &Script, settings: &Settings, checkpoints: &Checkpoints) -> Vec<String> {
    let mut all: Vec<_> = settings
        .remarks
        .iter()
        .chain(&checkpoints.remarks)
        .collect();
    all.sort();
    let file = &script.shown;
    all.into_iter()
        .map(|(line, remark)| format!("{file}:{line}: {remark}"))
        .collect()
}
