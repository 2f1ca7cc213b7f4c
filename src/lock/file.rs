//! The text of `rootstock.lock`, both ways. A [`Lock`] that was read is whole: every digest in it holds.
//!
//! ```toml
//! version = 1
//!
//! [[environment]]
//! name = "emt"
//! source = "environments/emt.py"
//! source-sha256 = "…"                       # of the file's bytes
//! variables = { OMP_NUM_THREADS = "1" }     # if any
//! keep = ["SLURM_*"]                        # if any
//! functions = ["env_source:add"]            # if any
//! bytecode = "all"                          # if that of tests too
//! resolver = "uv 0.13.9"
//! inputs = "…"                              # sha256 of the canonical text of question and resolver
//! question = { dependency = ["ase==3.29.0"], python = ["3.11"], … }
//!
//! [[environment.target]]                    # one for each target, by name
//! name = "linux-x86_64"
//! glibc = "2.28"                            # the oldest C library it runs on
//! implementation = "cpython"
//! python = "3.11"                           # as exact as the manifest asks
//! python-source = "system"                  # or "managed": then `python` is exact, and `archive` names it
//! soabi = "cpython-311-x86_64-linux-gnu"
//! digest = "…"                              # sha256 of the canonical text of the answer
//! archive = "cpython 3.11.18 0d8e2a6f3c1b"   # of a managed interpreter: a key of [pythons]
//! packages = ["ase 3.29.0 7b9dd103f007"]    # name, version, first 12 digits of the sha256: a key of [files]
//!
//! [environment.target.build]                # for each source distribution, what building it takes
//! b = ["setuptools 80.9.0 062d34222ad1"]
//!
//! [environment.target.trees]                # what `rootstock lock --record` has seen built, by the generation's id
//! 5dc9…70e2 = { python = "3.11.7", tree = "…", digest = "…" }   # digest: of id, Python, tree and the answer's digest
//!
//! [models]
//! emt = { environment = "emt", argument = "" }
//! m = { environment = "mace", argument = "m", setup = { … }, weights = [{ url = "…", … , sha256 = "…" }], digest = "…" }
//!
//! # What the manifest says of a model, if anything: about = { elements = ["H-Bi"], licence = "MIT", … }
//! # Recorded numbers of a model (`rootstock probe --record`), its digest over all the rest:
//! # reference = { path = "references/m.extxyz", sha256 = "…", target = "linux-x86_64", answer = "…", generation = "…",
//! #   model = "…", weights = "…", dtype = "float32", conditions = { device = "cpu", … }, digest = "…" }
//! # A file of the hub has its commit: weights = [{ url = "hf://org/name@main/file", commit = "…", path = … }]
//!
//! [pythons]                                 # each archive with a managed interpreter once
//! "cpython 3.11.18 0d8e2a6f3c1b" = { build = "20261110", url = "…", sha256 = "…" }
//!
//! [files]                                   # each file once, by name, version and digest
//! "ase 3.29.0 7b9dd103f007" = { file = "ase-3.29.0-py3-none-any.whl", size = 3014724, sha256 = "…" }
//! "a 1.0 0123456789ab" = { index = "torch", file = … }                   # from a declared index
//! "b 1.0 0123456789ab" = { url = "https://…/b-1.0.tar.gz", subdirectory = "…", file = … }
//! "c 1.0 0123456789ab" = { git = "https://…", commit = "…", subdirectory = "…", file = "c-1.0.tar", … }
//! "d 1.0 0123456789ab" = { path = "./libs/d", file = "d-1.0.tar", … }    # relative to the manifest
//! ```
//!
//! A repository or a directory is locked as the archive that rootstock makes of its files.
//!
//! One lock has one text: environments, models and files are sorted, keys stand in this order, `\n` ends lines. The text
//! holds no address of an index, no absolute path and no time. A text that is not the one its content would be written as
//! was edited by hand.

use std::borrow::Cow;

use miette::Diagnostic;

use super::Lock;
use crate::manifest::{Excerpt, excerpt};
use crate::name::EnvironmentName;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod toml_text;
mod verify;
mod write;
mod written;

pub use write::text;
use written::{Format, Written};

/// The format this version writes and reads.
pub const VERSION: u64 = 1;

/// The text is not a lock.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// It cannot be read at all.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unreadable(Box<Unreadable>),
    /// A later rootstock wrote it.
    #[error("`{name}` has format version {found}; this rootstock reads version {VERSION}")]
    #[diagnostic(help("a newer rootstock wrote it: use that one"))]
    Newer {
        /// The file's name.
        name: String,
        /// Its version.
        found: u64,
    },
    /// Its own digests do not hold, or its text is not what its content is written as.
    #[error("`{name}` was changed by hand")]
    #[diagnostic(help("restore it from version control, or write it anew with `rootstock lock`"))]
    Edited {
        /// The file's name.
        name: String,
        /// Everything that was found.
        edits: Vec<Edit>,
    },
}

/// A text that is not a lock.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("`{name}` cannot be read: {reason}")]
#[diagnostic(help("restore it from version control, or write it anew with `rootstock lock`"))]
pub struct Unreadable {
    /// The file's name.
    pub name: String,
    /// The parser's message.
    pub reason: String,
    /// Its text.
    #[source_code]
    pub text: miette::NamedSource<String>,
    /// Where the parser stopped.
    #[label("here")]
    pub place: Option<miette::SourceSpan>,
}

/// A place where a lock contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The environment it is in, if it is in one.
    pub environment: Option<EnvironmentName>,
    /// What does not hold.
    pub what: String,
    /// The line, counted from 1, where it is a matter of one line.
    pub line: Option<usize>,
}

/// Reads the text of a lock; `name` is what messages call it.
pub fn read(name: &str, text: &str) -> Result<Lock, Error> {
    // Some checkouts have Windows line ends.
    let text = if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let unreadable = |error: &toml::de::Error| {
        let place = error.span();
        let cut = place.clone().and_then(|place| excerpt(&text, place));
        let (text, place) = match cut {
            Some(Excerpt { text, span, .. }) => (text, Some(span)),
            None => (text.clone().into_owned(), place),
        };
        Error::Unreadable(Box::new(Unreadable {
            name: name.to_owned(),
            reason: error.message().trim().to_owned(),
            place: place.map(Into::into),
            text: miette::NamedSource::new(name, text),
        }))
    };
    let newer = |found| {
        Err(Error::Newer {
            name: name.to_owned(),
            found,
        })
    };
    let written = match toml::from_str::<Written>(&text) {
        Ok(written) if written.version <= VERSION => written,
        // A later format may have keys of which this one knows nothing; its version is readable all the same.
        other => match toml::from_str::<Format>(&text) {
            Ok(Format { version }) if version > VERSION => return newer(version),
            Ok(_) => return Err(unreadable(&other.err().expect("its version is known"))),
            Err(error) => return Err(unreadable(&other.err().unwrap_or(error))),
        },
    };
    let mut edits = Vec::new();
    let lock = verify::lock(written, &mut edits);
    if edits.is_empty() && !write::is_text(&text, &lock) {
        edits.extend(first_difference(&text, &write::text(&lock)));
    }
    if edits.is_empty() {
        Ok(lock)
    } else {
        Err(Error::Edited {
            name: name.to_owned(),
            edits,
        })
    }
}

/// The first line in which a text differs from the one that would be written.
fn first_difference(found: &str, expected: &str) -> Option<Edit> {
    if found == expected {
        return None;
    }
    let (mut environment, mut opened) = (None, false);
    let mut expected = expected.lines();
    for (number, line) in found.lines().enumerate() {
        let name = line
            .strip_prefix("name = \"")
            .and_then(|rest| rest.strip_suffix('"'));
        if let Some(name) = name.filter(|_| opened) {
            environment = name.parse().ok();
        } else if ["[models]", "[pythons]", "[files]"].contains(&line) {
            environment = None;
        }
        opened = line == "[[environment]]";
        if expected.next() != Some(line) {
            let what = format!(
                "line {} is not as rootstock writes it: `{}`",
                number + 1,
                line.trim()
            );
            return Some(Edit {
                environment,
                what,
                line: Some(number + 1),
            });
        }
    }
    Some(Edit {
        environment: None,
        what: "its end is not as rootstock writes it".into(),
        line: Some(found.lines().count().max(1)),
    })
}

#[cfg(test)]
pub(crate) mod tests;
