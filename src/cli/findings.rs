//! Prints the differences between manifest and lock: for people, for programs, and for those that show them beside
//! the files they are in. What differs is not decided here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::{sarif, show};
use crate::files;
use crate::lock::drift::{Code, Finding, Subject};
use crate::manifest::{self, Manifest};

/// The name of a file that means standard output.
pub(super) const STDOUT: &str = "-";

/// What was found, and in which files.
pub(super) struct Report<'a> {
    pub(super) findings: &'a [Finding],
    pub(super) lock: &'a Path,
    pub(super) manifest: &'a Manifest,
}

/// Explains why a command that needs a lock which answers its manifest goes no further; how it ends.
pub(super) fn drifted(findings: &[Finding], lock: &Path, manifest: &Manifest) -> Exit {
    let report = Report {
        findings,
        lock,
        manifest,
    };
    report.explain();
    Exit::Drift
}

/// The place of a finding: a file, and where in it.
pub(super) struct Place {
    pub(super) file: PathBuf,
    /// Counted from 1.
    pub(super) line: usize,
    /// First column, and the one behind the last, counted in characters from 1; unknown where the line is meant.
    pub(super) columns: Option<(usize, usize)>,
}

impl Report<'_> {
    /// Every finding, one line each, and what to do.
    pub(super) fn explain(&self) {
        show::remark(&format!(
            "`{}` does not answer `{}`:",
            self.lock.display(),
            self.manifest.path.display()
        ));
        for Finding {
            code,
            subject,
            message,
            ..
        } in self.findings
        {
            show::remark(&format!("  {subject}: {message} [{code}]"));
        }
        show::remark("run `rootstock lock`, look at the difference, and commit it");
    }

    /// For machines.
    pub(super) fn json(&self) {
        show::json(&json!({
            "lock": self.lock.display().to_string(),
            "drifted": !self.findings.is_empty(),
            "findings": json(self.findings),
        }));
    }

    /// As SARIF, into a file or to standard output.
    pub(super) fn sarif(&self, file: &Path) -> Result<(), Failure> {
        let log = sarif::log(&self.placed());
        if file == Path::new(STDOUT) {
            show::json(&log);
            return Ok(());
        }
        files::write_atomically(file, format!("{}\n", show::json_text(&log)).as_bytes())
            .map_err(|error| Failure::files(&error))
    }

    /// As workflow commands of GitHub Actions: each finding beside its line.
    pub(super) fn annotate(&self) {
        for (finding, place) in self.placed() {
            show::command("error", &annotation(finding, &place));
        }
    }

    fn placed(&self) -> Vec<(&Finding, Place)> {
        // A manifest that was read a moment ago and is gone now has no lines to point to.
        let text = files::read_text(&self.manifest.path).unwrap_or_default();
        let placed = |finding| (finding, self.place(finding, &text));
        self.findings.iter().map(placed).collect()
    }

    fn place(&self, finding: &Finding, text: &str) -> Place {
        let manifest = &self.manifest.path;
        let Finding { code, subject, .. } = finding;
        if *code == Code::LockEdited {
            return Place {
                file: self.lock.to_owned(),
                line: finding.line.unwrap_or(1),
                columns: None,
            };
        }
        if let (Code::SourceChanged, Subject::Environment(name)) = (*code, subject)
            && let Some(environment) = self.manifest.environment(name)
        {
            let directory = manifest.parent().unwrap_or(Path::new(""));
            return Place {
                file: directory.join(&environment.source),
                line: 1,
                columns: None,
            };
        }
        let found = self.keys(finding).into_iter().find_map(|keys| {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            manifest::place(text, &keys)
        });
        let file = manifest.clone();
        let Some(span) = found else {
            return Place {
                file,
                line: 1,
                columns: None,
            };
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
    fn keys(&self, finding: &Finding) -> Vec<Vec<String>> {
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
                let declared = self.manifest.models.iter().find(|model| model.id == *id);
                // Models of the short form stand in a list of their environment.
                keys.extend(
                    declared
                        .map(|model| path(&["environments", model.environment.as_str(), "models"])),
                );
            }
        }
        keys
    }
}

/// The key of an environment's or a model's table that decides what a code is about; empty if it is the table.
fn key(code: Code) -> &'static str {
    match code {
        Code::ConstraintChanged => "constraints",
        Code::ExcludeChanged => "exclude",
        Code::IndexChanged => "indexes",
        Code::KeepChanged => "keep",
        Code::OverrideChanged => "overrides",
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

/// Findings for machines.
pub(super) fn json(findings: &[Finding]) -> Vec<Value> {
    let one = |Finding {
                   code,
                   subject,
                   message,
                   was,
                   now,
                   line: _,
               }: &Finding| {
        json!({ "code": code, "subject": subject.to_string(), "message": message, "was": was, "now": now })
    };
    findings.iter().map(one).collect()
}

/// Every code and what it says, for `--help`.
pub(super) fn codes() -> String {
    let names = Code::ALL.iter().map(|code| code.name().len());
    let width = names.max().unwrap_or(0);
    let mut text = String::from(
        "Differences that `--check` finds, by their codes, which stay the same for ever:",
    );
    for code in Code::ALL {
        let meaning = code.meaning();
        let _ = write!(text, "\n  {code:width$}  {meaning}");
    }
    text
}

fn annotation(finding: &Finding, place: &Place) -> String {
    let Finding {
        code,
        subject,
        message,
        ..
    } = finding;
    // Percent, carriage return and line feed would end or change the command.
    let data = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    format!(
        "file={},line={},title=rootstock {code}::{}",
        property(&place.file.display().to_string()),
        place.line,
        data(&format!("{subject}: {message}"))
    )
}
