//! `also-python` of an environment: the same environment for other series of Python, each resolved and built by itself under
//! a name of its own, `mace@3.12`.

use std::iter;

use pep440_rs::Version;

use super::complaint::Text;
use super::reader::{Placed, Section};
use super::{Environment, python_allows, value};
use crate::name::EnvironmentName;

/// The table's name. One with a series is made of `also-python`.
pub(super) fn valid_name(text: &mut Text, name: &Placed<String>) -> Option<EnvironmentName> {
    let valid: EnvironmentName = value::name(text, name)?;
    let Some(series) = valid.series() else {
        return Some(valid);
    };
    let plain = valid.declared();
    text.complain(
        name.span.clone(),
        format!("`{valid}` cannot be declared as a table of its own"),
        "here",
        Some(format!(
            "write `also-python = [\"{series}\"]` into `[environments.{plain}]`"
        )),
    );
    None
}

/// The other series of Python that the environment is locked and built for.
pub(super) fn read(text: &mut Text, section: &Section) -> Vec<Placed<Version>> {
    const KEY: &str = "also-python";
    let mut others: Vec<Placed<Version>> = Vec::new();
    for placed in section.strings(text, KEY) {
        let (message, help) = match value::python_version(&placed.value) {
            None => (
                format!(
                    "`{}` is not a series of Python that rootstock can use",
                    placed.value
                ),
                "write a series of CPython from 3.8 on: `3.12`".to_owned(),
            ),
            Some(version) if version.release().len() != 2 => {
                let (major, minor) = series(&version);
                (
                    format!("`{KEY}` names series of Python, and {version} is one version"),
                    format!("write `{major}.{minor}`"),
                )
            }
            Some(version) if others.iter().any(|known| known.value == version) => (
                format!("Python {version} is named twice"),
                "remove one of the two".to_owned(),
            ),
            Some(value) => {
                let span = placed.span;
                others.push(Placed { value, span });
                continue;
            }
        };
        text.complain(placed.span, message, "here", Some(help));
    }
    others
}

/// The environment, and the same for each of these series that fits it.
pub(super) fn each(
    text: &mut Text,
    environment: Environment,
    mut others: Vec<Placed<Version>>,
) -> Vec<Environment> {
    others.retain(|other| fits(text, &environment, other));
    let others = others.into_iter().map(|other| other.value);
    let others: Vec<Environment> = others
        .map(|version| Environment {
            name: environment.name.on(series(&version)),
            python: Some(version),
            ..environment.clone()
        })
        .collect();
    iter::once(environment).chain(others).collect()
}

/// Whether a series of `also-python` is another one than that of the environment itself, and allowed by its source.
fn fits(text: &mut Text, environment: &Environment, other: &Placed<Version>) -> bool {
    let version = &other.value;
    let own = environment.python.as_ref().map(series);
    let allowed = environment.requires_python.as_ref();
    let (message, label, help) = if own == Some(series(version)) {
        (
            format!("Python {version} is the environment's own"),
            "`python` names this series".to_owned(),
            "remove it: `also-python` names further ones",
        )
    } else if let Some(specifiers) = allowed.filter(|all| !python_allows(all, version)) {
        (
            format!(
                "Python {version} is not what `{}` requires",
                environment.source
            ),
            format!("`requires-python = \"{specifiers}\"` there"),
            "make the two agree",
        )
    } else {
        return true;
    };
    text.complain(other.span.clone(), message, label, Some(help.to_owned()));
    false
}

/// Major and minor version.
fn series(version: &Version) -> (u64, u64) {
    let release = version.release();
    (release[0], release[1])
}
