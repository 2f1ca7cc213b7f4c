//! `rootstock init`: a new project.

use std::path::PathBuf;

use super::exit::{Exit, Failure, OrExit};
use super::{context, show};
use crate::declare::init::{self, Ci, Error};
use crate::files;
use crate::python;

const EXAMPLES: &str = "Examples:
  rootstock init && rootstock lock && rootstock sync && rootstock probe emt
  rootstock init potentials --ci github";

/// Arguments of `rootstock init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The project's directory, made if need be; the current one if not given.
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Write the pipeline of a CI service too.
    #[arg(long, value_name = "SERVICE")]
    ci: Option<Service>,
}

/// A CI service.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Service {
    Github,
    Gitlab,
}

/// The oldest Python that the environment of a new project supports.
const OLDEST: (u64, u64) = (3, 11);

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let directory = arguments.directory.clone().unwrap_or_default();
    let ci = arguments.ci.map(|service| match service {
        Service::Github => Ci::Github,
        Service::Gitlab => Ci::Gitlab,
    });
    let created = init::init(&directory, ci, has_python()).map_err(failure)?;
    show::text(&created);
    if ci.is_some() {
        show::remark(
            "the pipeline installs rootstock from the repository that the variable ROOTSTOCK names: set it there",
        );
    }
    let enter = arguments.directory.as_ref();
    let enter = enter.map_or(String::new(), |to| format!("cd {} && ", files::quoted(to)));
    show::remark(&format!(
        "next: {enter}rootstock lock && rootstock sync && rootstock probe emt"
    ));
    Ok(Exit::Ok)
}

/// Whether this machine has a Python that a new project can use.
fn has_python() -> bool {
    let (path, variables) = (context::search_path(), context::kept_environment());
    let fits = |found: &python::Interpreter| {
        found.identity.implementation == "cpython" && found.series() >= OLDEST
    };
    python::until(&path, &variables, &[], &|found| found.iter().any(fits))
        .iter()
        .any(fits)
}

fn failure(error: Error) -> Failure {
    let exit = match &error {
        Error::InTheWay { .. } => Exit::Usage,
        Error::Files(_) => Exit::Failed,
    };
    Err::<(), _>(error)
        .or_exit(exit)
        .expect_err("it is an error")
}
