//! An environment as a shell or another program gets it: commands to evaluate, or an object with all variables.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::command::CommandVariables;
use super::{Selected, Variables};
use crate::files::quoted;
use crate::name::EnvironmentName;
use crate::store::inside;

/// A variable cannot be printed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the variable `{0}` is not UTF-8 and cannot be printed")]
#[diagnostic(help("unset it, or leave it out with `--clean`"))]
pub(crate) struct Unprintable(String);

/// What a command in an environment gets, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Printed<'a> {
    environment: &'a EnvironmentName,
    generation: &'a Path,
    python: PathBuf,
    variables: serde_json::Map<String, serde_json::Value>,
}

impl<'a> Printed<'a> {
    /// The environment and these variables.
    pub(crate) fn new(
        selected: &'a Selected,
        variables: &CommandVariables,
    ) -> Result<Self, Unprintable> {
        let mut printed = serde_json::Map::new();
        for (name, value) in &variables.all {
            let (name, value) = printable(name, value)?;
            printed.insert(name.to_owned(), value.into());
        }
        Ok(Self {
            environment: &selected.environment,
            generation: &selected.generation,
            python: selected.generation.join(inside::PYTHON),
            variables: printed,
        })
    }
}

/// For `eval` in a shell: makes its variables those that a command would get. The shell's own bookkeeping stays.
pub(crate) fn sh(
    selected: &Selected,
    variables: &CommandVariables,
    inherited: &Variables,
) -> Result<String, Unprintable> {
    let dropped = inherited
        .keys()
        .filter(|name| !variables.all.contains_key(*name));
    let mut lines: Vec<String> = dropped
        .filter_map(|name| name.to_str())
        .filter_map(unset)
        .collect();
    let bin = selected.generation.join("bin").display().to_string();
    let path = inherited.get(OsStr::new("PATH")).and_then(|p| p.to_str());
    let prepended = path.map(|path| format!("{bin}:{path}"));
    for (name, value) in &variables.set {
        let (name, value) = printable(name, value)?;
        lines.push(if name == "PATH" && prepended.as_deref() == Some(value) {
            // The shell may have more to search by then.
            format!("export PATH={}:\"$PATH\"", quoted(&bin))
        } else {
            format!("export {name}={}", quoted(value))
        });
    }
    Ok(lines.join("\n"))
}

/// What takes a variable, or a function that bash exports, away from a shell; nothing for those that a shell keeps for itself.
fn unset(name: &str) -> Option<String> {
    const OF_SHELLS: [&str; 9] = [
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "UID",
        "EUID",
        "PPID",
        "BASHOPTS",
        "SHELLOPTS",
    ];
    let is_plain = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let function = name
        .strip_prefix("BASH_FUNC_")
        .and_then(|rest| rest.strip_suffix("%%"));
    match function {
        Some(function) => is_plain(function).then(|| format!("unset -f {function}")),
        None => (is_plain(name) && !OF_SHELLS.contains(&name)).then(|| format!("unset {name}")),
    }
}

fn printable<'a>(
    name: &'a OsString,
    value: &'a OsString,
) -> Result<(&'a str, &'a str), Unprintable> {
    let unprintable = || Unprintable(name.to_string_lossy().into_owned());
    Ok((
        name.to_str().ok_or_else(unprintable)?,
        value.to_str().ok_or_else(unprintable)?,
    ))
}
