//! One `[environments.NAME]` table and the source file it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::PackageName;
use toml::de::DeTable;

use super::complaint::{Complaint, Text, nearest, nearest_path};
use super::reader::{Placed, Section};
use super::{
    Environment, Index, Local, PythonSource, Requirement, about, also_python, bytecode, functions,
    general, local, python_allows, script, value,
};
use crate::about::About;
use crate::digest::Digest;
use crate::files;
use crate::name::IndexName;

const KEYS: [&str; 21] = [
    "source",
    "python",
    "also-python",
    "python-source",
    "dependencies",
    "constraints",
    "build-constraints",
    "build-dependencies",
    "overrides",
    "exclude",
    "exclude-newer",
    "sdists",
    "variables",
    "own-home",
    "keep",
    "models",
    "optional",
    "prefetch",
    "bytecode",
    "functions",
    "indexes",
];

pub(super) type Environments = Vec<(Placed<String>, Option<Environment>)>;

/// What an environment's table is read against.
pub(super) struct Context<'a> {
    /// The manifest's directory.
    pub(super) here: &'a Path,
    /// Where the interpreter of an environment without `python-source` comes from.
    pub(super) python_source: PythonSource,
    /// The cut-off of an environment without `exclude-newer`.
    pub(super) exclude_newer: Option<&'a str>,
    /// The declared indexes.
    pub(super) indexes: &'a BTreeMap<IndexName, Index>,
}

/// The metadata of a source file.
pub(super) struct Metadata {
    requires_python: Option<VersionSpecifiers>,
    dependencies: Vec<Requirement>,
    local: BTreeMap<String, Local>,
}

/// The environment of a table, and the same for each other Python of `also-python`.
pub(super) fn check(
    text: &mut Text,
    context: &Context,
    name: &Placed<String>,
    section: &Section,
    source_complaints: &mut Vec<Complaint>,
) -> Vec<Environment> {
    let others = also_python::read(text, section);
    let environment = declared(text, context, name, section, source_complaints);
    environment.map_or_else(Vec::new, |environment| {
        also_python::each(text, environment, others)
    })
}

fn declared(
    text: &mut Text,
    context: &Context,
    name: &Placed<String>,
    section: &Section,
    source_complaints: &mut Vec<Complaint>,
) -> Option<Environment> {
    section.check_keys(text, &[&KEYS[..], &about::KEYS].concat());
    let Context {
        here,
        python_source,
        exclude_newer,
        indexes: declared,
    } = *context;
    let valid_name = also_python::valid_name(text, name);
    let python_source = match section.string(text, "python-source") {
        Some(source) => general::python_source(text, &source),
        None => python_source,
    };
    let python = section
        .string(text, "python")
        .and_then(|p| value::python(text, &p));
    let asked = section.strings(text, "dependencies");
    let (mut dependencies, mut local) = local::dependencies(text, here, &asked);
    let constraints = bounds(text, section, "constraints");
    let build_constraints = bounds(text, section, "build-constraints");
    let build_dependencies = build_dependencies(text, section);
    let overrides = bounds(text, section, "overrides");
    let [exclude, sdists] = ["exclude", "sdists"].map(|key| packages(text, section, key));
    let exclude_newer = cut_off(text, section, exclude_newer);
    let indexes = routes(text, section, declared);
    let variables = variables(text, section, name);
    let keep = section.strings(text, "keep");
    let keep = keep.iter().filter_map(|kept| value::kept(text, kept));
    let keep = keep.collect();
    let optional = section.boolean(text, "optional").unwrap_or(false);
    let prefetch = section.boolean(text, "prefetch").unwrap_or(true);
    let functions = functions::references(text, section);
    let (source, bytes) = read_source(text, here, name, section)?;
    let functions = functions::defined(text, functions, &source, &bytes);
    let metadata = read_metadata(here, &source, &bytes, source_complaints)?;
    check_python(text, section, &source, python.as_ref(), &metadata);
    dependencies.extend(metadata.dependencies);
    local.extend(metadata.local);
    Some(Environment {
        name: valid_name?,
        source,
        sha256: Digest::of(&bytes),
        python,
        python_source,
        requires_python: metadata.requires_python,
        dependencies,
        local,
        constraints,
        build_constraints,
        build_dependencies,
        overrides,
        exclude,
        exclude_newer,
        indexes,
        sdists,
        variables,
        keep,
        optional,
        prefetch,
        bytecode: bytecode::read(text, section),
        functions,
        about: About::default(),
    })
}

/// Its own `exclude-newer`, or the manifest's.
fn cut_off(text: &mut Text, section: &Section, general: Option<&str>) -> Option<String> {
    match section.string(text, "exclude-newer") {
        Some(moment) => value::moment(text, &moment),
        None => general.map(str::to_owned),
    }
}

fn packages(text: &mut Text, section: &Section, key: &str) -> BTreeSet<PackageName> {
    let placed = section.strings(text, key);
    let packages = placed.iter().filter_map(|name| value::package(text, name));
    packages.collect()
}

fn bounds(text: &mut Text, section: &Section, key: &str) -> Vec<Requirement> {
    let placed = section.strings(text, key);
    value::bounds(text, &placed)
}

/// The manifest's Python must be one that the source supports.
fn check_python(
    text: &mut Text,
    section: &Section,
    source: &str,
    python: Option<&Version>,
    metadata: &Metadata,
) {
    if let (Some(version), Some(specifiers)) = (python, &metadata.requires_python)
        && !python_allows(specifiers, version)
    {
        text.complain(
            section.key_span("python"),
            format!("Python {version} is not what `{source}` requires"),
            format!("`requires-python = \"{specifiers}\"` there"),
            Some("make the two agree".into()),
        );
    }
}

/// Requirements of builds beyond those that packages declare.
fn build_dependencies(
    text: &mut Text,
    section: &Section,
) -> BTreeMap<PackageName, Vec<Requirement>> {
    let mut all = BTreeMap::new();
    let Some(table) = section.table(text, "build-dependencies", "this table") else {
        return all;
    };
    for name in table.table.keys() {
        let name = Placed {
            value: name.get_ref().to_string(),
            span: name.span(),
        };
        let requirements = table.strings(text, &name.value);
        let requirements = value::bounds(text, &requirements);
        if let Some(package) = value::package(text, &name) {
            all.insert(package, requirements);
        }
    }
    all
}

/// Which package comes from which declared index.
fn routes(
    text: &mut Text,
    section: &Section,
    declared: &BTreeMap<IndexName, Index>,
) -> BTreeMap<PackageName, IndexName> {
    let mut routes = BTreeMap::new();
    for (package, index) in section.string_table(text, "indexes") {
        let known = declared.keys().find(|name| name.as_str() == index.value);
        if known.is_none() {
            let names: Vec<&str> = declared.keys().map(IndexName::as_str).collect();
            let help = nearest(&index.value, names.iter().copied()).map_or_else(
                || format!("declare it: `[indexes.{}]` with its `url`", index.value),
                |near| format!("did you mean `{near}`?"),
            );
            text.complain(
                index.span,
                format!("there is no index `{}`", index.value),
                "not declared",
                Some(help),
            );
        }
        if let (Some(package), Some(index)) = (value::package(text, &package), known) {
            routes.insert(package, index.clone());
        }
    }
    routes
}

/// With `own-home`, the home directory is one of the environment's own among them.
fn variables(
    text: &mut Text,
    section: &Section,
    name: &Placed<String>,
) -> BTreeMap<String, String> {
    let pairs = section.string_table(text, "variables");
    let mut variables = BTreeMap::new();
    for (key, value) in pairs {
        if value::variable(text, &key, &value) {
            variables.insert(key.value, value.value);
        }
    }
    if section.boolean(text, "own-home").unwrap_or(false) {
        let home = format!("{{cache}}/home/{}", name.value);
        if variables.insert("HOME".to_owned(), home).is_some() {
            text.complain(
                section.key_span("own-home"),
                "`own-home` and `HOME` in `variables` both say where the home directory is",
                "here",
                Some("keep one of the two".into()),
            );
        }
    }
    variables
}

/// The path as written and the file's bytes.
fn read_source(
    text: &mut Text,
    here: &Path,
    name: &Placed<String>,
    section: &Section,
) -> Option<(String, Vec<u8>)> {
    let Some(source) = section.string(text, "source") else {
        if !section.has("source") {
            let help = format!(
                "add `source = \"environments/{}.py\"`: the file with its `setup()`",
                name.value
            );
            text.complain(
                section.span.clone(),
                format!("environment `{}` has no source", name.value),
                "here",
                Some(help),
            );
        }
        return None;
    };
    let path = Path::new(&source.value);
    // The lock names the file, and a lock holds for every checkout: the path must lie in it.
    if source.value.is_empty()
        || !path
            .components()
            .all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
    {
        let help = "write a relative path without `..`: `environments/mace.py`".to_owned();
        text.complain(
            source.span,
            format!("`{}` is not a path below the manifest", source.value),
            "here",
            Some(help),
        );
        return None;
    }
    match files::read_of_project(here, path) {
        Ok(bytes) => {
            let plain: Vec<_> = path
                .components()
                .filter(|c| *c != Component::CurDir)
                .map(|c| c.as_os_str().to_string_lossy())
                .collect();
            Some((plain.join("/"), bytes))
        }
        Err(error) => {
            let reason = error.source.to_string();
            let help = error.is_missing().then(|| {
                nearest_path(here, path).map_or_else(
                    || "write the file, with its `setup()`, or correct the path".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                )
            });
            text.complain(
                source.span,
                format!("cannot read the source `{}`", source.value),
                reason,
                help,
            );
            None
        }
    }
}

pub(super) fn read_metadata(
    here: &Path,
    source: &str,
    bytes: &[u8],
    complaints: &mut Vec<Complaint>,
) -> Option<Metadata> {
    let shown = here.join(source).display().to_string();
    let shown = shown.strip_prefix("./").unwrap_or(&shown).to_owned();
    let (content, valid) = match std::str::from_utf8(bytes) {
        Ok(content) => (content.to_owned(), true),
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), false),
    };
    let mut text = Text::new(&shown, content);
    if !valid {
        text.complain(
            0..0,
            format!("`{source}` is not UTF-8"),
            "somewhere in this file",
            None,
        );
        complaints.append(&mut text.complaints);
        return None;
    }
    let metadata = metadata(&mut text, here, source);
    complaints.append(&mut text.complaints);
    metadata
}

fn metadata(text: &mut Text, here: &Path, source: &str) -> Option<Metadata> {
    let content = text.text();
    check_setup(text, source, &content);
    let block = match script::block(&content) {
        Ok(block) => block,
        Err(broken) => {
            script::complain(text, source, broken);
            return None;
        }
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
        span: block.span,
        what: "a `script` block",
    };
    section.check_keys(text, &["requires-python", "dependencies", "tool"]);
    if let Some(tool) = section.table(text, "tool", "`[tool]`")
        && tool.has("uv")
    {
        let file = files::quoted(here.join(source));
        let help = format!(
            "use `rootstock add`: `rootstock add {file}` writes what it says into the manifest, and removes it from the file"
        );
        text.complain(
            tool.key_span("uv"),
            format!("`[tool.uv]` of `{source}` is not read"),
            "would have no effect",
            Some(help),
        );
    }
    let requires_python = section
        .string(text, "requires-python")
        .and_then(|s| value::specifiers(text, &s));
    let dependencies = section.strings(text, "dependencies");
    let (dependencies, local) = local::dependencies(text, here, &dependencies);
    Some(Metadata {
        requires_python,
        dependencies,
        local,
    })
}

/// `setup` must be there by its name; that it works is shown by running it.
fn check_setup(text: &mut Text, source: &str, content: &str) {
    let defined = content.lines().any(|line| {
        line.starts_with("def setup(")
            || line.starts_with("setup =")
            || (line.starts_with("from ") && line.contains("setup"))
    });
    if !defined {
        let help =
            "add `def setup(model, device, **kwargs):` that returns an ASE calculator".to_owned();
        text.complain(
            0..content.find('\n').unwrap_or(0),
            format!("`{source}` has no `setup()`"),
            "in this file",
            Some(help),
        );
    }
}
