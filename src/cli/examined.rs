//! The worker that a probe examines: this program, started with the model; and how its failures are reported.

use super::exit::{Exit, Failure};
use super::show;
use crate::probe::{self, Refusal};
use crate::process::Command;
use crate::store::Root;

/// Prints the worker's output, then the error.
pub(super) fn failure(error: probe::Error) -> Failure {
    match &error {
        probe::Error::Gone { output, .. } | probe::Error::Refused { traceback: output } => {
            show::remarks(output.trim_end());
        }
        probe::Error::NoStructure { refused, .. } => {
            for Refusal {
                structure,
                traceback,
            } in refused
            {
                show::remarks(&format!("{structure}:\n{}", traceback.trim_end()));
            }
        }
        _ => {}
    }
    Failure {
        report: error.into(),
        exit: Exit::Failed,
    }
}

/// This program as a worker.
pub(super) fn worker(
    root: &Root,
    model: &str,
    device: &str,
    startup_timeout: u64,
) -> Result<Command, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure {
        report: miette::miette!("cannot find this program to start it as a worker: {error}"),
        exit: Exit::Failed,
    })?;
    Ok(Command::new(program)
        .arguments(["worker", model, "--device", device, "--root"])
        .argument(root.path())
        .arguments(["--startup-timeout", &startup_timeout.to_string()]))
}
