//! The source of a script without what is in the manifest from now on: `[tool.uv]` is gone, and dependencies name where they
//! come from. The rest of the file stays byte for byte.

use std::collections::BTreeMap;
use std::ops::Range;

use pep508_rs::{PackageName, VersionOrUrl};
use toml_edit::{DocumentMut, Item, Value};

use super::Script;
use crate::manifest::{Reference, Requirement};
use crate::name;

/// The text of the source; that of the script where nothing has to change.
pub(super) fn rewritten(
    script: &Script,
    block: &Range<usize>,
    references: &BTreeMap<PackageName, String>,
) -> String {
    let content = script.content.as_str();
    let written = &content[block.clone()];
    let Some(document) = edited(script, written, references) else {
        return content.to_owned();
    };
    let lines = document.to_string();
    let lines = lines.trim_end().lines().map(|line| match line.trim_end() {
        "" => "#".to_owned(),
        line => format!("# {line}"),
    });
    let end = if written.contains("\r\n") {
        "\r\n"
    } else {
        "\n"
    };
    let begin = std::iter::once("# /// script".to_owned());
    let all = begin.chain(lines).chain(["# ///".to_owned()]);
    let all = all.collect::<Vec<_>>().join(end);
    format!("{}{all}{}", &content[..block.start], &content[block.end..])
}

/// The block as a document, if something in it has to change.
fn edited(
    script: &Script,
    written: &str,
    references: &BTreeMap<PackageName, String>,
) -> Option<DocumentMut> {
    let lines: Vec<&str> = written.lines().collect();
    let inner = lines.get(1..lines.len().saturating_sub(1))?.iter();
    let plain = inner.map(|line| {
        line.strip_prefix("# ")
            .or_else(|| line.strip_prefix('#'))
            .unwrap_or(line)
    });
    let mut document: DocumentMut = (plain.collect::<Vec<_>>().join("\n") + "\n").parse().ok()?;
    let mut changed = false;
    let tool = document.get_mut("tool").and_then(Item::as_table_like_mut);
    if let Some(tool) = tool {
        changed |= tool.remove("uv").is_some();
        if tool.is_empty() {
            document.remove("tool");
        }
    }
    let dependencies = document
        .get_mut("dependencies")
        .and_then(Item::as_array_mut);
    for value in dependencies.into_iter().flat_map(|array| array.iter_mut()) {
        let text = value.as_str().unwrap_or_default();
        if let Some(text) = referred(script, text, references) {
            let decor = value.decor().clone();
            *value = Value::from(text);
            *value.decor_mut() = decor;
            changed = true;
        }
    }
    changed.then_some(document)
}

/// A dependency with where it comes from; `None` if it stays as it is.
fn referred(
    script: &Script,
    text: &str,
    references: &BTreeMap<PackageName, String>,
) -> Option<String> {
    let mut requirement: Requirement = name::requirement(text).ok()?;
    let reference = match (
        references.get(&requirement.name),
        &requirement.version_or_url,
    ) {
        (Some(reference), _) => reference.clone(),
        (None, Some(VersionOrUrl::Url(Reference::Path { path, fragment }))) => {
            let relocated = script.relocated(path).filter(|moved| moved != path)?;
            format!("{relocated}{fragment}")
        }
        (None, _) => return None,
    };
    requirement.version_or_url = None;
    let plain = requirement.to_string();
    let (name, marker) = match plain.split_once(';') {
        Some((name, marker)) => (name.trim_end(), format!(" ; {}", marker.trim_start())),
        None => (plain.as_str(), String::new()),
    };
    Some(format!("{name} @ {reference}{marker}"))
}
