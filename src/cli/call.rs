//! `rootstock call`: arguments, the streams, and the exit code. What fails is a response too, on standard output.

use std::process::ExitCode;

use super::{Shared, call_list, show};
use crate::call::{self, Failure, Kind, Summary};
use crate::pool::signals::StopSignal;

mod arguments;
mod bundle;
mod prepare;
mod request;

pub(crate) use arguments::Arguments;

pub(super) use bundle::remove_scratch;
use prepare::{bundled, prepare_in, serve};
pub(super) use prepare::{options, prepare};
use request::request;

/// Called when a signal ends the process before anything is called.
type Interrupted<'a> = &'a (dyn Fn(StopSignal) + Sync);

/// Why nothing was called: a failure with its response.
struct Refused {
    failure: Failure,
    /// The request, for its `id`.
    request: Vec<u8>,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> ExitCode {
    if arguments.list {
        return call_list::run(shared, arguments);
    }
    let arguments = &arguments.clone().ordered();
    match try_run(shared, arguments) {
        Ok(summary) => exit(arguments, &summary),
        Err(refused) => {
            let response = call::refused(
                &arguments.target,
                &refused.request,
                arguments.bare,
                &refused.failure,
            );
            show::document(&response);
            explain(&refused.failure);
            refused.failure.exit().into()
        }
    }
}

fn exit(arguments: &Arguments, summary: &Summary) -> ExitCode {
    if let Some(error) = &summary.unwritten {
        show::remark(&format!(
            "rootstock: cannot write to standard output: {error}"
        ));
        return 1.into();
    }
    if let Some(signal) = summary.stopped {
        return signal.exit().into();
    }
    match &summary.last {
        None => 0.into(),
        Some(_) if arguments.stream => 1.into(),
        Some(failure) => {
            explain(failure);
            failure.exit().into()
        }
    }
}

/// Prints a failure for people.
pub(super) fn explain(failure: &Failure) {
    if !failure.traceback.is_empty() {
        show::remarks(failure.traceback.trim_end());
    }
    show::remark(&format!(
        "rootstock: {}: {}",
        failure.kind.name(),
        failure.message
    ));
    if !failure.hint.is_empty() {
        show::remark(&format!("  help: {}", failure.hint));
    }
    if !matches!(failure.kind, Kind::BadRequest | Kind::NotFound) {
        show::note_limits(&failure.message);
    }
}

fn try_run(shared: &Shared, arguments: &Arguments) -> Result<Summary, Box<Refused>> {
    let request = request(arguments);
    let refused = |request: &Option<Vec<u8>>| {
        let request = request.clone().unwrap_or_default();
        move |failure| Box::new(Refused { failure, request })
    };
    let request = request.map_err(refused(&None))?;
    let interrupted = |signal| {
        // No request of a stream has been read.
        if let Some(request) = &request {
            let failure = Failure::interrupted(signal);
            show::document(&call::refused(
                &arguments.target,
                request,
                arguments.bare,
                &failure,
            ));
        }
    };
    let Some(directory) = &arguments.bundle else {
        let prepared = prepare(shared, arguments, &interrupted).map_err(refused(&request))?;
        let id = request.clone();
        return serve(&prepared, arguments, request).map_err(refused(&id));
    };
    let bundled = bundled(shared, arguments, directory, &interrupted).map_err(refused(&request))?;
    let mut arguments = arguments.clone();
    arguments.paths.push(bundled.directory.clone());
    arguments.target = bundled.environment.to_string();
    let prepared = prepare_in(bundled.root.clone(), shared, &arguments, &interrupted);
    let prepared = prepared.map_err(refused(&request))?;
    let id = request.clone();
    serve(&prepared, &arguments, request).map_err(refused(&id))
}
