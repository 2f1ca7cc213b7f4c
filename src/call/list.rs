//! Functions and classes that can be called in an environment, with their signatures, as its sources have them. Nothing is
//! imported: the environment's Python only parses.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Environment;
use crate::process::{self, Command};
use crate::report::line;
use crate::runtime::Selected;
use crate::store::{Root, Stamp, inside};

const PROGRAM: &str = include_str!("shim/list.py");
/// The module that the environment's source is imported as.
const SOURCE: &str = "env_source";
/// Parsing takes milliseconds; files may lie on a slow filesystem.
const LIMIT: Duration = Duration::from_secs(60);

/// What can be called in an environment.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// The environment.
    pub environment: Environment,
    /// The root that has it.
    pub root: PathBuf,
    /// In the order asked for.
    pub functions: Vec<Entry>,
}

/// One reference and what it leads to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    /// A definition.
    Found(Definition),
    /// None.
    NotFound {
        /// `MODULE:NAME`.
        reference: String,
        /// The reason, as a part of a sentence.
        error: String,
    },
}

/// A function, a class, or another value.
#[derive(Debug, Serialize, Deserialize)]
pub struct Definition {
    /// `MODULE:NAME`.
    pub reference: String,
    /// `function`, `coroutine`, `class` or `value`.
    pub kind: String,
    /// Parameters and the annotation of the result; `None` for a value.
    pub signature: Option<String>,
    /// The first line of its docstring.
    pub summary: Option<String>,
    /// Where it is defined.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: u64,
    /// Public methods of a class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Definition>,
}

/// What is to be listed.
#[derive(Debug)]
pub struct Request<'a> {
    /// `MODULE:NAME` or `FILE:NAME`, or a module or file for all that is public in it. If empty: what the manifest lists, or
    /// all that is public in the environment's source; and in the files of `paths`.
    pub references: Vec<String>,
    /// Directories with code of the user's own, in front of the environment's packages.
    pub paths: &'a [PathBuf],
    /// The modules in these directories.
    pub modules: Vec<String>,
    /// Where the caller is.
    pub directory: &'a Path,
}

/// The sources could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Python could not be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// It did not answer as expected.
    #[error("the Python of the environment could not read its sources")]
    NoAnswer,
}

#[derive(Serialize)]
struct Order<'a> {
    references: &'a [String],
    source: PathBuf,
    paths: &'a [PathBuf],
}

/// Reads the sources of an environment.
pub fn list(
    root: &Root,
    selected: &Selected,
    stamp: &Stamp,
    request: Request<'_>,
) -> Result<Listing, Error> {
    let mut references = request.references;
    if references.is_empty() {
        references.extend(selected.settings.functions.iter().cloned());
        if references.is_empty() {
            references.push(SOURCE.to_owned());
        }
        references.extend(request.modules);
    }
    let order = Order {
        references: &references,
        source: selected.generation.join(inside::SOURCE),
        paths: request.paths,
    };
    let order = serde_json::to_string(&order).map_err(|_| Error::NoAnswer)?;
    let answer = Command::new(selected.generation.join(inside::PYTHON))
        .arguments(["-I", "-S", "-B", "-X", "utf8", "-c", PROGRAM])
        .argument(order)
        .directory(request.directory)
        .answer_within(LIMIT)?
        .ok_or(Error::NoAnswer)?;
    let functions = serde_json::from_slice(&answer).map_err(|_| Error::NoAnswer)?;
    Ok(Listing {
        environment: Environment::of(stamp),
        root: root.path().to_owned(),
        functions,
    })
}

impl Listing {
    /// Whether every reference was found.
    pub fn is_complete(&self) -> bool {
        let mut entries = self.functions.iter();
        entries.all(|entry| matches!(entry, Entry::Found(_)))
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.functions {
            match entry {
                Entry::Found(definition) => definition.write(out, "")?,
                Entry::NotFound { reference, error } => {
                    line(out, format_args!("{reference}: not found: {error}"))?;
                }
            }
        }
        Ok(())
    }
}

impl Definition {
    fn write(&self, out: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        let signature = self.signature.as_deref().unwrap_or_default();
        line(out, format_args!("{indent}{}{signature}", self.reference))?;
        if let Some(summary) = &self.summary {
            line(out, format_args!("{indent}    {summary}"))?;
        }
        let deeper = format!("{indent}  ");
        self.methods
            .iter()
            .try_for_each(|method| method.write(out, &deeper))
    }
}
