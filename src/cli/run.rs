//! `rootstock run`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, place, show};
use crate::files;
use crate::process::Command;
use crate::store::{Root, inside};
use crate::worker::environment::{self, Variables};
use crate::worker::select::{self, Selected};

/// Arguments of `rootstock run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The command replaces rootstock: its exit code and its signals are its own. It is looked for in the environment first, then \
on your PATH, and runs with the environment's programs before the system's. It sees the environment as `rootstock sync` \
last built it, whatever is built while it runs.

Variables: who you are (HOME, USER, LANG, TMPDIR …), devices and threads of the job (CUDA_VISIBLE_DEVICES, OMP_NUM_THREADS …) \
and what the manifest lists in `keep` are passed on; the manifest's `variables` and a place for each cache of compiled code \
are set; nothing else is there, least of all PYTHONPATH and LD_LIBRARY_PATH.

Exit codes: the command's; 127 not found · 126 not executable · 2 usage · 4 environment missing or unusable here

Examples:
  rootstock run mace -- python relax.py
  srun rootstock run mace -- python -m torch.distributed.run train.py
  eval \"$(rootstock run mace --print sh)\"     in the prologue of a job, or Parsl's worker_init
  rootstock run mace --print json | jq -r .python")]
pub(crate) struct Arguments {
    /// An environment of the root.
    environment: String,
    /// Print the environment instead: `sh` sets up a job's own shell, which keeps what else it has; `json` is what the
    /// command would be given.
    #[arg(long, value_name = "FORM", conflicts_with = "command")]
    print: Option<Form>,
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
}

/// The command cannot be run.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
enum Error {
    #[error("`{0}` is not found")]
    #[diagnostic(help("looked for in the environment's `bin`, then on PATH"))]
    NotFound(String),
    #[error("`{}` is not executable", .0.display())]
    NotExecutable(PathBuf),
    #[error(transparent)]
    Process(#[from] crate::process::Error),
    #[error("the variable `{0}` is not UTF-8 and cannot be printed")]
    Unprintable(String),
}

/// Beginnings of variables that another Python's environment leaves behind, and that a job's own shell is better without.
const LEFT_BEHIND: [&str; 6] = ["PYTHON", "LD_", "CONDA_", "VIRTUAL_ENV", "PIP_", "UV_"];

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let root = place::built(shared)?;
    let selected = select::environment(&root, &arguments.environment).map_err(|error| {
        let exit = match error {
            select::Error::Unknown { .. } | select::Error::Model { .. } => Exit::Usage,
            _ => Exit::Environment,
        };
        Failure {
            report: error.into(),
            exit,
        }
    })?;
    let inherited = context::variables();
    match arguments.print {
        None => Err(exec(&root, &selected, &inherited, &arguments.command)),
        Some(form) => {
            let text = match form {
                Form::Sh => sh(&root, &selected, &inherited),
                Form::Json => json(&root, &selected, &inherited),
            };
            show::line(&text.or_exit(Exit::Failed)?);
            Ok(Exit::Ok)
        }
    }
}

/// Becomes the command; comes back only if that is impossible.
fn exec(root: &Root, selected: &Selected, inherited: &Variables, command: &[OsString]) -> Failure {
    let bin = selected.generation.join("bin");
    let program = match find(&command[0], &bin, &context::search_path()) {
        Ok(program) => program,
        Err(error) => return failure(error),
    };
    let error = Command::new(program)
        .arguments(&command[1..])
        .variables(environment::variables(root, selected, inherited))
        .exec();
    failure(error.into())
}

fn failure(error: Error) -> Failure {
    let missing = match &error {
        Error::NotFound(_) => true,
        // A script whose interpreter is not there.
        Error::Process(error) => error.source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    };
    Failure {
        report: error.into(),
        exit: if missing {
            Exit::CommandNotFound
        } else {
            Exit::CommandNotExecutable
        },
    }
}

/// The program that a command names: a path as it is, a name in the environment first, then on PATH.
fn find(name: &OsString, bin: &Path, search_path: &OsString) -> Result<PathBuf, Error> {
    let named = Path::new(name);
    let places: Vec<PathBuf> = if named.components().count() > 1 || named.is_absolute() {
        vec![named.to_owned()]
    } else {
        let directories = [bin.to_owned()]
            .into_iter()
            .chain(std::env::split_paths(search_path));
        directories.map(|directory| directory.join(named)).collect()
    };
    if let Some(program) = places.iter().find(|place| files::is_executable(place)) {
        return Ok(program.clone());
    }
    match places.into_iter().find(|place| files::exists(place)) {
        Some(place) => Err(Error::NotExecutable(place)),
        None => Err(Error::NotFound(name.to_string_lossy().into_owned())),
    }
}

/// For `eval` in a shell that goes on with its own work: sets what rootstock sets, with the environment's programs before
/// those that are on PATH already, and takes away what another Python has left behind.
fn sh(root: &Root, selected: &Selected, inherited: &Variables) -> Result<String, Error> {
    let ours = environment::ours(root, selected, inherited);
    let left_behind = |name: &str| LEFT_BEHIND.iter().any(|prefix| name.starts_with(prefix));
    let mut lines: Vec<String> = inherited
        .keys()
        .filter(|name| !ours.contains_key(*name))
        .filter_map(|name| name.to_str())
        .filter(|name| left_behind(name) && is_plain(name))
        .map(|name| format!("unset {name}"))
        .collect();
    for (name, value) in &ours {
        let (name, value) = printable(name, value)?;
        lines.push(if name == "PATH" {
            let bin = selected.generation.join("bin");
            format!("export PATH={}:\"$PATH\"", quoted(&bin.to_string_lossy()))
        } else {
            format!("export {name}={}", quoted(value))
        });
    }
    Ok(lines.join("\n"))
}

fn json(root: &Root, selected: &Selected, inherited: &Variables) -> Result<String, Error> {
    let mut variables = serde_json::Map::new();
    for (name, value) in &environment::variables(root, selected, inherited) {
        let (name, value) = printable(name, value)?;
        variables.insert(name.to_owned(), value.into());
    }
    let value = serde_json::json!({
        "environment": selected.environment,
        "generation": selected.generation,
        "python": selected.generation.join(inside::PYTHON),
        "variables": variables,
    });
    Ok(format!("{value:#}"))
}

fn printable<'a>(name: &'a OsString, value: &'a OsString) -> Result<(&'a str, &'a str), Error> {
    let unprintable = || Error::Unprintable(name.to_string_lossy().into_owned());
    Ok((
        name.to_str().ok_or_else(unprintable)?,
        value.to_str().ok_or_else(unprintable)?,
    ))
}

/// Whether a shell takes it for a variable: functions that bash exports have other names.
fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A word of a POSIX shell that stands for nothing but itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
