//! `rootstock run ENV --python P`: the options, and the exit codes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure};
use super::{Shared, context, root, run, selection, show};
use crate::build;
use crate::foreign::{self, Caller, Error, Request};
use crate::manifest::Manifest;
use crate::overlay::Placement;
use crate::runtime::{program, select};
use crate::store::Root;

/// Options of a command under another Python.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run the command under this Python, with the environment's packages where they fit it: one of the same ABI has those of
    /// the environment, one of a series in `also-python` those that are locked for that series. PYTHONPATH is all that
    /// changes of your variables. `python` is then this one, and other commands are looked for beside it first.
    #[arg(long, value_name = "PYTHON", conflicts_with_all = ["clean", "keep", "print"])]
    pub(crate) python: Option<PathBuf>,
    /// Where the environment's packages are on the search path: `auto`, before that Python's own if it has none of them, else
    /// behind, and not at all if its own do not fit; `append`, `prepend`; `skip`, not at all.
    #[arg(
        long,
        value_name = "WHERE",
        requires = "python",
        default_value = "auto",
        hide_default_value = true
    )]
    overlay: Where,
    /// Of the environment's packages only these, and what they require.
    #[arg(
        long,
        value_name = "PACKAGE",
        requires = "python",
        value_delimiter = ','
    )]
    packages: Vec<String>,
    /// Do not start the command without the environment's packages: exit 4.
    #[arg(long, requires = "python")]
    require_overlay: bool,
    /// Append one line of JSON to this file for each Python that the command starts: which it is, as it says itself, and which
    /// packages it has.
    #[arg(long, value_name = "FILE", requires = "python")]
    record: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Where {
    Auto,
    Append,
    Prepend,
    Skip,
}

impl From<Where> for Placement {
    fn from(place: Where) -> Self {
        match place {
            Where::Auto => Placement::Auto,
            Where::Append => Placement::Append,
            Where::Prepend => Placement::Prepend,
            Where::Skip => Placement::Skip,
        }
    }
}

/// Runs the command; comes back only if that is impossible.
pub(super) fn run(
    shared: &Shared,
    root: &Root,
    environment: &str,
    arguments: &Options,
    command: &[OsString],
) -> Result<Exit, Failure> {
    // A name that is none is a mistake; what is not built may be built.
    let selected = select::environment(root, environment);
    let is_built = selected.is_ok();
    if let Err(error) = selected {
        let failure = selection::failure(error, environment, shared);
        if failure.exit == Exit::Usage {
            return Err(failure);
        }
    }
    let name = environment
        .parse()
        .map_err(|error| no_environment(environment, is_built, &error))?;
    let python = arguments.python.as_deref().unwrap_or(Path::new(""));
    let request = Request {
        caller: shared,
        manifest: &shared.manifest,
        root,
        name,
        python: program::named(python, &context::search_path()),
        placement: Placement::from(arguments.overlay),
        packages: &arguments.packages,
        require_overlay: arguments.require_overlay,
        record: arguments.record.as_deref(),
        variables: context::variables(),
        jobs: context::processors(),
    };
    context::remark_replaced_cache();
    let code = foreign::run(request, command);
    code.map(Exit::Command)
        .map_err(|error| failure(error, environment, shared))
}

/// The error about a name that is none of an environment: which generation fits a Python is chosen here.
fn no_environment(name: &str, is_built: bool, error: &dyn std::fmt::Display) -> Failure {
    match name.split_once('@').filter(|_| is_built) {
        None => Failure::usage(&error.to_string(), "name an environment"),
        Some((environment, _)) => Failure::usage(
            &format!(
                "`{name}` is one generation, and `--python` takes the one that fits that Python"
            ),
            &format!("name the environment, `{environment}`, or leave `--python` out"),
        ),
    }
}

fn failure(error: Error, environment: &str, shared: &Shared) -> Failure {
    let exit = match error {
        Error::NotFound(error) => return run::not_found(error),
        Error::NotStarted(error) => return run::failed(error),
        Error::Unusable(error) => return selection::failure(error, environment, shared),
        Error::Unavailable(_) => Exit::Environment,
        Error::Start(_) | Error::Files(_) => Exit::Failed,
        Error::Manifest(_) | Error::Package { .. } | Error::Record(_) | Error::Contradiction => {
            Exit::Usage
        }
    };
    Failure {
        report: error.into(),
        exit,
    }
}

impl Caller for Shared {
    fn root(&self, manifest: &Manifest) -> Option<Root> {
        root::with_policy(self, manifest).ok()
    }

    fn context<'a>(
        &'a self,
        manifest: &'a Manifest,
        root: &'a Root,
    ) -> Result<build::Context<'a>, String> {
        let supply = context::supply(manifest, None, false);
        Ok(build::Context {
            link: root::link_mode(self, manifest).map_err(|f| f.report.to_string())?,
            ..context::build(self, manifest, root, supply, None)
        })
    }

    fn print(&self, text: &str) {
        show::remark(text);
    }
}
