//! What the Python rootstock reads of a source: `CHECKPOINTS`, `VERIFY_KWARGS` and `CLUSTERS`, as models of the manifest.

use serde_json::Value as Plain;
use toml_edit::{InlineTable, Table, Value};

use super::Script;
use super::literal::{self, Literal, Placed};
use crate::manifest::Text;
use crate::name::ModelId;

/// The end of an id that stands for weights of the user's own.
const CUSTOM: &str = ":custom";

/// What a source declares.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// `[models.ID]`, by id.
    pub(super) models: Vec<(String, Table)>,
    /// Whether it is for some clusters only.
    pub(super) is_restricted: bool,
    /// What is left out or means something else, with its line.
    pub(super) remarks: Vec<(usize, String)>,
}

/// Reads the three literals.
pub(super) fn read(text: &mut Text, script: &Script) -> Checkpoints {
    let mut found = Checkpoints::default();
    let checkpoints = pairs(text, script, "CHECKPOINTS");
    let kwargs = pairs(text, script, "VERIFY_KWARGS");
    for (id, value) in &checkpoints {
        let name = id.text().unwrap_or_default();
        if let Some(family) = name.strip_suffix(CUSTOM) {
            custom(text, script, id, family, &mut found);
            continue;
        }
        if let Err(invalid) = name.parse::<ModelId>() {
            text.complain(
                id.span.clone(),
                format!("`{name}` is not a model id"),
                invalid.reason,
                None,
            );
            continue;
        }
        if value.text().is_none() {
            text.complain(
                value.span.clone(),
                format!("`{name}` has no text"),
                "the name of the model in its package was expected",
                None,
            );
            continue;
        }
        let given = kwargs.iter().find(|(key, _)| key.text() == Some(name));
        let table = model(
            text,
            script,
            name,
            given.map(|(_, value)| value),
            &mut found,
        );
        found.models.push((name.to_owned(), table));
    }
    for (id, _) in &kwargs {
        let known = |(known, _): &(Placed, Placed)| known.text() == id.text();
        let name = id.text().unwrap_or_default();
        if !checkpoints.iter().any(known) {
            let message =
                format!("`VERIFY_KWARGS` names `{name}`, which `CHECKPOINTS` does not have");
            text.complain(id.span.clone(), message, "here", None);
        } else if name.ends_with(CUSTOM) {
            let remark = format!(
                "the arguments of `{name}` are left out: who uses own weights passes `--setup`"
            );
            found.remarks.push((script.line(&id.span), remark));
        }
    }
    clusters(text, script, &mut found);
    found
}

fn model(
    text: &mut Text,
    script: &Script,
    id: &str,
    given: Option<&Placed>,
    found: &mut Checkpoints,
) -> Table {
    let mut table = Table::new();
    table.insert("environment", toml_edit::value(script.name.as_str()));
    table.insert("argument", toml_edit::value(id));
    let Some(given) = given else {
        return table;
    };
    let Literal::Map(_) = given.literal else {
        text.complain(
            given.span.clone(),
            format!("the arguments of `{id}` are no dictionary"),
            "here",
            None,
        );
        return table;
    };
    match value(&given.value()) {
        Some(Value::InlineTable(setup)) if !setup.is_empty() => {
            table.insert("setup", toml_edit::value(setup));
            let remark = format!(
                "`VERIFY_KWARGS` of `{id}` is its `setup`: everybody who gives no other arguments gets these"
            );
            found.remarks.push((script.line(&given.span), remark));
        }
        Some(_) => {}
        None => text.complain(
            given.span.clone(),
            format!("the arguments of `{id}` cannot be written in TOML"),
            "`None` has no form there",
            Some("leave out what is `None`".to_owned()),
        ),
    }
    table
}

/// `FAMILY:custom` means that users may bring weights of their own.
fn custom(text: &mut Text, script: &Script, id: &Placed, family: &str, found: &mut Checkpoints) {
    let name = &script.name;
    if !script
        .content
        .lines()
        .any(|line| line.starts_with("def setup_from_path("))
    {
        text.complain(
            id.span.clone(),
            format!("`{family}{CUSTOM}` needs `setup_from_path()`"),
            "there is none in this file",
            Some(
                "add `def setup_from_path(path, device, **kwargs):` that returns an ASE calculator"
                    .to_owned(),
            ),
        );
    } else if family != name.as_str() {
        let remark = format!("`{family}{CUSTOM}` is `{name}{CUSTOM}` here");
        found.remarks.push((script.line(&id.span), remark));
    }
}

/// `CLUSTERS` restricts a source to some clusters.
fn clusters(text: &mut Text, script: &Script, found: &mut Checkpoints) {
    let Some(clusters) = assigned(text, script, "CLUSTERS") else {
        return;
    };
    found.is_restricted = true;
    let remark = format!(
        "`CLUSTERS` is left out: the environment is `optional`, build it where it belongs with `rootstock sync {}`",
        script.name
    );
    found.remarks.push((script.line(&clusters.span), remark));
}

/// The pairs of a dictionary that the module assigns to a name; none if it assigns nothing.
fn pairs(text: &mut Text, script: &Script, name: &str) -> Vec<(Placed, Placed)> {
    match assigned(text, script, name) {
        None => Vec::new(),
        Some(Placed {
            literal: Literal::Map(pairs),
            ..
        }) => pairs,
        Some(other) => {
            text.complain(
                other.span,
                format!("`{name}` is no dictionary"),
                "here",
                None,
            );
            Vec::new()
        }
    }
}

fn assigned(text: &mut Text, script: &Script, name: &str) -> Option<Placed> {
    match literal::assigned(&script.content, name) {
        Ok(found) => found,
        Err(unreadable) => {
            text.complain(
                unreadable.span,
                format!("`{name}` cannot be read without running the file"),
                unreadable.reason,
                Some("write it with literals only, as the Python rootstock does too".to_owned()),
            );
            None
        }
    }
}

/// The value in TOML; there is none for `None`.
fn value(plain: &Plain) -> Option<Value> {
    Some(match plain {
        Plain::Null => return None,
        Plain::Bool(truth) => (*truth).into(),
        Plain::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        Plain::String(text) => text.as_str().into(),
        Plain::Array(items) => items
            .iter()
            .map(value)
            .collect::<Option<toml_edit::Array>>()?
            .into(),
        Plain::Object(pairs) => {
            let mut table = InlineTable::new();
            for (key, plain) in pairs {
                table.insert(key, value(plain)?);
            }
            table.into()
        }
    })
}
