//! Texts of the manifest that have a grammar of their own: requirements, versions, names, variables. Each parser
//! complains with the place and a better text.

use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{PackageName, Pep508Error, Pep508ErrorSource, VersionOrUrl};

use super::complaint::Text;
use super::reader::Placed;
use super::{Reference, Requirement};
use crate::digest::Digest;
use crate::fetch;
use crate::hub;
use crate::name;

/// Placeholders that variables may use.
pub(super) const PLACEHOLDERS: [&str; 4] = ["root", "cache", "env", "user-cache"];

/// A name of one of our kinds.
pub(super) fn name<T: FromStr<Err = name::Invalid>>(
    text: &mut Text,
    placed: &Placed<String>,
) -> Option<T> {
    match placed.value.parse() {
        Ok(name) => Some(name),
        Err(invalid) => {
            let help = invalid
                .suggestion()
                .map(|better| format!("write `{better}`"));
            text.complain(
                placed.span.clone(),
                format!("`{}` is not {}", invalid.text, invalid.what),
                invalid.reason,
                help,
            );
            None
        }
    }
}

/// A requirement (PEP 508).
pub(super) fn requirement(text: &mut Text, placed: &Placed<String>) -> Option<Requirement> {
    match name::requirement(&placed.value) {
        Ok(requirement) => Some(requirement),
        Err(error) => {
            complain_requirement(text, placed, &error);
            None
        }
    }
}

fn complain_requirement(text: &mut Text, placed: &Placed<String>, error: &Pep508Error<Reference>) {
    // An address is not repeated: it may hold a password.
    if let Pep508ErrorSource::UrlError(invalid) = &error.message {
        text.complain(
            placed.span.clone(),
            "this reference cannot be used",
            invalid.reason.clone(),
            Some(invalid.help.to_owned()),
        );
        return;
    }
    let message = format!("`{}` is not a requirement", placed.value);
    let label = error.message.to_string();
    let label = label.lines().next().unwrap_or("here").to_owned();
    let help =
        "write it as PEP 508 does: `name>=1.2,<2` or `name[extra]==1.2; python_version < \"3.12\"`"
            .to_owned();
    // The parser's place counts in the value; it is a place in the file if the value stands there as it is.
    let inner = placed.span.start + 1..placed.span.end.saturating_sub(1);
    let verbatim = text
        .text()
        .get(inner.clone())
        .is_some_and(|written| written == placed.value);
    let span = if verbatim && error.start + error.len <= placed.value.len() {
        inner.start + error.start..inner.start + error.start + error.len.max(1)
    } else {
        placed.span.clone()
    };
    text.complain(span, message, label, Some(help));
}

/// A direct reference of a package (what stands behind `@`), in normal form.
pub(crate) fn reference(
    text: &mut Text,
    package: &PackageName,
    placed: &Placed<String>,
) -> Option<String> {
    let whole = Placed {
        value: format!("{package} @ {}", placed.value),
        span: placed.span.clone(),
    };
    match requirement(text, &whole)?.version_or_url? {
        VersionOrUrl::Url(reference) => Some(reference.to_string()),
        VersionOrUrl::VersionSpecifier(_) => None,
    }
}

/// Requirements that only bound versions.
pub(super) fn bounds(text: &mut Text, all: &[Placed<String>]) -> Vec<Requirement> {
    let mut bounds = Vec::new();
    for placed in all {
        let Some(requirement) = requirement(text, placed) else {
            continue;
        };
        if let Some(VersionOrUrl::Url(_)) = requirement.version_or_url {
            text.complain(
                placed.span.clone(),
                "a direct reference is not a bound",
                "here",
                Some(
                    "write it under `dependencies`: it holds for the whole environment".to_owned(),
                ),
            );
            continue;
        }
        bounds.push(requirement);
    }
    bounds
}

/// A package name (PEP 503), normalised.
pub(crate) fn package(text: &mut Text, placed: &Placed<String>) -> Option<PackageName> {
    match PackageName::from_str(&placed.value) {
        Ok(name) => Some(name),
        Err(_) => {
            let help = "write only the name, without a version: `torch`".to_owned();
            text.complain(
                placed.span.clone(),
                format!("`{}` is not a package name", placed.value),
                "letters, digits, `-`, `_` and `.` only",
                Some(help),
            );
            None
        }
    }
}

/// Version specifiers (PEP 440): `>=3.11,<3.14`.
pub(super) fn specifiers(text: &mut Text, placed: &Placed<String>) -> Option<VersionSpecifiers> {
    match placed.value.parse::<VersionSpecifiers>() {
        Ok(specifiers) => Some(specifiers),
        Err(error) => {
            let first = error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            text.complain(
                placed.span.clone(),
                format!("`{}` is not a version specifier", placed.value),
                first,
                Some("write it as PEP 440 does: `>=3.11,<3.14`".into()),
            );
            None
        }
    }
}

/// A version of CPython that can be used, exact or a series.
pub(super) fn python_version(text: &str) -> Option<Version> {
    text.parse::<Version>().ok().filter(|version| {
        let plain = version.is_stable() && !version.is_local() && !version.is_post();
        plain
            && version.release()[0] == 3
            && version.release().get(1).is_some_and(|minor| *minor >= 8)
            && (2..=3).contains(&version.release().len())
    })
}

/// A Python version: `3.11` or `3.11.7`.
pub(super) fn python(text: &mut Text, placed: &Placed<String>) -> Option<Version> {
    let version = python_version(&placed.value);
    if version.is_none() {
        text.complain(
            placed.span.clone(),
            format!(
                "`{}` is not a Python version that rootstock can use",
                placed.value
            ),
            "here",
            Some(
                "write a series or an exact version of CPython from 3.8 on: `3.11` or `3.11.7`"
                    .into(),
            ),
        );
    }
    version
}

/// A variable of a worker: a name a shell would take, a value whose placeholders are known.
pub(super) fn variable(text: &mut Text, key: &Placed<String>, value: &Placed<String>) -> bool {
    let mut good = true;
    if !is_variable(&key.value) {
        let help = "write letters, digits and `_`, not beginning with a digit: `OMP_NUM_THREADS`"
            .to_owned();
        text.complain(
            key.span.clone(),
            format!("`{}` is not a variable's name", key.value),
            "here",
            Some(help),
        );
        good = false;
    }
    for unknown in unknown_placeholders(&value.value) {
        text.complain(
            value.span.clone(),
            format!("unknown placeholder `{{{unknown}}}`"),
            "in this value",
            Some("the placeholders are `{root}`, `{cache}`, `{env}` and `{user-cache}`".into()),
        );
        good = false;
    }
    if value.value.contains('\0') {
        text.complain(
            value.span.clone(),
            "a variable cannot hold a NUL character",
            "in this value",
            None,
        );
        good = false;
    }
    good
}

/// A variable that is inherited, `MY_SITE`, or all that begin alike, `SLURM_*`. What decides which code Python loads is
/// never inherited: it would be another environment than the one that is locked.
pub(super) fn kept(text: &mut Text, placed: &Placed<String>) -> Option<String> {
    let name = &placed.value;
    let help_for_code =
        "if the environment cannot do without it, give it a value of its own in `variables`";
    let (message, help) = match cannot_be_kept(name) {
        None => return Some(name.clone()),
        Some(NotKept::NoName(message, help)) => (message, help),
        Some(NotKept::ChoosesCode(message)) => (message, help_for_code),
    };
    text.complain(placed.span.clone(), message, "here", Some(help.to_owned()));
    None
}

/// Why a variable is not kept.
pub enum NotKept {
    /// It is no name: what is wrong, and what to write.
    NoName(String, &'static str),
    /// It decides which code is loaded: what is wrong.
    ChoosesCode(String),
}

/// Whether a name, or with `*` at its end the beginning of names, is refused as one that is kept.
pub fn cannot_be_kept(name: &str) -> Option<NotKept> {
    let beginning = name.strip_suffix('*').unwrap_or(name);
    if !is_variable(beginning) {
        return Some(NotKept::NoName(
            format!("`{name}` is not a variable's name"),
            "write a name, `MY_SITE`, or the beginning of names, `SLURM_*`",
        ));
    }
    let prefix = NEVER_KEPT
        .iter()
        .find(|prefix| beginning.starts_with(*prefix))?;
    Some(NotKept::ChoosesCode(format!(
        "`{name}` cannot be kept: `{prefix}…` decides which code Python loads"
    )))
}

/// Beginnings of the variables that Python and the dynamic loader read.
const NEVER_KEPT: [&str; 2] = ["PYTHON", "LD_"];

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn unknown_placeholders(value: &str) -> Vec<&str> {
    value
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
        .filter(|name| !PLACEHOLDERS.contains(name))
        .collect()
}

/// The address of an index.
pub(super) fn index_url(text: &mut Text, placed: &Placed<String>) -> bool {
    address(text, placed, "write it with its scheme: `https://…/simple`")
}

/// The address of a mirror of interpreters, or a directory.
pub(super) fn mirror(text: &mut Text, placed: &Placed<String>) -> bool {
    let help = "write `https://…`, or the path of a directory";
    !placed.value.contains("://") || address(text, placed, help)
}

/// An address that can be downloaded from. Credentials are a user's (netrc, keyring), not the manifest's.
fn address(text: &mut Text, placed: &Placed<String>, help: &str) -> bool {
    let (message, help) = match fetch::has_credentials(&placed.value) {
        Ok(false) => return true,
        Ok(true) => (
            "an address in the manifest may not hold credentials".to_owned(),
            "remove them: credentials are read from netrc, those of an index also from the keyring and \
             `UV_INDEX_<NAME>_USERNAME`/`_PASSWORD`",
        ),
        Err(error) => (error.to_string(), help),
    };
    text.complain(placed.span.clone(), message, "here", Some(help.into()));
    false
}

/// The address of a weight file.
pub(super) fn weight_url(text: &mut Text, placed: &Placed<String>) -> bool {
    if placed.value.starts_with(hub::SCHEME) {
        let wrong = placed.value.parse::<hub::File>().err();
        if let Some(reason) = &wrong {
            let help = "write `hf://organisation/name@revision/file`: the revision is a commit, a tag or a branch".to_owned();
            let message = format!("`{}` is not a file of the Hugging Face Hub", placed.value);
            text.complain(placed.span.clone(), message, reason.to_string(), Some(help));
        }
        return wrong.is_none();
    }
    address(text, placed, "write it with its scheme: `https://…`")
}

/// A sha256 in hexadecimal digits.
pub(super) fn digest(text: &mut Text, placed: &Placed<String>) -> Option<Digest> {
    let digest = placed.value.parse().ok();
    if digest.is_none() {
        let help = "write the 64 hexadecimal digits that `sha256sum FILE` prints, or leave it out: `rootstock lock` \
                    downloads the file and computes it";
        text.complain(
            placed.span.clone(),
            "this is not a sha256",
            "not 64 hexadecimal digits",
            Some(help.into()),
        );
    }
    digest
}

/// A moment: an RFC 3339 date with or without time.
pub(crate) fn moment(text: &mut Text, placed: &Placed<String>) -> Option<String> {
    let parsed = placed.value.parse::<toml::value::Datetime>().ok();
    let valid =
        parsed.is_some_and(|m| m.date.is_some() && (m.time.is_none() || m.offset.is_some()));
    if !valid {
        text.complain(
            placed.span.clone(),
            format!("`{}` is not a moment", placed.value),
            "here",
            Some("write it as RFC 3339 does, with a time zone: `2026-11-01T00:00:00Z`, or a date: `2026-11-01`".into()),
        );
        return None;
    }
    Some(placed.value.clone())
}
