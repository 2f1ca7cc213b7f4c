//! Where in the manifest, the lock or a source a difference is, for programs that show it there.

use std::path::{Path, PathBuf};

use super::{Code, Finding, Report, Subject};
use crate::files;
use crate::manifest::{self, Manifest};

/// The place of a finding: a file, and where in it.
pub(super) struct Place {
    pub(super) file: PathBuf,
    /// Counted from 1.
    pub(super) line: usize,
    /// First column, and the one behind the last, counted in characters from 1; unknown where the line is meant.
    pub(super) columns: Option<(usize, usize)>,
}

impl Place {
    fn line(file: PathBuf, line: usize) -> Self {
        Self {
            file,
            line,
            columns: None,
        }
    }
}

/// Every finding with its place.
pub(super) fn places<'r>(report: &'r Report, manifest: &Manifest) -> Vec<(&'r Finding, Place)> {
    // A manifest that was read a moment ago and is gone now has no lines to point to.
    let text = files::read_text(&manifest.path).unwrap_or_default();
    let findings = report.findings.iter();
    findings
        .map(|finding| (finding, place(finding, report, manifest, &text)))
        .collect()
}

fn place(finding: &Finding, report: &Report, manifest: &Manifest, text: &str) -> Place {
    let Finding { code, subject, .. } = finding;
    if *code == Code::LockEdited {
        return Place::line(report.lock.clone(), finding.line.unwrap_or(1));
    }
    if let (Code::SourceChanged, Subject::Environment(name)) = (*code, subject)
        && let Some(environment) = manifest.environment(name)
    {
        let directory = manifest.path.parent().unwrap_or(Path::new(""));
        return Place::line(directory.join(&environment.source), 1);
    }
    let found = keys(finding, manifest).into_iter().find_map(|keys| {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        manifest::place(text, &keys)
    });
    let file = manifest.path.clone();
    let Some(span) = found else {
        return Place::line(file, 1);
    };
    let before = &text[..span.start];
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Place {
        file,
        line: before.matches('\n').count() + 1,
        columns: Some((column, column + text[span].chars().count())),
    }
}

/// The keys of the manifest that a finding is about, the nearest first.
fn keys(finding: &Finding, manifest: &Manifest) -> Vec<Vec<String>> {
    let path = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    let whole = match finding.code {
        Code::TargetMissing | Code::TargetChanged | Code::TargetRemoved => Some("targets"),
        Code::ExcludeNewerChanged => Some("exclude-newer"),
        _ => None,
    };
    let key = key(finding.code);
    let mut keys = Vec::new();
    keys.extend(whole.map(|key| path(&["rootstock", key])));
    match &finding.subject {
        Subject::Lock => {}
        Subject::Environment(name) => {
            keys.push(path(&["environments", name.declared(), key]));
            keys.push(path(&["environments", name.declared()]));
        }
        Subject::Model(id) => {
            keys.push(path(&["models", id.as_str(), key]));
            keys.push(path(&["models", id.as_str()]));
            let declared = manifest.models.iter().find(|model| model.id == *id);
            // Models of the short form stand in a list of their environment.
            keys.extend(
                declared.map(|model| path(&["environments", model.environment.as_str(), "models"])),
            );
        }
    }
    keys
}

/// The key of an environment's or a model's table that decides what a code is about; empty if it is the table.
fn key(code: Code) -> &'static str {
    match code {
        Code::BytecodeChanged => "bytecode",
        Code::ConstraintChanged => "constraints",
        Code::ExcludeChanged => "exclude",
        Code::IndexChanged => "indexes",
        Code::KeepChanged => "keep",
        Code::FunctionsChanged => "functions",
        Code::OverrideChanged => "overrides",
        Code::ReferenceChanged | Code::ReferenceMissing | Code::ReferenceStale => "reference",
        Code::PythonChanged => "python",
        Code::RequirementChanged | Code::LocalChanged => "dependencies",
        Code::SdistsChanged | Code::BuildUnpinned => "sdists",
        Code::SeriesAdded | Code::SeriesRemoved => "also-python",
        Code::SourceMoved => "source",
        Code::VariablesChanged => "variables",
        Code::WeightsChanged => "weights",
        Code::EnvironmentAdded
        | Code::EnvironmentRemoved
        | Code::ExcludeNewerChanged
        | Code::LockEdited
        | Code::LockMissing
        | Code::AboutChanged
        | Code::ModelAdded
        | Code::ModelChanged
        | Code::ModelRemoved
        | Code::SourceChanged
        | Code::TargetChanged
        | Code::TargetMissing
        | Code::TargetRemoved
        | Code::VersionViolatesManifest => "",
    }
}
