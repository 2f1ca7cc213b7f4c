//! `[tool.uv.sources]`: where packages come from, if not from the default index.

use std::collections::BTreeMap;

use pep508_rs::PackageName;
use toml::Spanned;
use toml::de::DeValue;

use super::Script;
use super::indexes::Declared;
use super::settings::Settings;
use crate::manifest::{self, Placed, Section, Text};
use crate::name;
use crate::target::{NAMES, Target};

const KEYS: [&str; 14] = [
    "index",
    "git",
    "rev",
    "tag",
    "branch",
    "lfs",
    "url",
    "subdirectory",
    "path",
    "editable",
    "package",
    "marker",
    "extra",
    "group",
];

/// Reads the table into routes and references.
pub(super) fn read(
    text: &mut Text,
    script: &Script,
    uv: &Section,
    declared: &BTreeMap<String, Declared>,
    settings: &mut Settings,
) {
    let Some(sources) = uv.table(text, "sources", "`[tool.uv.sources]`") else {
        return;
    };
    for (name, value) in sources.table {
        let placed = Placed {
            value: name.get_ref().to_string(),
            span: name.span(),
        };
        let Some(package) = manifest::package(text, &placed) else {
            continue;
        };
        if !script.names.contains(&package) {
            let line = script.line(&name.span());
            let remark = format!(
                "the source of `{package}` is left out: `dependencies` does not name it, so uv does not use it"
            );
            settings.remarks.push((line, remark));
            continue;
        }
        let Some(source) = only(text, value, &package) else {
            continue;
        };
        one(text, script, &package, &source, declared, settings);
    }
}

/// The one source of a package that holds on every target; each other one is complained about.
fn only<'t>(
    text: &mut Text,
    value: &'t Spanned<DeValue<'t>>,
    package: &PackageName,
) -> Option<Section<'t>> {
    let items: Vec<&Spanned<DeValue>> = match value.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        _ => vec![value],
    };
    let mut kept = Vec::new();
    for item in items {
        let Some(table) = item.get_ref().as_table() else {
            text.complain(
                item.span(),
                format!("the source of `{package}` is no table"),
                "here",
                None,
            );
            continue;
        };
        let section = Section {
            table,
            span: item.span(),
            what: "a source",
        };
        match holds(text, &section) {
            Some(true) => kept.push(section),
            Some(false) => {}
            None => return None,
        }
    }
    if kept.len() > 1 {
        text.complain(
            value.span(),
            format!("`{package}` has several sources"),
            "more than one of them holds",
            Some("keep one".to_owned()),
        );
        return None;
    }
    kept.pop()
}

/// Whether a source's marker is true on every target, or false on every one; anything else is complained about.
fn holds(text: &mut Text, source: &Section) -> Option<bool> {
    for key in ["extra", "group"] {
        if source.has(key) {
            text.complain(
                source.key_span(key),
                format!("a source for an `{key}` cannot be taken over"),
                "a script has none",
                Some("remove this source".to_owned()),
            );
            return None;
        }
    }
    let Some(marker) = source.string(text, "marker") else {
        return Some(true);
    };
    let Ok(tree) = name::marker(&marker.value) else {
        text.complain(
            marker.span,
            format!("`{}` is not a marker", marker.value),
            "here",
            None,
        );
        return None;
    };
    let targets = NAMES.iter().filter_map(|name| Target::named(name));
    let answers = targets.flat_map(|target| {
        let series = (8..16).map(|minor| pep440_rs::Version::new([3, minor]));
        let answers = series.map(|python| tree.evaluate(&target.markers(&python), &[]));
        answers.collect::<Vec<_>>()
    });
    let answers: Vec<bool> = answers.collect();
    if answers.iter().all(|holds| *holds == answers[0]) {
        return Some(answers[0]);
    }
    text.complain(
        marker.span,
        "a source for some targets or Pythons only cannot be taken over",
        "this holds on some of them",
        Some("make it two files, or one source without `marker`".to_owned()),
    );
    None
}

fn one(
    text: &mut Text,
    script: &Script,
    package: &PackageName,
    source: &Section,
    declared: &BTreeMap<String, Declared>,
    settings: &mut Settings,
) {
    if source.has("workspace") {
        text.complain(
            source.key_span("workspace"),
            format!("`{package}` comes from a workspace"),
            "a script has none",
            Some("write the path of its directory: `{ path = \"…\" }`".to_owned()),
        );
        return;
    }
    source.check_keys(text, &KEYS);
    if let Some(index) = source.string(text, "index") {
        route(text, package, index, declared, settings);
        return;
    }
    let Some(reference) = reference(text, script, source) else {
        return;
    };
    if let Some(reference) = manifest::reference(text, package, &reference) {
        settings.references.insert(package.clone(), reference);
    }
}

/// Routes a package to an index that the script declares.
fn route(
    text: &mut Text,
    package: &PackageName,
    index: Placed<String>,
    declared: &BTreeMap<String, Declared>,
    settings: &mut Settings,
) {
    if declared.contains_key(&index.value) {
        settings.routes.insert(package.clone(), index.value);
        return;
    }
    let help = format!(
        "declare it: `[[tool.uv.index]]` with `name = \"{}\"`",
        index.value
    );
    text.complain(
        index.span,
        format!("there is no index `{}`", index.value),
        "not declared",
        Some(help),
    );
}

/// What stands behind the `@` of a package with this source.
fn reference(text: &mut Text, script: &Script, source: &Section) -> Option<Placed<String>> {
    let subdirectory = source.string(text, "subdirectory");
    let within = |begin: &str| {
        let within = subdirectory.as_ref();
        within.map_or(String::new(), |within| {
            format!("{begin}subdirectory={}", within.value)
        })
    };
    if let Some(git) = source.string(text, "git") {
        let mut keys = ["rev", "tag", "branch"].into_iter();
        let revision = keys.find_map(|key| source.string(text, key));
        let revision = revision.map_or(String::new(), |revision| format!("@{}", revision.value));
        let address = git.value.strip_prefix("git+").unwrap_or(&git.value);
        return Some(Placed {
            value: format!("git+{address}{revision}{}", within("#")),
            span: git.span,
        });
    }
    if let Some(url) = source.string(text, "url") {
        let begin = if url.value.contains('#') { "&" } else { "#" };
        return Some(Placed {
            value: format!("{}{}", url.value, within(begin)),
            span: url.span,
        });
    }
    let Some(path) = source.string(text, "path") else {
        text.complain(
            source.span.clone(),
            "this source names no place",
            "one of `index`, `git`, `url` and `path`",
            None,
        );
        return None;
    };
    let path = local(text, script, source, path)?;
    Some(Placed {
        value: format!("{}{}", path.value, within("#")),
        span: path.span,
    })
}

/// A path as the manifest sees it.
fn local(
    text: &mut Text,
    script: &Script,
    source: &Section,
    path: Placed<String>,
) -> Option<Placed<String>> {
    if source.is_boolean("editable") && source.boolean(text, "editable") == Some(true) {
        text.complain(
            source.key_span("editable"),
            "an editable installation cannot be taken over",
            "an environment is the same everywhere",
            Some("remove `editable`: the directory is packed and locked as it is".to_owned()),
        );
        return None;
    }
    let Some(value) = script.relocated(&path.value) else {
        text.complain(
            path.span,
            format!("there is nothing at `{}`", path.value),
            "relative to the directory of this file",
            Some("put it there, or correct the path".to_owned()),
        );
        return None;
    };
    Some(Placed {
        value,
        span: path.span,
    })
}
