//! What a call needs beside its requests: the root, and the options and streams of this process.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::{Arguments, Interrupted, bundle};
use crate::call::prepare::{Prepared, Setup, in_utf8};
use crate::call::{Ends, Failure, Kind, Options, Source, Summary, project};
use crate::cli::exit::{Exit, Failure as Report};
use crate::cli::{Shared, context, interrupt, root, selection, show};
use crate::files;
use crate::manifest::path_advice;
use crate::project_env::ProjectEnvironment;
use crate::store::Root;

/// The environment of a project, made where it is not there yet.
pub(super) fn bundled(
    shared: &Shared,
    arguments: &Arguments,
    directory: &Path,
    interrupted: Interrupted,
) -> Result<ProjectEnvironment, Failure> {
    bundle::provide(shared, arguments, directory, interrupted).map_err(|report| match report.exit {
        Exit::Usage => failure(Kind::BadRequest, &report),
        _ => failure(Kind::EnvironmentMissing, &report),
    })
}

pub(in crate::cli) fn prepare(
    shared: &Shared,
    arguments: &Arguments,
    interrupted: Interrupted,
) -> Result<Prepared, Failure> {
    let root = context::check_trust().and_then(|()| root::built(shared));
    let root = root.map_err(|report| failure(Kind::BadRequest, &report))?;
    prepare_in(root, shared, arguments, interrupted)
}

/// The same in this root.
pub(super) fn prepare_in(
    root: Root,
    shared: &Shared,
    arguments: &Arguments,
    interrupted: Interrupted,
) -> Result<Prepared, Failure> {
    root::warn_of_open(&root);
    let variables = context::variables();
    let prepared = Prepared::new(
        root,
        &arguments.target,
        selection::project(shared),
        &variables,
    )?;
    root::warn_of_exposed_python(&prepared.selected);
    if arguments.fresh {
        let verify = || prepared.verify();
        interrupt::minding_and(&prepared.root, "nothing was called", interrupted, verify)?;
    }
    Ok(prepared)
}

/// A failure from the report of another command.
fn failure(kind: Kind, report: &Report) -> Failure {
    Failure::of(kind, report.report.as_ref())
}

/// Answers the request, or those of standard input.
pub(super) fn serve(
    prepared: &Prepared,
    arguments: &Arguments,
    request: Option<Vec<u8>>,
) -> Result<Summary, Failure> {
    let temporary = context::variable("TMPDIR").map(PathBuf::from);
    let setup = Setup {
        options: options(arguments, &prepared.directory)?,
        device: arguments.device.clone(),
        keep: &arguments.keep_variables,
        inherited: context::variables(),
        temporary: temporary.unwrap_or_else(|| PathBuf::from("/tmp")),
        record: arguments.record.as_deref(),
    };
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let ends = Ends {
        source: request.map_or_else(|| Source::Stream(stdin.as_fd()), Source::One),
        responses: stdout.as_fd(),
        messages: stderr.as_fd(),
        escape: &show::passed_on,
        warn: &show::remark,
        record: None,
    };
    prepared.call(setup, ends)
}

pub(in crate::cli) fn options(arguments: &Arguments, here: &Path) -> Result<Options, Failure> {
    let directory = |path: &PathBuf, option: &str| {
        let absolute = here.join(path);
        if files::is_directory(&absolute) {
            return in_utf8(absolute);
        }
        let message = format!("`{option} {}` is no directory", path.display());
        Err(Failure::new(Kind::BadRequest, message, path_advice(path)))
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
