//! Generations that are never removed: pinned and unpinned by `ENVIRONMENT` or `ENVIRONMENT@ID`, where a prefix of the id is
//! enough.

use super::PinReport;
use crate::files;
use crate::name::{self, EnvironmentName};
use crate::report::listed;
use crate::store::Root;
use crate::store::pins::{self, Pin};

/// A pin cannot be added or removed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// Its environment has no possible name.
    #[error(transparent)]
    #[diagnostic(help("write ENV or ENV@ID"))]
    Name(#[from] name::Invalid),
    /// There is no such pin.
    #[error("nothing is pinned as `{text}`")]
    #[diagnostic(help("{pinned}"))]
    NotPinned {
        /// What was asked for.
        text: String,
        /// What is pinned.
        pinned: String,
    },
    /// There is no such generation.
    #[error("there is no generation `{text}`")]
    #[diagnostic(help("{there}"))]
    Missing {
        /// What was asked for.
        text: String,
        /// The generations of the environment.
        there: String,
    },
    /// There are several.
    #[error("`{text}` matches several generations")]
    #[diagnostic(help("{matches}"))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// The generations it matches.
        matches: String,
    },
    /// The pins cannot be read or written.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// Removes pins, then adds others.
pub fn change(root: &Root, add: &[String], remove: &[String]) -> Result<PinReport, Error> {
    let known = pins::read(root)?;
    let mut report = PinReport::default();
    for text in remove {
        let found = pinned(&known, text)?;
        for pin in &found {
            pins::remove(root, pin)?;
        }
        report.unpinned.extend(found);
    }
    for text in add {
        let pin = generation(root, text)?;
        pins::add(root, &pin)?;
        report.pinned.push(pin);
    }
    Ok(report)
}

/// The pins that a text stands for: there is at least one.
fn pinned(known: &[Pin], text: &str) -> Result<Vec<Pin>, Error> {
    let (environment, id) = parts(text)?;
    let is_meant = |pin: &&Pin| pin.environment == environment && pin.id.starts_with(&id);
    let found: Vec<Pin> = known.iter().filter(is_meant).cloned().collect();
    if found.is_empty() {
        return Err(Error::NotPinned {
            text: text.to_owned(),
            pinned: listed("pinned:", known.iter().map(ToString::to_string)),
        });
    }
    Ok(found)
}

/// The generation with this prefix of an id, or the current one.
fn generation(root: &Root, text: &str) -> Result<Pin, Error> {
    let (environment, prefix) = parts(text)?;
    let names = files::names(&root.generations(&environment))?;
    let ids: Vec<String> = names.into_iter().filter(|n| !n.starts_with('.')).collect();
    let current = files::link_target(&root.current(&environment))?;
    let current = current.and_then(|target| Some(target.file_name()?.to_str()?.to_owned()));
    let is_current = text == environment.as_str();
    let is_meant = |id: &&String| {
        if is_current {
            Some(*id) == current.as_ref()
        } else {
            id.starts_with(&prefix)
        }
    };
    let found: Vec<&String> = ids.iter().filter(is_meant).collect();
    let full = |id: &String| format!("{environment}@{id}");
    match found[..] {
        [id] => Ok(Pin {
            id: id.clone(),
            environment,
        }),
        [] => Err(Error::Missing {
            text: text.to_owned(),
            there: listed("there are:", ids.iter().map(full)),
        }),
        _ => Err(Error::Ambiguous {
            text: text.to_owned(),
            matches: listed("write more of the id:", found.iter().map(|id| full(id))),
        }),
    }
}

/// An environment, and a prefix of an id, which may be empty.
fn parts(text: &str) -> Result<(EnvironmentName, String), Error> {
    // `mace@3.12` is an environment, `mace@3` is one and an id.
    if let Ok(environment) = text.parse() {
        return Ok((environment, String::new()));
    }
    let (environment, id) = text.rsplit_once('@').unwrap_or((text, ""));
    Ok((environment.parse()?, id.to_owned()))
}
