//! `rootstock lock`: resolve and write, or check and explain.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, findings, pythons, record, root, show, upgrade};
use crate::files;
use crate::lock::drift::{Code, Finding, Subject};
use crate::lock::{Lock, LockedPython, LockedTarget, changes, drift, file};
use crate::manifest::Manifest;
use crate::name::EnvironmentName;
use crate::python;
use crate::resolve::{self, Context, Failure as Failed, Failures, Resolved};

const EXAMPLES: &str = "Examples:
  rootstock lock                    resolve what is not locked yet
  rootstock lock mace               only this environment, leave every line of the others
  rootstock lock --check            exit 3 if the lock does not answer the manifest
  rootstock lock --upgrade=torch    move torch on, keep everything else
  rootstock lock --upgrade-env=mace move on in one environment, leave every line of the others
  rootstock lock --record           write down what is built here, so that every other build must be the same";

/// Arguments of `rootstock lock`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", findings::codes())
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one flag of the command line"
)]
pub(crate) struct Arguments {
    /// Environments or models; without any, all. What cannot be resolved stays in the lock as it was and is named, exit
    /// 1; the rest is written.
    #[arg(value_name = "NAME", conflicts_with = "upgrade_environments")]
    names: Vec<String>,
    /// Compare only: exit 3 with every difference if the lock does not answer the manifest. Reads three kinds of file,
    /// runs nothing, needs no network.
    #[arg(long, conflicts_with = "upgrade")]
    check: bool,
    /// Move on to the newest versions that fit: of everything, or of these packages.
    #[arg(long, value_name = "PACKAGE", num_args = 0..=1, require_equals = true, value_delimiter = ',')]
    upgrade: Option<Vec<String>>,
    /// Move on only in these environments and their models: everything there, or what `--upgrade` names.
    #[arg(
        long = "upgrade-env",
        value_name = "NAME",
        value_delimiter = ',',
        conflicts_with = "check"
    )]
    upgrade_environments: Option<Vec<String>>,
    /// Resolve nothing: read what is built in the root to the end, and write its tree digests into the lock. From then on
    /// `sync` refuses a build of the same generation that has other files, on any machine. A record is forgotten when its
    /// line is removed by hand, and with the last line of a target the title above it.
    #[arg(long, conflicts_with_all = ["check", "upgrade", "upgrade_environments"])]
    record: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// With `--check`: print each difference as a GitHub Actions annotation too.
    #[arg(long, requires = "check", conflicts_with = "json")]
    github: bool,
    /// With `--check`: write the differences as SARIF 2.1.0, to this file or to standard output.
    #[arg(long, requires = "check", value_name = "FILE", num_args = 0..=1, default_missing_value = findings::STDOUT)]
    sarif: Option<PathBuf>,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let manifest = manifest(shared)?;
    let path = lock_path(&manifest.path);
    let chosen = if arguments.names.is_empty() {
        None
    } else {
        Some(root::environments(&arguments.names, true, &manifest)?)
    };
    let only = chosen.as_deref();
    if arguments.check {
        let current = current(&manifest, &path, only)?;
        let findings = current.as_ref().err().map_or(&[][..], Vec::as_slice);
        return check(&manifest, &path, findings, arguments);
    }
    if arguments.record {
        return match record::record(shared, &manifest, &path, only)? {
            Err(findings) => check(&manifest, &path, &findings, arguments),
            Ok((old, new)) => {
                write(&path, Some(&old), &new, &[], arguments.json)?;
                Ok(Exit::Ok)
            }
        };
    }
    let mut upgrade = upgrade::from_words(
        arguments.upgrade.as_deref(),
        arguments.upgrade_environments.as_deref(),
        &manifest,
    )?;
    if let Some(only) = only {
        upgrade.environments = Some(only.iter().cloned().collect());
    }
    let old = old(&path, only.is_some())?;
    let environment = context::uv_environment();
    let uv = || context::find_uv(shared, &environment);
    let interpreters = || {
        context::warn_of_refused(&["uv", "git"]);
        python::on_path(&context::search_path(), &context::kept_environment())
    };
    let on_environment = |name: &EnvironmentName| show::remark(&format!("resolving {name} …"));
    let mirror = pythons::mirror(&manifest);
    let managed = |python: &LockedPython| pythons::provide(python, mirror.as_ref());
    let context = Context {
        uv: &uv,
        managed: &managed,
        hub: &context::hub(),
        mirror: mirror.as_ref(),
        interpreters: &interpreters,
        credentials: &context::credentials(&manifest.indexes, &environment),
        credentials_for_weights: &context::credentials(&BTreeMap::new(), &environment),
        here: manifest.path.parent().unwrap_or(Path::new("")),
        cache: &context::user_cache(),
        path: &context::search_path(),
        variables: &context::kept_environment(),
        on_environment: &on_environment,
        remark: &show::remark,
    };
    let Resolved { lock, failures } =
        resolve::resolve(&manifest, old.as_ref(), only, &upgrade, &context)
            .or_exit(Exit::Failed)?;
    if failures.is_empty() {
        upgrade::check(&upgrade, old.as_ref(), &lock)?;
    }
    write(&path, old.as_ref(), &lock, &failures, arguments.json)?;
    if failures.is_empty() {
        left_over(&manifest, &lock, &path);
        return Ok(Exit::Ok);
    }
    failed(&lock, failures);
    Ok(Exit::Failed)
}

/// What the lock has already. One that was edited, or is of no known shape, is no ground to keep anything on: all is
/// solved anew, if all is asked for.
fn old(path: &Path, some_only: bool) -> Result<Option<Lock>, Failure> {
    match read(path) {
        Ok(old) => Ok(old),
        Err(error) if some_only => {
            let code = match error {
                file::Error::Edited { .. } => Exit::Drift,
                _ => Exit::Usage,
            };
            let help = "`rootstock lock` without names resolves everything anew";
            Err(Failure::new(code, &error.to_string(), Some(help)))
        }
        Err(error @ (file::Error::Edited { .. } | file::Error::Unreadable(_))) => {
            show::remark(&format!("warning: {error}; everything is resolved anew"));
            Ok(None)
        }
        Err(error @ file::Error::Newer { .. }) => Err(error).or_exit(Exit::Usage),
    }
}

/// Explains what could not be locked, and says what the lock has of it.
fn failed(lock: &Lock, failures: Vec<Failed>) {
    let stays = |failure: &Failed| match failure.subject() {
        Subject::Environment(name) => lock.environment(&name).is_some(),
        Subject::Model(id) => lock.models.iter().any(|model| model.id == id),
        Subject::Lock => false,
    };
    let subjects = |stay: bool| {
        let of = failures
            .iter()
            .filter(move |failure| stays(failure) == stay);
        of.map(|failure| failure.subject().to_string())
    };
    let (before, missing): (Vec<_>, Vec<_>) = (subjects(true).collect(), subjects(false).collect());
    let names = [("as before", before), ("not", missing)];
    let names = names.iter().filter(|(_, of)| !of.is_empty());
    let parts: Vec<String> = names
        .map(|(how, of)| format!("{how} in the lock: {}", of.join(", ")))
        .collect();
    show::failure(&Failure {
        report: miette::Report::new(Failures { failures }),
        exit: Exit::Failed,
    });
    if !lock.environments.is_empty() {
        show::remark(&parts.join("; "));
    }
}

/// Names what was not asked for and is not locked as the manifest says.
fn left_over(manifest: &Manifest, lock: &Lock, path: &Path) {
    let drifted = drifted(manifest, lock, &drift::findings(manifest, lock));
    if !drifted.is_empty() {
        let names: Vec<&str> = drifted.iter().map(EnvironmentName::as_str).collect();
        show::remark(&format!(
            "not asked for, and `{}` does not answer the manifest for: {}",
            path.display(),
            names.join(", ")
        ));
    }
}

/// Writes a lock that differs from the old one, and prints the changes. A lock without an environment is not begun.
fn write(
    path: &Path,
    old: Option<&Lock>,
    lock: &Lock,
    failures: &[Failed],
    json: bool,
) -> Result<(), Failure> {
    let text = file::text(lock);
    let there = files::read_text_if_present(path).ok().flatten();
    let begun = there.is_some() || !lock.environments.is_empty() || failures.is_empty();
    let written = begun && there.as_deref() != Some(&text);
    if written {
        files::write_atomically(path, text.as_bytes()).map_err(|error| Failure::files(&error))?;
    }
    if begun || json {
        report(path, old, lock, failures, written, json);
    }
    Ok(())
}

/// The manifest of this run, checked.
pub(super) fn manifest(shared: &Shared) -> Result<Manifest, Failure> {
    Manifest::load(&shared.manifest, Path::new("")).or_exit(Exit::Usage)
}

/// The lock stands beside the manifest, with its name: `rootstock.toml` and `rootstock.lock`.
pub(super) fn lock_path(manifest: &Path) -> PathBuf {
    manifest.with_extension("lock")
}

/// The lock in a file; `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Lock>, file::Error> {
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

/// A lock that answers the manifest in what it was asked for.
pub(super) struct Current {
    pub(super) lock: Lock,
    /// Environments in which it does not.
    pub(super) drifted: BTreeSet<EnvironmentName>,
}

/// The lock, if it answers the manifest in all these environments and their models, or in all there are; else every
/// reason why not.
pub(super) fn current(
    manifest: &Manifest,
    path: &Path,
    only: Option<&[EnvironmentName]>,
) -> Result<Result<Current, Vec<Finding>>, Failure> {
    match read(path) {
        Ok(Some(lock)) => {
            let mut findings = drift::findings(manifest, &lock);
            let drifted = drifted(manifest, &lock, &findings);
            if let Some(only) = only {
                findings.retain(|finding| {
                    let of = environments_of(manifest, &lock, finding);
                    of.is_empty() || of.iter().any(|name| only.contains(name))
                });
            }
            Ok(if findings.is_empty() {
                Ok(Current { lock, drifted })
            } else {
                Err(findings)
            })
        }
        Ok(None) => {
            let message = format!("there is no lock `{}`", path.display());
            Ok(Err(vec![Finding {
                code: Code::LockMissing,
                subject: Subject::Lock,
                message,
                was: None,
                now: None,
                line: None,
            }]))
        }
        Err(file::Error::Edited { edits, .. }) => Ok(Err(edits.into_iter().map(edited).collect())),
        Err(error) => Err(error).or_exit(Exit::Usage),
    }
}

/// Every environment that one of these findings is about.
pub(super) fn drifted(
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

fn edited(edit: file::Edit) -> Finding {
    Finding {
        code: Code::LockEdited,
        subject: edit.environment.map_or(Subject::Lock, Subject::Environment),
        message: edit.what,
        was: None,
        now: None,
        line: edit.line,
    }
}

fn check(
    manifest: &Manifest,
    path: &Path,
    findings: &[Finding],
    arguments: &Arguments,
) -> Result<Exit, Failure> {
    let report = findings::Report {
        findings,
        lock: path,
        manifest,
    };
    let occupied = arguments.sarif.as_deref() == Some(Path::new(findings::STDOUT));
    if occupied && (arguments.json || arguments.github) {
        return Err(Failure::usage(
            "standard output has room for one of `--sarif`, `--json` and `--github`",
            "write SARIF to a file: `--sarif rootstock.sarif`",
        ));
    }
    if let Some(file) = &arguments.sarif {
        report.sarif(file)?;
    }
    if arguments.json {
        report.json();
    } else if !findings.is_empty() {
        report.explain();
        if arguments.github {
            report.annotate();
        }
    } else if !occupied {
        show::line(&format!(
            "`{}` answers `{}`",
            path.display(),
            manifest.path.display()
        ));
    }
    Ok(if findings.is_empty() {
        Exit::Ok
    } else {
        Exit::Drift
    })
}

fn report(
    path: &Path,
    old: Option<&Lock>,
    lock: &Lock,
    failures: &[Failed],
    written: bool,
    json: bool,
) {
    let changes = changes::between(old, lock);
    if json {
        let list: Vec<_> = changes.iter().map(changes::Change::json).collect();
        let failed = failures.iter().map(|failure| {
            json!({ "subject": failure.subject().to_string(), "message": failure.to_string() })
        });
        show::json(&json!({
            "lock": path.display().to_string(),
            "written": written,
            "changes": list,
            "failed": failed.collect::<Vec<_>>(),
        }));
        return;
    }
    // A lock that was not there before changes in everything: the count says it, a table would bury it.
    if old.is_some() {
        for line in changes::table(&changes) {
            show::line(&line);
        }
    }
    let environments = lock.environments.len();
    let files: BTreeSet<_> = lock
        .environments
        .iter()
        .flat_map(|e| &e.targets)
        .flat_map(LockedTarget::files)
        .map(|p| p.sha256)
        .collect();
    let did = match (written, failures) {
        (true, _) => "written",
        (false, []) => "is up to date",
        (false, _) => "is as it was",
    };
    let counts = [
        show::counted(environments, "environment"),
        show::counted(lock.models.len(), "model"),
        show::counted(files.len(), "file"),
    ];
    show::line(&format!("{} {did}: {}", path.display(), counts.join(", ")));
}
