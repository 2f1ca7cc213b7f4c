//! `functions` of an environment: references `MODULE:NAME` to what `rootstock call` is meant for. Documentation only: any other
//! function can be called as well.

use std::collections::BTreeSet;

use super::complaint::{Text, nearest};
use super::reader::{Placed, Section};

/// The module that the environment's source is imported as.
const SOURCE: &str = "env_source";

/// All references that are well-formed.
pub(super) fn references(text: &mut Text, section: &Section) -> Vec<Placed<String>> {
    let mut found = section.strings(text, "functions");
    found.retain(|placed| {
        let wrong = malformed(&placed.value);
        if let Some((label, help)) = &wrong {
            text.complain(
                placed.span.clone(),
                format!("`{}` is not a reference to a function", placed.value),
                *label,
                Some(help.clone()),
            );
        }
        wrong.is_none()
    });
    found
}

/// The references without those to names that the source does not define.
pub(super) fn defined(
    text: &mut Text,
    references: Vec<Placed<String>>,
    source: &str,
    bytes: &[u8],
) -> BTreeSet<String> {
    let content = String::from_utf8_lossy(bytes);
    let mut found = BTreeSet::new();
    for Placed { value, span } in references {
        match undefined(&value, &content) {
            None => {
                found.insert(value);
            }
            Some(name) => {
                let near = nearest(name, definitions(&content));
                let help = near.map_or_else(
                    || "define it there, or name `MODULE:NAME` of another module".to_owned(),
                    |near| format!("did you mean `{SOURCE}:{near}`?"),
                );
                let message = format!("`{source}` does not define `{name}`");
                text.complain(span, message, "here", Some(help));
            }
        }
    }
    found
}

/// What is wrong with a text that is no `MODULE:NAME`, and what to write instead.
fn malformed(reference: &str) -> Option<(&'static str, String)> {
    let example = format!("write `{SOURCE}:NAME` or `package.module:NAME`");
    let Some((module, name)) = reference.split_once(':') else {
        let help = if is_dotted(reference) && !reference.contains('.') {
            format!("write `{SOURCE}:{reference}` if it is in the environment's source")
        } else {
            example
        };
        return Some(("no `:` between module and name", help));
    };
    if is_file(module) {
        let help = format!("{example}: files of your own are named when they are called");
        return Some(("a file is not part of the environment", help));
    }
    if !is_dotted(module) {
        return Some(("the part before `:` is not a module", example));
    }
    (!is_dotted(name)).then_some(("the part after `:` is not a name", example))
}

fn is_file(module: &str) -> bool {
    let is_python = std::path::Path::new(module)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("py"));
    is_python || module.contains('/')
}

/// Whether this is one or more of Python's identifiers with `.` between them.
fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut characters = part.chars();
        characters
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_')
            && characters.all(|c| c.is_alphanumeric() || c == '_')
    })
}

/// The name of a reference to the source that does not occur in it. A source that imports `*` may define anything.
fn undefined<'r>(reference: &'r str, content: &str) -> Option<&'r str> {
    let name = reference.strip_prefix(SOURCE)?.strip_prefix(':')?;
    let first = name.split('.').next()?;
    let code = content
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let mut words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let has_it = content.contains("import *") || words.any(|word| word == first);
    (!has_it).then_some(name)
}

/// The names of functions and classes at the top level of a source.
fn definitions(content: &str) -> impl Iterator<Item = &str> {
    let starts = ["def ", "class ", "async def "];
    content.lines().filter_map(move |line| {
        let rest = starts.iter().find_map(|start| line.strip_prefix(start))?;
        rest.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
    })
}
