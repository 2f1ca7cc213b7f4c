//! Does a lock still answer a manifest? Static: compares two values, reads nothing, starts nothing.
//!
//! Each difference has a code that stays the same for ever, so that other programs can act on it.

use serde::Serialize;

use super::{Lock, LockedEnvironment, question};
use crate::manifest::{Environment, Manifest, Requirement};
use crate::name::{self, EnvironmentName, ModelId};

mod codes;
mod direct;
pub(crate) mod github;
mod models;
mod places;
pub mod references;
mod report;
pub(crate) mod sarif;
mod violations;

pub use codes::Code;
use models::models;
pub use report::Report;
use violations::violations;

/// What a difference is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Subject {
    /// The lock as a whole.
    #[default]
    Lock,
    /// An environment.
    Environment(EnvironmentName),
    /// A model.
    Model(ModelId),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::Lock => out.write_str("lock"),
            Subject::Environment(name) => write!(out, "environment {name}"),
            Subject::Model(id) => write!(out, "model {id}"),
        }
    }
}

/// One way in which the lock does not answer the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of difference.
    pub code: Code,
    /// What it is about.
    pub subject: Subject,
    /// What differs, for a person.
    pub message: String,
    /// In the lock.
    pub was: Option<String>,
    /// In the manifest.
    pub now: Option<String>,
    /// The line of the lock it is about, where it is about one.
    #[serde(skip)]
    pub line: Option<usize>,
}

/// Every difference between a manifest and a lock, environments first, in the order of their names.
pub fn findings(manifest: &Manifest, lock: &Lock) -> Vec<Finding> {
    let mut found = Findings::default();
    for environment in &manifest.environments {
        found.subject = Subject::Environment(environment.name.clone());
        match lock.environment(&environment.name) {
            Some(locked) => compare(&mut found, manifest, environment, locked),
            None => added(&mut found, &environment.name),
        }
    }
    for locked in &lock.environments {
        if manifest.environment(&locked.name).is_none() {
            found.subject = Subject::Environment(locked.name.clone());
            removed(&mut found, manifest, &locked.name);
        }
    }
    models(&mut found, manifest, lock);
    found.all
}

fn added(found: &mut Findings, name: &EnvironmentName) {
    let (code, message) = match name.series() {
        None => (
            Code::EnvironmentAdded,
            "is in the manifest, but not in the lock".to_owned(),
        ),
        Some(series) => (
            Code::SeriesAdded,
            format!("`also-python` names {series}, for which nothing is locked"),
        ),
    };
    found.add(code, message, None, name.series().map(str::to_owned));
}

fn removed(found: &mut Findings, manifest: &Manifest, name: &EnvironmentName) {
    let mut declared = manifest.environments.iter();
    let is_declared = declared.any(|known| known.name.as_str() == name.declared());
    let (code, message) = match name.series().filter(|_| is_declared) {
        None => (
            Code::EnvironmentRemoved,
            "is in the lock, but no longer in the manifest".to_owned(),
        ),
        Some(series) => (
            Code::SeriesRemoved,
            format!("is locked for {series}, which `also-python` no longer names"),
        ),
    };
    found.add(code, message, name.series().map(str::to_owned), None);
}

#[derive(Default)]
struct Findings {
    subject: Subject,
    all: Vec<Finding>,
}

impl Findings {
    fn add(
        &mut self,
        code: Code,
        message: impl Into<String>,
        was: Option<String>,
        now: Option<String>,
    ) {
        let subject = self.subject.clone();
        self.all.push(Finding {
            code,
            subject,
            message: message.into(),
            was,
            now,
            line: None,
        });
    }

    /// Adds something locked that the manifest does not allow.
    fn violation(&mut self, message: String, was: Option<String>, now: Option<String>) {
        self.add(Code::VersionViolatesManifest, message, was, now);
    }
}

fn compare(
    found: &mut Findings,
    manifest: &Manifest,
    environment: &Environment,
    locked: &LockedEnvironment,
) {
    if environment.source != locked.source.path {
        let (was, now) = (locked.source.path.clone(), environment.source.clone());
        found.add(
            Code::SourceMoved,
            format!("its source was `{was}` and is `{now}`"),
            Some(was),
            Some(now),
        );
    } else if environment.sha256 != locked.source.sha256 {
        let (was, now) = (
            locked.source.sha256.to_string(),
            environment.sha256.to_string(),
        );
        found.add(
            Code::SourceChanged,
            format!("`{}` has changed", environment.source),
            Some(was),
            Some(now),
        );
    }
    compare_questions(found, manifest, environment, locked);
    compare_variables(found, environment, locked);
    compare_targets(found, manifest, environment, locked);
}

fn compare_variables(found: &mut Findings, environment: &Environment, locked: &LockedEnvironment) {
    if environment.variables != locked.variables {
        let text = |variables| serde_json::to_string(variables).ok();
        let (was, now) = (text(&locked.variables), text(&environment.variables));
        found.add(
            Code::VariablesChanged,
            "its variables have changed",
            was,
            now,
        );
    }
    if environment.keep != locked.keep {
        let text = |keep| serde_json::to_string(keep).ok();
        let (was, now) = (text(&locked.keep), text(&environment.keep));
        let what = "the variables it inherits have changed";
        found.add(Code::KeepChanged, what, was, now);
    }
    if environment.functions != locked.functions {
        let text = |functions| serde_json::to_string(functions).ok();
        let (was, now) = (text(&locked.functions), text(&environment.functions));
        let what = "its list of functions has changed";
        found.add(Code::FunctionsChanged, what, was, now);
    }
    if environment.bytecode != locked.bytecode {
        let [was, now] = [locked.bytecode, environment.bytecode].map(|one| one.as_str().to_owned());
        let what = format!("its bytecode was `{was}` and is `{now}`");
        found.add(Code::BytecodeChanged, what, Some(was), Some(now));
    }
}

fn compare_targets(
    found: &mut Findings,
    manifest: &Manifest,
    environment: &Environment,
    locked: &LockedEnvironment,
) {
    for target in &manifest.targets {
        match locked.target(target.name()) {
            None => found.add(
                Code::TargetMissing,
                format!("is not locked for {target}"),
                None,
                Some(target.to_string()),
            ),
            Some(there) if there.target != *target => {
                let (was, now) = (there.target.to_string(), target.to_string());
                found.add(
                    Code::TargetChanged,
                    format!("is locked for {was}, not for {now}"),
                    Some(was),
                    Some(now),
                );
            }
            Some(there) => violations(found, environment, there),
        }
    }
    for there in &locked.targets {
        if !manifest
            .targets
            .iter()
            .any(|target| target.name() == there.target.name())
        {
            let was = there.target.to_string();
            found.add(
                Code::TargetRemoved,
                format!("is locked for {was}, which the manifest no longer names"),
                Some(was),
                None,
            );
        }
    }
}

fn compare_questions(
    found: &mut Findings,
    manifest: &Manifest,
    environment: &Environment,
    locked: &LockedEnvironment,
) {
    let asked = question(manifest, environment);
    let mut keys: Vec<&String> = asked.0.keys().chain(locked.question.0.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (was, now) = (locked.question.values(key), asked.values(key));
        let mut removed: Vec<&String> = was.iter().filter(|value| !now.contains(value)).collect();
        for added in now.iter().filter(|value| !was.contains(value)) {
            let same = removed
                .iter()
                .position(|old| package_name(old) == package_name(added) || is_single(key));
            match same.map(|at| removed.remove(at)) {
                Some(old) => {
                    let message = format!("{key} `{old}` has become `{added}`");
                    found.add(
                        changed(key),
                        message,
                        Some(old.clone()),
                        Some(added.clone()),
                    );
                }
                None => found.add(
                    changed(key),
                    format!("{key} `{added}` was added"),
                    None,
                    Some(added.clone()),
                ),
            }
        }
        for old in removed {
            found.add(
                changed(key),
                format!("{key} `{old}` was removed"),
                Some(old.clone()),
                None,
            );
        }
    }
}

fn changed(key: &str) -> Code {
    match key {
        "dependency" | "build-dependency" => Code::RequirementChanged,
        "constraint" | "build-constraint" => Code::ConstraintChanged,
        "override" => Code::OverrideChanged,
        "exclude" => Code::ExcludeChanged,
        "index" | "index-exclude-newer" => Code::IndexChanged,
        "sdist" => Code::SdistsChanged,
        "exclude-newer" => Code::ExcludeNewerChanged,
        _ => Code::PythonChanged,
    }
}

/// Keys that have one value.
fn is_single(key: &str) -> bool {
    matches!(
        key,
        "python" | "python-source" | "requires-python" | "exclude-newer"
    )
}

fn package_name(requirement: &str) -> Option<String> {
    let requirement: Requirement = name::requirement(requirement).ok()?;
    Some(requirement.name.to_string())
}
