//! The lock beside a manifest: where it is, whether it answers the manifest, how it is written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::drift::{self, Code, Finding, Report, Subject};
use super::{Lock, file};
use crate::files;
use crate::manifest::Manifest;
use crate::name::EnvironmentName;

/// The path of a manifest's lock: `rootstock.toml` has `rootstock.lock`.
pub fn path(manifest: &Path) -> PathBuf {
    manifest.with_extension("lock")
}

/// The lock in a file; `None` if there is no such file.
pub fn read(path: &Path) -> Result<Option<Lock>, file::Error> {
    let here = path.parent().unwrap_or(Path::new(""));
    let name = Path::new(path.file_name().unwrap_or_default());
    match files::read_text_of_project_if_present(here, name) {
        Ok(None) => Ok(None),
        Ok(Some(text)) => file::read(&path.display().to_string(), &text).map(Some),
        Err(error) => Err(file::Error::Unreadable(Box::new(file::Unreadable {
            name: path.display().to_string(),
            reason: error.source.to_string(),
            text: miette::NamedSource::new("", String::new()),
            place: None,
        }))),
    }
}

/// Writes a lock; returns whether the file had another text, or was not there.
pub fn write(path: &Path, lock: &Lock) -> files::Result<bool> {
    let text = file::text(lock);
    let there = files::read_text_if_present(path).ok().flatten();
    let differs = there.as_deref() != Some(&text);
    if differs {
        files::write_atomically(path, text.as_bytes())?;
    }
    Ok(differs)
}

/// A lock that answers the manifest in what was asked for.
#[derive(Debug)]
pub struct Current {
    /// The lock.
    pub lock: Lock,
    /// Environments in which it does not.
    pub drifted: BTreeSet<EnvironmentName>,
}

/// There is no lock that answers the manifest.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It does not answer, was edited or is missing.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Drifted(Report),
    /// It cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unreadable(file::Error),
}

/// The lock of a manifest, if it answers the manifest in all these environments and their models, or in all there are.
pub fn current(manifest: &Manifest, only: Option<&[EnvironmentName]>) -> Result<Current, Error> {
    let path = path(&manifest.path);
    let findings = match read(&path) {
        Ok(Some(lock)) => {
            let mut findings = drift::findings(manifest, &lock);
            let drifted = drifted(manifest, &lock, &findings);
            if let Some(only) = only {
                findings.retain(|finding| {
                    let of = environments_of(manifest, &lock, finding);
                    of.is_empty() || of.iter().any(|name| only.contains(name))
                });
            }
            if findings.is_empty() {
                return Ok(Current { lock, drifted });
            }
            findings
        }
        Ok(None) => vec![of_the_lock(
            Code::LockMissing,
            format!("there is no lock `{}`", path.display()),
        )],
        Err(file::Error::Edited { edits, .. }) => edits.into_iter().map(edited).collect(),
        Err(error) => return Err(Error::Unreadable(error)),
    };
    Err(Error::Drifted(report(manifest, findings)))
}

/// What differs between a manifest and its lock, the recorded numbers of models included.
pub fn examine(manifest: &Manifest, only: Option<&[EnvironmentName]>) -> Result<Report, Error> {
    let (mut found, lock) = match current(manifest, only) {
        Ok(current) => (report(manifest, Vec::new()), Some(current.lock)),
        Err(Error::Drifted(found)) => (found, read(&path(&manifest.path)).ok().flatten()),
        Err(error) => return Err(error),
    };
    if let Some(lock) = lock {
        let mut references = drift::references::findings(manifest, &lock);
        references.retain(|finding| {
            let of = environments_of(manifest, &lock, finding);
            only.is_none_or(|only| of.iter().any(|name| only.contains(name)))
        });
        found.drifted |= !references.is_empty();
        found.findings.extend(references);
    }
    Ok(found)
}

/// The report of these findings about a manifest and the lock beside it.
pub fn report(manifest: &Manifest, findings: Vec<Finding>) -> Report {
    Report {
        lock: path(&manifest.path),
        drifted: !findings.is_empty(),
        findings,
        manifest: manifest.path.clone(),
    }
}

/// Every environment that one of these findings is about.
pub fn drifted(
    manifest: &Manifest,
    lock: &Lock,
    findings: &[Finding],
) -> BTreeSet<EnvironmentName> {
    let of = findings
        .iter()
        .flat_map(|finding| environments_of(manifest, lock, finding));
    of.cloned().collect()
}

/// The environments that a finding is about: of a model, the one it runs in and the one it is locked for.
fn environments_of<'a>(
    manifest: &'a Manifest,
    lock: &'a Lock,
    finding: &'a Finding,
) -> Vec<&'a EnvironmentName> {
    match &finding.subject {
        Subject::Lock => Vec::new(),
        Subject::Environment(name) => vec![name],
        Subject::Model(id) => {
            let declared = manifest.models.iter().filter(|model| model.id == *id);
            let locked = lock.models.iter().filter(|model| model.id == *id);
            let declared = declared.map(|model| &model.environment);
            declared
                .chain(locked.map(|model| &model.environment))
                .collect()
        }
    }
}

fn of_the_lock(code: Code, message: String) -> Finding {
    Finding {
        code,
        subject: Subject::Lock,
        message,
        was: None,
        now: None,
        line: None,
    }
}

fn edited(edit: file::Edit) -> Finding {
    Finding {
        subject: edit.environment.map_or(Subject::Lock, Subject::Environment),
        line: edit.line,
        ..of_the_lock(Code::LockEdited, edit.what)
    }
}
