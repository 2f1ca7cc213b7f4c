//! `rootstock run`: finds the command, and becomes it, or prints what it would be given.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, foreign, root, selection, show};
use crate::files;
use crate::manifest::{NotKept, cannot_be_kept};
use crate::process::{self, Command};
use crate::runtime::Variables;
use crate::runtime::command::{self, CommandVariables, Inherit, Keep};
use crate::runtime::{Selected, select};
use crate::store::{Root, inside};

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

Exit codes: the command's; 127 not found · 126 not executable · 2 usage · 4 environment missing or unusable here

Examples:
  rootstock run mace -- python relax.py
  srun rootstock run mace -- python -m mpi4py parallel.py
  rootstock run mace --clean --keep 'SCRATCH*' --keep SEED=1 -- python relax.py
  eval \"$(rootstock run mace --print sh)\"     in the prologue of a job, or Parsl's worker_init
  rootstock run mace --print python            the interpreter, of the generation that is current now

  under a Python of your own, with the environment's packages where they fit it:
  rootstock run mace --python ~/venv/bin/python -- python workflow.py
  rootstock run mace --python python3.12 --packages ase --record runs.jsonl -- workflow-engine start
  rootstock run mace --python python3.12 --require-overlay -- python relax.py   exit 4 if they do not fit
ROOTSTOCK_RUNTIME_INSTALL=skip builds nothing that is missing, as `install = \"skip\"` in the manifest's [runtime]")]
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
    /// `python`, the path of the interpreter.
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

/// The command cannot be run.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
enum Error {
    #[error("`{name}` is not found")]
    #[diagnostic(help("{help}"))]
    NotFound { name: String, help: &'static str },
    #[error("`{}` is not executable", .0.display())]
    NotExecutable(PathBuf),
    #[error("environment `{environment}` has no `{name}`")]
    #[diagnostic(help("{help}"))]
    NotInEnvironment {
        environment: String,
        name: String,
        help: String,
    },
    #[error("`{}` belongs to environment `{environment}` and {wrong}", path.display())]
    #[diagnostic(help("repair the environment: `rootstock sync --repair {environment}`"))]
    Damaged {
        environment: String,
        path: PathBuf,
        wrong: &'static str,
    },
    #[error(transparent)]
    Files(#[from] files::Error),
    #[error(transparent)]
    Process(#[from] crate::process::Error),
    #[error("the variable `{0}` is not UTF-8 and cannot be printed")]
    #[diagnostic(help("unset it, or leave it out with `--clean`"))]
    Unprintable(String),
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let root = root::built(shared)?;
    root::warn_of_open(&root);
    context::check_own_cache()?;
    if arguments.foreign.python.is_some() {
        let Arguments {
            environment,
            foreign,
            command,
            ..
        } = arguments;
        return foreign::run(shared, &root, environment, foreign, command);
    }
    let selected = select::environment(&root, &arguments.environment)
        .map_err(|error| selection::failure(error, &arguments.environment, shared))?;
    root::warn_of_exposed_python(&selected);
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
    let text = match form {
        Form::Sh => sh(&selected, &variables, &inherited),
        Form::Json => json(&selected, &variables),
        Form::Python => Ok(selected
            .generation
            .join(inside::PYTHON)
            .display()
            .to_string()),
    };
    show::document(&text.or_exit(Exit::Failed)?);
    Ok(Exit::Ok)
}

/// Becomes the command; comes back only if that is impossible.
fn exec(selected: &Selected, variables: CommandVariables, command: &[OsString]) -> Failure {
    match find(&command[0], selected, &context::search_path()) {
        Ok(program) => become_command(
            Command::new(program)
                .arguments(&command[1..])
                .variables(variables.all),
        ),
        Err(failure) => failure,
    }
}

/// Becomes a command that was found; comes back only if that is impossible.
pub(super) fn become_command(command: Command) -> Failure {
    failed(command.exec())
}

/// The report about a command that was found and cannot be run.
pub(super) fn failed(error: process::Error) -> Failure {
    failure(error.into())
}

/// What a command in an environment gets, given all variables of its caller.
pub(super) fn all_variables(root: &Root, selected: &Selected, inherited: &Variables) -> Variables {
    command::for_command(root, selected, inherited, &Inherit::All).all
}

/// The program that a name stands for under a Python that is not the environment's: `python` is that one; others are looked
/// for beside it, then on PATH.
pub(super) fn beside(
    python: &Path,
    name: &OsString,
    search_path: &OsString,
) -> Result<PathBuf, Failure> {
    let named = Path::new(name);
    let is_name = named.components().count() == 1 && !named.is_absolute();
    if is_name && is_versioned(&named.to_string_lossy(), "python") {
        let help = "name a Python that exists with `--python`";
        return named_program(vec![python.to_owned()], python.as_os_str(), help).map_err(failure);
    }
    let near = python.parent().map(|directory| directory.join(named));
    let near = near.filter(|near| is_name && files::is_executable(near));
    let places = match near {
        Some(near) => vec![near],
        None if is_name => files::candidates(named, search_path).collect(),
        None => vec![named.to_owned()],
    };
    let help = "looked for beside the Python of `--python`, then on PATH";
    named_program(places, name, help).map_err(failure)
}

/// A program by its path: as it is, or the first of this name on a search path.
pub(super) fn on_path(program: &Path, search_path: &OsString) -> Option<PathBuf> {
    if program.components().count() > 1 || program.is_absolute() {
        return files::absolute(program).ok();
    }
    files::candidates(program, search_path).find(|place| files::is_executable(place))
}

fn failure(error: Error) -> Failure {
    let exit = match &error {
        Error::NotFound { .. } => Exit::CommandNotFound,
        // A script whose interpreter is not there.
        Error::Process(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
            Exit::CommandNotFound
        }
        Error::NotInEnvironment { .. } | Error::Damaged { .. } | Error::Files(_) => {
            Exit::Environment
        }
        _ => Exit::CommandNotExecutable,
    };
    Failure {
        report: error.into(),
        exit,
    }
}

/// The program that a command names: a path as it is, a name in the environment first, then on PATH. What belongs to the
/// environment is never taken from elsewhere.
pub(super) fn find(
    name: &OsString,
    selected: &Selected,
    search_path: &OsString,
) -> Result<PathBuf, Failure> {
    find_program(name, selected, search_path).map_err(failure)
}

fn find_program(
    name: &OsString,
    selected: &Selected,
    search_path: &OsString,
) -> Result<PathBuf, Error> {
    let named = Path::new(name);
    let on_path: Vec<PathBuf> = if named.components().count() > 1 || named.is_absolute() {
        vec![named.to_owned()]
    } else {
        let ours = selected.generation.join("bin").join(named);
        if files::is_executable(&ours) {
            return Ok(ours);
        }
        belongs_elsewhere(selected, &named.to_string_lossy(), ours)?;
        files::candidates(named, search_path).collect()
    };
    named_program(
        on_path,
        name,
        "looked for in the environment's `bin`, then on PATH",
    )
}

/// The first of these places that can be executed.
fn named_program(
    on_path: Vec<PathBuf>,
    name: &OsStr,
    help: &'static str,
) -> Result<PathBuf, Error> {
    if let Some(program) = on_path.iter().find(|place| files::is_executable(place)) {
        return Ok(program.clone());
    }
    match on_path.into_iter().find(|place| files::exists(place)) {
        Some(place) => Err(Error::NotExecutable(place)),
        None => Err(Error::NotFound {
            name: name.to_string_lossy().into_owned(),
            help,
        }),
    }
}

/// Makes sure that a name which the environment cannot run is not its own.
fn belongs_elsewhere(selected: &Selected, name: &str, ours: PathBuf) -> Result<(), Error> {
    let environment = selected.environment.to_string();
    if files::exists(&ours) {
        return Err(Error::Damaged {
            environment,
            path: ours,
            wrong: "cannot be executed",
        });
    }
    // A directory that is purged file by file loses programs one by one.
    let tree = files::read_text_if_present(&selected.generation.join(inside::TREE))?;
    let listed = format!(" bin/{name}");
    if tree.is_some_and(|tree| tree.lines().any(|line| line.ends_with(&listed))) {
        return Err(Error::Damaged {
            environment,
            path: ours,
            wrong: "is gone",
        });
    }
    let help = if is_versioned(name, "python") {
        "run `python`: a program of this name on PATH would be another Python".to_owned()
    } else if is_versioned(name, "pip") {
        format!(
            "an environment does not change once it is built: add packages to its source's `dependencies`, then \
             `rootstock lock && rootstock sync {environment}`"
        )
    } else {
        return Ok(());
    };
    Err(Error::NotInEnvironment {
        environment,
        name: name.to_owned(),
        help,
    })
}

/// Whether this is the name of a program, with or without a version: `python`, `python3`, `python3.13t`, `pip3.11`,
/// `python3-config`.
fn is_versioned(name: &str, program: &str) -> bool {
    let Some(rest) = name.strip_prefix(program) else {
        return false;
    };
    let rest = rest.strip_suffix("-config").unwrap_or(rest);
    let flags = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    matches!(flags, "" | "t" | "d" | "td" | "w" | "m" | "-intel64")
}

/// For `eval` in a shell: makes its variables those that a command would get. The shell's own bookkeeping stays.
fn sh(
    selected: &Selected,
    variables: &CommandVariables,
    inherited: &Variables,
) -> Result<String, Error> {
    let dropped = inherited
        .keys()
        .filter(|name| !variables.all.contains_key(*name));
    let mut lines: Vec<String> = dropped
        .filter_map(|name| name.to_str())
        .filter_map(unset)
        .collect();
    let bin = selected.generation.join("bin").display().to_string();
    let path = inherited.get(OsStr::new("PATH")).and_then(|p| p.to_str());
    let prepended = path.map(|path| format!("{bin}:{path}"));
    for (name, value) in &variables.set {
        let (name, value) = printable(name, value)?;
        lines.push(if name == "PATH" && prepended.as_deref() == Some(value) {
            // The shell may have more to search by then.
            format!("export PATH={}:\"$PATH\"", quoted(&bin)?)
        } else {
            format!("export {name}={}", quoted(value)?)
        });
    }
    Ok(lines.join("\n"))
}

/// What takes a variable, or a function that bash exports, away from a shell; nothing for those that a shell keeps for itself.
fn unset(name: &str) -> Option<String> {
    const OF_SHELLS: [&str; 9] = [
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "UID",
        "EUID",
        "PPID",
        "BASHOPTS",
        "SHELLOPTS",
    ];
    let is_plain = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let function = name
        .strip_prefix("BASH_FUNC_")
        .and_then(|rest| rest.strip_suffix("%%"));
    match function {
        Some(function) => is_plain(function).then(|| format!("unset -f {function}")),
        None => (is_plain(name) && !OF_SHELLS.contains(&name)).then(|| format!("unset {name}")),
    }
}

fn json(selected: &Selected, variables: &CommandVariables) -> Result<String, Error> {
    let mut printed = serde_json::Map::new();
    for (name, value) in &variables.all {
        let (name, value) = printable(name, value)?;
        printed.insert(name.to_owned(), value.into());
    }
    let value = serde_json::json!({
        "environment": selected.environment,
        "generation": selected.generation,
        "python": selected.generation.join(inside::PYTHON),
        "variables": printed,
    });
    Ok(show::json_text(&value))
}

fn printable<'a>(name: &'a OsString, value: &'a OsString) -> Result<(&'a str, &'a str), Error> {
    let unprintable = || Error::Unprintable(name.to_string_lossy().into_owned());
    Ok((
        name.to_str().ok_or_else(unprintable)?,
        value.to_str().ok_or_else(unprintable)?,
    ))
}

/// A word of a POSIX shell.
fn quoted(text: &str) -> Result<Cow<'_, str>, Error> {
    shlex::try_quote(text).map_err(|_| Error::Unprintable(text.to_owned()))
}
