//! What a call needs beside its requests: the environment, its variables, and the options.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::{Arguments, bundle};
use crate::call::{self, Context, Ends, Failure, Kind, Model, Options, Source, Summary, project};
use crate::cli::exit::{Exit, Failure as Report};
use crate::cli::{Shared, context, given, root, selection, show};
use crate::files::{self, Context as _};
use crate::project_env::ProjectEnvironment;
use crate::report::help;
use crate::runtime::command::for_call;
use crate::runtime::{Selected, Unusable, select, variables};
use crate::store::stamp::Found;
use crate::store::{Root, Stamp, Verifier, installed, layout};

/// All that a call needs beside its requests.
pub(in crate::cli) struct Prepared {
    pub(in crate::cli) root: Root,
    pub(in crate::cli) selected: Selected,
    pub(in crate::cli) stamp: Stamp,
    is_model: bool,
    pub(in crate::cli) directory: PathBuf,
}

/// The environment of a project, made where it is not there yet.
pub(super) fn bundled(
    shared: &Shared,
    arguments: &Arguments,
    directory: &Path,
) -> Result<ProjectEnvironment, Failure> {
    let made = bundle::provide(shared, arguments, directory);
    made.map_err(|report| match report.exit {
        Exit::Usage => of_report(Kind::BadRequest, &report),
        _ => of_report(Kind::EnvironmentMissing, &report),
    })
}

pub(in crate::cli) fn prepare(shared: &Shared, arguments: &Arguments) -> Result<Prepared, Failure> {
    let reported = |report: Report| of_report(Kind::BadRequest, &report);
    context::check_trust().map_err(reported)?;
    prepare_in(root::built(shared).map_err(reported)?, shared, arguments)
}

/// The same in this root.
pub(super) fn prepare_in(
    root: Root,
    shared: &Shared,
    arguments: &Arguments,
) -> Result<Prepared, Failure> {
    let reported = |kind| move |report: Report| of_report(kind, &report);
    root::warn_of_open(&root);
    let (selected, is_model) = select(&root, &arguments.target, shared)?;
    root::warn_of_exposed_python(&selected);
    context::check_own_cache().map_err(reported(Kind::EnvironmentBroken))?;
    let stamp = match Stamp::read(&selected.generation) {
        Ok(Found::Stamp(stamp)) => *stamp,
        _ => {
            return Err(Failure::new(
                Kind::EnvironmentBroken,
                format!("the stamp of `{}` is gone", selected.generation.display()),
                format!("build it again: `rootstock sync {}`", selected.environment),
            ));
        }
    };
    let directory = files::absolute(Path::new(".")).map_err(|error| of_files(&error))?;
    let prepared = Prepared {
        root,
        selected,
        stamp,
        is_model,
        directory,
    };
    if arguments.fresh {
        prepared.verify()?;
    }
    Ok(prepared)
}

/// An environment, or a model of one; and which of them.
fn select(root: &Root, name: &str, shared: &Shared) -> Result<(Selected, bool), Failure> {
    let selected = match select::environment(root, name) {
        Err(Unusable::Model { .. }) => select::model(root, name).map(|selected| (selected, true)),
        Err(Unusable::UnknownEnvironment { .. }) => {
            select::model(root, name).map(|selected| (selected, true))
        }
        selected => selected.map(|selected| (selected, false)),
    };
    selected.map_err(|error| {
        let kind = match &error {
            Unusable::Foreign { .. } | Unusable::Newer { .. } | Unusable::Layout(_) => {
                Kind::EnvironmentForeign
            }
            Unusable::Python { .. }
            | Unusable::Interpreter { .. }
            | Unusable::Closed { .. }
            | Unusable::Catalogue(_)
            | Unusable::Files(_) => Kind::EnvironmentBroken,
            _ => Kind::EnvironmentMissing,
        };
        of_report(kind, &selection::failure(error, name, shared))
    })
}

/// A failure from the report of another command.
fn of_report(kind: Kind, report: &Report) -> Failure {
    let help = report.report.help().map(|help| help.to_string());
    Failure::new(kind, report.report.to_string(), help.unwrap_or_default())
}

fn of_files(error: &files::Error) -> Failure {
    Failure::new(
        Kind::BadRequest,
        error.text(),
        help(error).unwrap_or_default(),
    )
}

impl Prepared {
    /// Reads every byte of the environment.
    fn verify(&self) -> Result<(), Failure> {
        let Self {
            selected, stamp, ..
        } = self;
        let broken = |message: String| {
            let repair = format!(
                "repair it: `rootstock sync --repair {}`",
                selected.environment
            );
            Failure::new(Kind::EnvironmentBroken, message, repair)
        };
        let access = layout::access(&self.root).map_err(|error| broken(error.to_string()))?;
        let root = root::under(self.root.clone(), access);
        let root = root.map_err(|report| of_report(Kind::EnvironmentBroken, &report))?;
        let verifier = Verifier::default();
        match installed::is_intact(&root, &selected.generation, stamp, &verifier) {
            Ok(true) => Ok(()),
            Ok(false) => Err(broken(format!(
                "environment `{}` has changed since it was built",
                selected.environment
            ))),
            Err(error) => Err(broken(error.text())),
        }
    }

    /// Answers the request, or those of standard input.
    pub(super) fn call(
        &self,
        arguments: &Arguments,
        request: Option<Vec<u8>>,
    ) -> Result<Summary, Failure> {
        let temporary = context::variable("TMPDIR").map(PathBuf::from);
        let temporary = temporary.unwrap_or_else(|| PathBuf::from("/tmp"));
        let options = options(arguments, &self.directory)?;
        let mut inherited = context::variables();
        let cache = arguments.fresh.then(|| empty_cache(&temporary));
        // Removed when it is dropped.
        let cache = cache.transpose().map_err(|error| of_files(&error))?;
        if let Some(cache) = &cache {
            inherited.insert("XDG_CACHE_HOME".into(), OsString::from(cache.path()));
        }
        let keep = &arguments.keep_variables;
        let variables = for_call(&self.root, &self.selected, &inherited, keep);
        let context = Context {
            selected: &self.selected,
            stamp: &self.stamp,
            model: Model {
                device: arguments.device.clone(),
                is_named: self.is_model,
                rank: variables::local_rank(&inherited),
            },
            variables: &variables,
            directory: self.directory.clone(),
            temporary,
            options: &options,
        };
        let record = arguments.record.as_ref().map(|path| files::append(path));
        let record = record.transpose().map_err(|error| of_files(&error))?;
        let record = record
            .as_ref()
            .map(|file| |line: &str| write_record(file, line));
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let ends = Ends {
            source: request.map_or_else(|| Source::Stream(stdin.as_fd()), Source::One),
            responses: stdout.as_fd(),
            messages: stderr.as_fd(),
            escape: &show::passed_on,
            warn: &show::remark,
            record: record.as_ref().map(|record| record as &dyn Fn(&str)),
        };
        call::serve(&context, ends).map_err(|error| {
            Failure::new(
                Kind::NoResult,
                format!("cannot serve requests: {error}"),
                "",
            )
        })
    }
}

/// An empty directory for caches of compiled code.
fn empty_cache(temporary: &Path) -> files::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    let made = builder
        .prefix("rootstock-call-cache-")
        .tempdir_in(temporary);
    made.context("create a directory in", temporary)
}

/// Adds a line to the file of `--record`, in one write: other processes may add theirs.
fn write_record(mut file: &files::File, line: &str) {
    if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
        show::remark(&format!("warning: cannot write the record: {error}"));
    }
}

pub(in crate::cli) fn options(arguments: &Arguments, here: &Path) -> Result<Options, Failure> {
    let directory = |path: &PathBuf, option: &str| {
        let absolute = here.join(path);
        if files::is_directory(&absolute) {
            return Ok(absolute);
        }
        let message = format!("`{option} {}` is no directory", path.display());
        Err(Failure::new(Kind::BadRequest, message, given::advice(path)))
    };
    let paths = arguments.paths.iter().map(|path| directory(path, "--path"));
    let workdir = arguments
        .workdir
        .as_ref()
        .map(|path| directory(path, "--workdir"));
    let paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    let entry_points = project::entry_points_in(&paths).map_err(|error| {
        Failure::new(
            Kind::BadRequest,
            error.to_string(),
            "correct the project file",
        )
    })?;
    Ok(Options {
        aggregate: arguments.aggregate,
        bare: arguments.bare,
        spill: arguments.spill.as_ref().map(|path| here.join(path)),
        entry_points,
        jobs: arguments.jobs.get(),
        timeout: arguments.timeout,
        startup_timeout: arguments.startup_timeout,
        workdir: workdir.transpose()?,
        keep: arguments.keep,
        fresh: arguments.fresh,
        max_output: arguments.max_output,
        capture: arguments.capture,
        pickle: arguments.pickle,
        allow_code: arguments.allow_code,
        paths,
        idle_timeout: arguments.idle_timeout,
        restarts: arguments.restarts,
    })
}
