//! `rootstock run`: finds the command, and becomes it, or prints what it would be given.

use std::ffi::OsString;
use std::io::ErrorKind;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, foreign, root, selection, show};
use crate::manifest::{NotKept, cannot_be_kept};
use crate::process::{self, Command};
use crate::runtime::command::{self, CommandVariables, Inherit, Keep};
use crate::runtime::print::{self, Printed};
use crate::runtime::{Selected, program, select};
use crate::store::inside;

/// Arguments of `rootstock run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The command replaces rootstock: its exit code and its signals are its own. It is looked for in the environment first, then \
on your PATH; `python` and `pip`, with or without a version, only in the environment. It sees the environment as \
`rootstock sync` last built it, whatever is built while it runs.

Variables: yours are passed on, ranks and addresses of MPI launchers included, and the environment's programs come first on \
PATH. What decides which code Python and the loader load is not passed on: PYTHON…, LD_…, and what other virtual environments \
set. VIRTUAL_ENV, the manifest's `variables` and XDG_CACHE_HOME are set, and a place for each cache of compiled code where you \
have set none. With `--clean` the command gets what a worker gets and what `--keep` names; `--print` says what it would be.

Under `--python` your own packages win, and each that the environment has as well is named. What is locked for this Python and \
not built is built first, into the root or, where you may not write there, into your cache, unless `install = \"skip\"` in the \
manifest's [runtime] or ROOTSTOCK_RUNTIME_INSTALL=skip forbids it. Where nothing fits, the command runs without, after a \
warning. With `--record` or `--require-overlay` rootstock waits for the command and passes signals on.

Exit codes: the command's; 127 not found · 126 not executable · 2 usage · 4 environment missing or unusable here

Examples:
  rootstock run mace -- python relax.py
  srun rootstock run mace -- python -m mpi4py parallel.py
  rootstock run mace --clean --keep 'SCRATCH*' --keep SEED=1 -- python relax.py
  eval \"$(rootstock run mace --print sh)\"     in the prologue of a job, or Parsl's worker_init
  rootstock run mace --print python            the interpreter, of the generation that is current now
  export ROOTSTOCK_GENERATION=$(rootstock run mace --print generation)   the same one for all tasks of a job array

  under a Python of your own, with the environment's packages where they fit it:
  rootstock run mace --python ~/venv/bin/python -- python workflow.py
  rootstock run mace --python python3.12 --packages ase --record runs.jsonl -- workflow-engine start
  rootstock run mace --python python3.12 --require-overlay -- python relax.py")]
pub(crate) struct Arguments {
    /// An environment of the root.
    environment: String,
    /// Pass on only what a worker gets (who you are, devices, threads and ranks of the job, what the manifest lists in `keep`),
    /// and what `--keep` names.
    #[arg(long)]
    clean: bool,
    /// With `--clean`: pass on this variable as well, all that begin with PREFIX, or set one to VALUE.
    #[arg(long, value_name = "NAME[=VALUE]|PREFIX*", requires = "clean", value_parser = keep)]
    keep: Vec<Keep>,
    /// Print instead of running: `sh`, commands that give a shell what the command would get; `json`, the same as an object;
    /// `python`, the path of the interpreter; `generation`, the environment as it is now, `mace@ID`.
    #[arg(long, value_name = "FORM", conflicts_with = "command")]
    print: Option<Form>,
    #[command(flatten)]
    foreign: foreign::Options,
    /// The command and its arguments.
    #[arg(last = true, value_name = "CMD", required_unless_present = "print")]
    command: Vec<OsString>,
}

/// How the environment is printed.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Form {
    /// Commands of a POSIX shell.
    Sh,
    /// An object.
    Json,
    /// The interpreter's path.
    Python,
    /// Environment and generation, `mace@ID`.
    Generation,
}

pub(super) fn keep(text: &str) -> Result<Keep, String> {
    if let Some((name, value)) = text.split_once('=') {
        return match cannot_be_kept(name) {
            Some(NotKept::NoName(message, _)) => Err(message),
            _ if name.ends_with('*') => Err("a beginning of names cannot have a value".to_owned()),
            _ => Ok(Keep::Set(name.to_owned(), value.into())),
        };
    }
    match cannot_be_kept(text) {
        None => Ok(Keep::Named(text.to_owned())),
        Some(NotKept::NoName(message, help)) => Err(format!("{message}: {help}")),
        Some(NotKept::ChoosesCode(message)) => Err(format!(
            "{message}; if it is needed, give it a value: `NAME=VALUE`"
        )),
    }
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let root = root::built(shared)?;
    root::warn_of_open(&root);
    let foreign = &arguments.foreign;
    if foreign.python.is_some() {
        let (environment, command) = (&arguments.environment, &arguments.command);
        return foreign::run(shared, &root, environment, foreign, command);
    }
    let selected = select::environment(&root, &arguments.environment)
        .map_err(|error| selection::failure(error, &arguments.environment, shared))?;
    root::warn_of_exposed_python(&selected);
    context::check_own_cache()?;
    let inherited = context::variables();
    let inherit = if arguments.clean {
        Inherit::Listed(arguments.keep.clone())
    } else {
        Inherit::All
    };
    let variables = command::for_command(&root, &selected, &inherited, &inherit);
    let Some(form) = arguments.print else {
        return Err(exec(&selected, variables, &arguments.command));
    };
    match form {
        Form::Sh => {
            let text = print::sh(&selected, &variables, &inherited).or_exit(Exit::Failed)?;
            show::document(&text);
        }
        Form::Json => {
            let printed = Printed::new(&selected, &variables).or_exit(Exit::Failed)?;
            show::value(&printed)?;
        }
        Form::Generation => show::document(&selected.pinned()),
        Form::Python => {
            let python = selected.generation.join(inside::PYTHON);
            show::document(&python.display().to_string());
        }
    }
    Ok(Exit::Ok)
}

/// Becomes the command; comes back only if that is impossible.
fn exec(selected: &Selected, variables: CommandVariables, command: &[OsString]) -> Failure {
    match program::find(&command[0], selected, &context::search_path()) {
        Ok(program) => become_command(
            &Command::new(program)
                .arguments(&command[1..])
                .variables(variables.all),
        ),
        Err(error) => not_found(error),
    }
}

/// Becomes a command that was found; comes back only if that is impossible.
pub(super) fn become_command(command: &Command) -> Failure {
    failed(command.exec())
}

/// The report about a command that was found and cannot be run.
pub(super) fn failed(error: process::Error) -> Failure {
    // A script whose interpreter is not there.
    let exit = match error.source.kind() {
        ErrorKind::NotFound => Exit::CommandNotFound,
        _ => Exit::CommandNotExecutable,
    };
    Failure {
        report: miette::Report::from_err(error),
        exit,
    }
}

/// The report about a command that was not found.
pub(super) fn not_found(error: program::Error) -> Failure {
    let exit = match error {
        program::Error::NotFound { .. } => Exit::CommandNotFound,
        program::Error::NotExecutable(_) => Exit::CommandNotExecutable,
        _ => Exit::Environment,
    };
    Failure {
        report: error.into(),
        exit,
    }
}
