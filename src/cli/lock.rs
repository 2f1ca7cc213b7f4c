//! `rootstock lock`: resolve and write, or check and explain.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, changes, context, findings, pythons, record, show, upgrade, weigh};
use crate::files;
use crate::lock::drift::{Finding, Subject};
use crate::lock::{Lock, LockedPython, LockedTarget, drift, file};
use crate::manifest::{Manifest, Weight};
use crate::name::EnvironmentName;
use crate::python;
use crate::resolve::{self, Means};

const EXAMPLES: &str = "Examples:
  rootstock lock                    resolve what is not locked yet
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
    if arguments.check {
        let current = current(&manifest, &path)?;
        let findings = current.as_ref().err().map_or(&[][..], Vec::as_slice);
        let exit = check(&manifest, &path, findings, arguments);
        // The process ends here; giving back the memory of a large lock piece by piece would only take time.
        std::mem::forget((current, manifest));
        return exit;
    }
    if arguments.record {
        return match record::record(shared, &manifest, &path)? {
            Err(findings) => check(&manifest, &path, &findings, arguments),
            Ok((old, new)) => write(&path, Some(&old), &new, arguments.json),
        };
    }
    let upgrade = upgrade::from_words(
        arguments.upgrade.as_deref(),
        arguments.upgrade_environments.as_deref(),
        &manifest,
    )?;
    let old = match read(&path) {
        Ok(old) => old,
        // A lock that was edited, or is of no known shape, is no ground to keep anything on: all is solved anew.
        Err(error @ (file::Error::Edited { .. } | file::Error::Unreadable(_))) => {
            show::remark(&format!("warning: {error}; everything is resolved anew"));
            None
        }
        Err(error @ file::Error::Newer { .. }) => return Err(error).or_exit(Exit::Usage),
    };
    let environment = context::uv_environment();
    let uv = || context::find_uv(shared, &environment);
    let interpreters = || python::on_path(&context::search_path(), &context::kept_environment());
    let heard = |name: &EnvironmentName| show::remark(&format!("resolving {name} …"));
    let weigh = |weight: &Weight| weigh::weigh(weight, &context::hub());
    let mirror = pythons::mirror(&manifest);
    let digest = |url: &str| pythons::digest(url, mirror.as_ref());
    let managed = |python: &LockedPython| pythons::provide(python, mirror.as_ref());
    let means = Means {
        uv: &uv,
        managed: &managed,
        weigh: &weigh,
        digest: &digest,
        interpreters: &interpreters,
        credentials: &context::credentials(&manifest.indexes, &environment),
        here: manifest.path.parent().unwrap_or(Path::new("")),
        cache: &context::user_cache(),
        path: &context::search_path(),
        variables: &context::kept_environment(),
        heard: &heard,
        remark: &show::remark,
    };
    let lock = resolve::resolve(&manifest, old.as_ref(), &upgrade, &means).or_exit(Exit::Failed)?;
    upgrade::check(&upgrade, old.as_ref(), &lock)?;
    write(&path, old.as_ref(), &lock, arguments.json)
}

/// Writes a lock where it says something new, and tells what.
fn write(path: &Path, old: Option<&Lock>, lock: &Lock, json: bool) -> Result<Exit, Failure> {
    let text = file::text(lock);
    let unchanged =
        files::read_text_if_present(path).is_ok_and(|there| there.as_deref() == Some(&text));
    if !unchanged {
        files::write_atomically(path, text.as_bytes()).map_err(|error| Failure::files(&error))?;
    }
    report(path, old, lock, unchanged, json);
    Ok(Exit::Ok)
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

/// The lock, if it answers the manifest; else every reason why not.
pub(super) fn current(
    manifest: &Manifest,
    path: &Path,
) -> Result<Result<Lock, Vec<Finding>>, Failure> {
    match read(path) {
        Ok(Some(lock)) => {
            let findings = drift::findings(manifest, &lock);
            Ok(if findings.is_empty() {
                Ok(lock)
            } else {
                Err(findings)
            })
        }
        Ok(None) => {
            let message = format!("there is no lock `{}`", path.display());
            Ok(Err(vec![Finding {
                code: "lock-missing",
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

fn edited(edit: file::Edit) -> Finding {
    Finding {
        code: "lock-edited",
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

fn report(path: &Path, old: Option<&Lock>, lock: &Lock, unchanged: bool, json: bool) {
    let changes = changes::between(old, lock);
    if json {
        let list: Vec<_> = changes.iter().map(changes::Change::json).collect();
        show::json(
            &json!({ "lock": path.display().to_string(), "written": !unchanged, "changes": list }),
        );
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
    let did = if unchanged {
        "is up to date"
    } else {
        "written"
    };
    let counts = [
        show::counted(environments, "environment"),
        show::counted(lock.models.len(), "model"),
        show::counted(files.len(), "file"),
    ];
    show::line(&format!("{} {did}: {}", path.display(), counts.join(", ")));
}
