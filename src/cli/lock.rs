//! `rootstock lock`: resolve and write, or check and explain.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, lock_diff, pythons, root, show};
use crate::files;
use crate::lock::beside::{self, Current};
use crate::lock::drift::{Code, Subject, github, sarif};
use crate::lock::{self, Lock, LockedPython, Report, drift, file};
use crate::manifest::Manifest;
use crate::name::EnvironmentName;
use crate::python;
use crate::report::{Problem, codes};
use crate::resolve::{self, Context, Failure as Failed, Failures, Resolved, Upgrade};
use crate::sync::record;

/// The name of a file that means standard output.
const STDOUT: &str = "-";

const EXAMPLES: &str = "Examples:
  rootstock lock                    resolve what is not locked yet
  rootstock lock mace               only this environment, leave every line of the others
  rootstock lock --check            exit 3 if the lock does not answer the manifest
  rootstock lock --upgrade=torch    move torch on, keep everything else
  rootstock lock --upgrade --dry-run  what would move on
  rootstock lock --diff             what has changed since the last commit; `--diff=v1.2`, `--diff=old.lock`
  rootstock lock --upgrade-env=mace move on in one environment, leave every line of the others
  rootstock lock --record           write down what is built here, so that every other build must be the same";

/// Every code and what it means.
fn codes() -> String {
    let codes = Code::ALL.iter().map(|code| (code.name(), code.meaning()));
    codes::listed(
        "Differences that `--check` finds, by their codes, which stay the same for ever:",
        codes,
    )
}

/// Arguments of `rootstock lock`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", codes())
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
    /// Resolve, and show what would change; write nothing.
    #[arg(long, conflicts_with_all = ["check", "record"])]
    dry_run: bool,
    /// Resolve nothing: show in what the lock differs from that of a revision of git (`HEAD` if none is named), or from
    /// another file.
    #[arg(
        long,
        value_name = "REV|FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "HEAD",
        conflicts_with_all = ["names", "check", "record", "upgrade", "upgrade_environments", "dry_run"]
    )]
    diff: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// With `--check`: print each difference as a GitHub Actions annotation too.
    #[arg(long, requires = "check", conflicts_with = "json")]
    github: bool,
    /// With `--check`: write the differences as SARIF 2.1.0, to this file or to standard output.
    #[arg(long, requires = "check", value_name = "FILE", num_args = 0..=1, default_missing_value = STDOUT)]
    sarif: Option<PathBuf>,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    if let Some(from) = &arguments.diff {
        return lock_diff::run(shared, from, arguments.json);
    }
    let manifest = manifest(shared)?;
    let chosen = if arguments.names.is_empty() {
        None
    } else {
        let chosen = manifest.environments_named(&arguments.names, true);
        Some(chosen.or_exit(Exit::Usage)?)
    };
    let only = chosen.as_deref();
    if !arguments.check && !arguments.record {
        return update(shared, &manifest, only, arguments);
    }
    if arguments.check {
        let report = beside::examine(&manifest, only).or_exit(Exit::Usage)?;
        return check(&manifest, &report, arguments);
    }
    match beside::current(&manifest, only) {
        Ok(current) => record(shared, &manifest, &current.lock, only, arguments.json),
        Err(beside::Error::Drifted(report)) => check(&manifest, &report, arguments),
        Err(error) => Err(error).or_exit(Exit::Usage),
    }
}

/// Resolves, writes and reports.
fn update(
    shared: &Shared,
    manifest: &Manifest,
    only: Option<&[EnvironmentName]>,
    arguments: &Arguments,
) -> Result<Exit, Failure> {
    let mut upgrade = Upgrade::new(
        arguments.upgrade.as_deref(),
        arguments.upgrade_environments.as_deref(),
        manifest,
    )
    .or_exit(Exit::Usage)?;
    if let Some(only) = only {
        upgrade.environments = Some(only.iter().cloned().collect());
    }
    let path = beside::path(&manifest.path);
    let old = old(&path, only.is_some())?;
    let Resolved { lock, failures } = resolve(shared, manifest, old.as_ref(), only, &upgrade)?;
    if failures.is_empty() {
        upgrade.check(old.as_ref(), &lock).or_exit(Exit::Usage)?;
    }
    if arguments.dry_run {
        report(&path, old.as_ref(), &lock, false, &failures, arguments.json)?;
    } else {
        write(&path, old.as_ref(), &lock, &failures, arguments.json)?;
    }
    if failures.is_empty() {
        left_over(manifest, &lock, &path);
        return Ok(Exit::Ok);
    }
    failed(&lock, failures);
    Ok(Exit::Failed)
}

/// Resolves with the uv, interpreters, credentials and caches of this run.
pub(super) fn resolve(
    shared: &Shared,
    manifest: &Manifest,
    old: Option<&Lock>,
    only: Option<&[EnvironmentName]>,
    upgrade: &Upgrade,
) -> Result<Resolved, Failure> {
    let environment = context::uv_environment();
    let uv = || context::find_uv(shared, &environment);
    let interpreters = || {
        context::warn_of_refused(&["uv", "git"]);
        python::on_path(&context::search_path(), &context::kept_environment())
    };
    let on_environment = |name: &EnvironmentName| show::remark(&format!("resolving {name} …"));
    let mirror = pythons::mirror(manifest);
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
    resolve::resolve(manifest, old, only, upgrade, &context).or_exit(Exit::Failed)
}

/// What the lock has already. One that was edited, or is of no known shape, is no ground to keep anything on: all is
/// solved anew, if all is asked for.
fn old(path: &Path, some_only: bool) -> Result<Option<Lock>, Failure> {
    match beside::read(path) {
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
    let drifted = beside::drifted(manifest, lock, &drift::findings(manifest, lock));
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
    as_json: bool,
) -> Result<(), Failure> {
    let begun = failures.is_empty() || !lock.environments.is_empty() || files::exists(path);
    let written = if begun {
        beside::write(path, lock).map_err(|error| Failure::problem(&Problem::from(&error)))?
    } else {
        false
    };
    if !begun && !as_json {
        return Ok(());
    }
    report(path, old, lock, written, failures, as_json)
}

/// Prints what has changed, or would.
fn report(
    path: &Path,
    old: Option<&Lock>,
    lock: &Lock,
    written: bool,
    failures: &[Failed],
    as_json: bool,
) -> Result<(), Failure> {
    let failed = failures.iter().map(|failure| lock::Failed {
        subject: failure.subject().to_string(),
        message: failure.to_string(),
    });
    let report = Report::new(path, old, lock, written, failed.collect());
    show::report(&report, as_json)
}

/// Writes the tree digests of what is built here into the lock.
fn record(
    shared: &Shared,
    manifest: &Manifest,
    old: &Lock,
    only: Option<&[EnvironmentName]>,
    as_json: bool,
) -> Result<Exit, Failure> {
    let root = root::named(shared, manifest)?;
    let skipped = |name: &EnvironmentName, why: &str| {
        show::remark(&format!("{name}: nothing to record: {why}"));
    };
    let new = record::record(&root, old, only, root::target()?, &skipped);
    let exit = match &new {
        Err(record::Error::NotBuilt(_)) => Exit::Environment,
        _ => Exit::Failed,
    };
    let path = beside::path(&manifest.path);
    write(&path, Some(old), &new.or_exit(exit)?, &[], as_json)?;
    Ok(Exit::Ok)
}

/// The manifest of this run, checked.
pub(super) fn manifest(shared: &Shared) -> Result<Manifest, Failure> {
    Manifest::load(&shared.manifest, Path::new("")).or_exit(Exit::Usage)
}

/// The lock that answers this manifest in what was asked for; a command that needs it goes no further without.
pub(super) fn current(
    manifest: &Manifest,
    only: Option<&[EnvironmentName]>,
) -> Result<Current, Failure> {
    beside::current(manifest, only).map_err(|error| match error {
        beside::Error::Drifted(report) => Failure {
            report: report.into(),
            exit: Exit::Drift,
        },
        beside::Error::Unreadable(error) => Failure {
            report: error.into(),
            exit: Exit::Usage,
        },
    })
}

/// Reports whether the lock answers the manifest, in the form that was asked for.
fn check(
    manifest: &Manifest,
    report: &drift::Report,
    arguments: &Arguments,
) -> Result<Exit, Failure> {
    let occupied = arguments.sarif.as_deref() == Some(Path::new(STDOUT));
    if occupied && (arguments.json || arguments.github) {
        return Err(Failure::usage(
            "standard output has room for one of `--sarif`, `--json` and `--github`",
            "write SARIF to a file: `--sarif rootstock.sarif`",
        ));
    }
    if let Some(file) = &arguments.sarif {
        let log = sarif::log(report, manifest);
        if occupied {
            show::value(&log)?;
        } else {
            let text = format!("{}\n", show::json_text(&log));
            files::write_atomically(file, text.as_bytes())
                .map_err(|error| Failure::problem(&Problem::from(&error)))?;
        }
    }
    if arguments.json {
        show::report(report, true)?;
    } else if report.drifted {
        show::remarks(report.to_string().trim_end());
        if arguments.github {
            for annotation in github::annotations(report, manifest) {
                show::command("error", &annotation);
            }
        }
    } else if !occupied {
        show::report(report, false)?;
    }
    Ok(if report.drifted {
        Exit::Drift
    } else {
        Exit::Ok
    })
}
