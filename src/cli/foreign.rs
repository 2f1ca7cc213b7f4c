//! `rootstock run ENV --python P`: the command runs under a Python that is not the environment's own, with the environment's
//! packages where they fit. What fits and where it goes is decided in `overlay`; nothing that fails keeps the command from
//! running, unless `--require-overlay` is given.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::exit::{Exit, Failure, OrExit};
use super::install::install;
use super::{Shared, context, run, selection, show};
use crate::files;
use crate::manifest::nearest;
use crate::name::EnvironmentName;
use crate::overlay::decide::{Both, decide};
use crate::overlay::{
    Built, Chosen, Contents, Decision, Mode, Placement, Record, Start, Unavailable, choose,
    interpreter, names, start,
};
use crate::pool::supervise;
use crate::process::Command;
use crate::python::Interpreter;
use crate::report::{chain, help};
use crate::runtime::command::{Inherit, for_command};
use crate::runtime::{Variables, program, select};
use crate::store::Root;
use crate::sync::on_demand::Wanted;
use crate::target::Target;

mod options;

pub(super) use options::Options;

/// How long a Python may take to identify itself, and to list what it has.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the command; comes back only if that is impossible.
pub(super) fn run(
    shared: &Shared,
    root: &Root,
    environment: &str,
    arguments: &Options,
    command: &[OsString],
) -> Result<Exit, Failure> {
    let python = arguments.python.as_deref().unwrap_or(Path::new(""));
    let selected = select::environment(root, environment);
    // A name that is none is a mistake; what is not built may be built.
    if let Err(error) = selected {
        let failure = selection::failure(error, environment, shared);
        if failure.exit == Exit::Usage {
            return Err(failure);
        }
    }
    let name: EnvironmentName = environment
        .parse()
        .map_err(|error| Failure::usage(&format!("{error}"), "name an environment"))?;
    let foreign = Foreign {
        shared,
        root,
        python: program::named(python, &context::search_path()),
        arguments,
        variables: context::variables(),
        search_path: context::search_path(),
        asking: start::without(&context::variables()),
        deadline: Instant::now() + PATIENCE,
        name,
    };
    foreign.run(command)
}

/// A command under a Python.
struct Foreign<'a> {
    shared: &'a Shared,
    root: &'a Root,
    name: EnvironmentName,
    /// The program, by a path.
    python: PathBuf,
    arguments: &'a Options,
    /// The caller's.
    variables: Variables,
    search_path: OsString,
    /// With which the Python is asked what it has.
    asking: Variables,
    /// Nothing is asked after that.
    deadline: Instant,
}

/// What is done for the command.
struct Prepared {
    start: Start,
    both: Vec<Both>,
    /// Whether the Python's own packages are known.
    is_compared: bool,
}

impl Foreign<'_> {
    fn run(&self, command: &[OsString]) -> Result<Exit, Failure> {
        let record = self.record_file()?;
        if let Some(own) = choose::own(&self.python, self.root, &self.name) {
            return self.run_own(&own, command, record);
        }
        let program = program::beside(&self.python, &command[0], &context::search_path())
            .map_err(run::not_found)?;
        let cache = context::own_cache();
        let prepared = match &cache {
            Ok(cache) => self.prepare(cache)?,
            Err(error) => Err(Unavailable::Files(chain(error))),
        };
        let start = match prepared {
            Ok(prepared) => {
                self.remark(&prepared);
                Some(prepared.start)
            }
            Err(error) if self.arguments.require_overlay => {
                return Err(error).or_exit(Exit::Environment);
            }
            Err(error) => {
                warn(&error);
                record.as_ref().map(|_| self.nothing(Mode::None))
            }
        };
        let command = Command::new(program).arguments(&command[1..]);
        let Some(mut start) = start else {
            return Err(run::become_command(&command.variables(&self.variables)));
        };
        start.file = record;
        let Ok(cache) = cache else {
            // No Python can report without the cache; that is recorded.
            let ended = supervise::run(&command.variables(&self.variables));
            let (process, code) = ended.map_err(run::failed)?;
            return self.judge(&start, process, "", code);
        };
        self.start(command, start, &cache, &self.variables)
    }

    /// Runs it in the environment, of whose own Python nothing has to be found out.
    fn run_own(
        &self,
        own: &EnvironmentName,
        command: &[OsString],
        record: Option<PathBuf>,
    ) -> Result<Exit, Failure> {
        let selected = select::environment(self.root, own.as_str())
            .map_err(|error| selection::failure(error, own.as_str(), self.shared))?;
        let program = program::find(&command[0], &selected, &context::search_path())
            .map_err(run::not_found)?;
        let variables = for_command(self.root, &selected, &self.variables, &Inherit::All).all;
        let command = Command::new(program).arguments(&command[1..]);
        if record.is_none() && !self.arguments.require_overlay {
            return Err(run::become_command(&command.variables(variables)));
        }
        let mut start = self.nothing(Mode::Own);
        if let Some(built) = choose::current(self.root, own) {
            start.set(&built);
        }
        start.file = record;
        let cache = context::own_cache().or_exit(Exit::Failed)?;
        self.start(command, start, &cache, &variables)
    }

    fn start(
        &self,
        command: Command,
        mut start: Start,
        cache: &Path,
        variables: &Variables,
    ) -> Result<Exit, Failure> {
        if start.file.is_none() && !self.arguments.require_overlay {
            let variables = start::variables(&start, cache, variables).or_exit(Exit::Failed)?;
            return Err(run::become_command(&command.variables(variables)));
        }
        let seen = files::new_file(cache, "seen-").or_exit(Exit::Failed)?;
        start.seen = Some(seen.clone());
        let variables = start::variables(&start, cache, variables).or_exit(Exit::Failed)?;
        let ended = supervise::run(&command.variables(variables));
        let reported = files::read_text(&seen).unwrap_or_default();
        let _ = files::remove_if_present(&seen);
        let (process, code) = ended.map_err(run::failed)?;
        self.judge(&start, process, &reported, code)
    }

    /// The exit code, after what no Python has reported was recorded.
    fn judge(
        &self,
        start: &Start,
        process: u32,
        reported: &str,
        code: u8,
    ) -> Result<Exit, Failure> {
        let is_added =
            reported.contains('+') || start.record.overlay == Mode::Own && !reported.is_empty();
        if reported.is_empty() {
            if let Some(file) = &start.file {
                let record = Record {
                    pid: process,
                    overlay: Mode::None,
                    collisions: Vec::new(),
                    ..start.record.clone()
                };
                let written = files::append_line(file, &record.line());
                written.or_exit(Exit::Failed)?;
            }
            show::remark(
                "warning: no Python has reported that it ran with the environment's packages: the command starts none, or with \
                 `-I`, `-E` or `-S`, which ignore PYTHONPATH or `sitecustomize`",
            );
        } else if self.arguments.require_overlay && !is_added {
            show::remark(
                "warning: no Python of the command had the environment's packages: it ran another one",
            );
        }
        let is_missing = self.arguments.require_overlay && !is_added;
        let is_failure = is_missing && code == 0;
        Ok(if is_failure {
            Exit::Failed
        } else {
            Exit::Command(code)
        })
    }

    /// The record's file by an absolute path, because the command may change its directory.
    fn record_file(&self) -> Result<Option<PathBuf>, Failure> {
        let Some(file) = &self.arguments.record else {
            return Ok(None);
        };
        let file = files::absolute(file).or_exit(Exit::Usage)?;
        let above = file.parent().unwrap_or(Path::new("/"));
        if !files::is_directory(above) || files::is_directory(&file) {
            return Err(Failure::usage(
                &format!("the record `{}` cannot be written", file.display()),
                "name a file in a directory that exists",
            ));
        }
        Ok(Some(file))
    }

    /// Finds the packages and where they go; the outer error ends the program.
    fn prepare(&self, cache: &Path) -> Result<Result<Prepared, Unavailable>, Failure> {
        let placement = Placement::from(self.arguments.overlay);
        if placement == Placement::Skip {
            let start = self.nothing(Mode::Skip);
            return Ok(if self.arguments.require_overlay {
                return Err(Failure::usage(
                    "`--overlay skip` and `--require-overlay` contradict each other",
                    "leave one of them out",
                ));
            } else {
                Ok(Prepared {
                    start,
                    both: Vec::new(),
                    is_compared: true,
                })
            });
        }
        let limit = self.deadline.saturating_duration_since(Instant::now());
        let Some(python) = interpreter::identify(&self.python, cache, &self.variables, limit)
        else {
            return Ok(Err(Unavailable::Unknown(self.python.clone())));
        };
        let built = match choose::built(self.root, &self.name, &python) {
            Some(built) => built,
            None => match self.wanted(&python, cache).provide(install(self.shared)?) {
                Ok(built) => built,
                Err(error) => return Ok(Err(error)),
            },
        };
        self.decide(&python, &built, placement, cache)
    }

    /// The environment for this Python, which the root does not have.
    fn wanted<'a>(&'a self, python: &'a Interpreter, cache: &'a Path) -> Wanted<'a> {
        Wanted {
            caller: self.shared,
            manifest: &self.shared.manifest,
            root: self.root,
            name: &self.name,
            python,
            program: &self.python,
            cache,
            variables: &self.variables,
            path: &self.search_path,
            jobs: context::processors(),
        }
    }

    fn decide(
        &self,
        python: &Interpreter,
        built: &Built,
        placement: Placement,
        cache: &Path,
    ) -> Result<Result<Prepared, Unavailable>, Failure> {
        let contents = match Contents::read(&built.generation, built.stamp.python.series()) {
            Ok(contents) => contents,
            Err(error) => return Ok(Err(error.into())),
        };
        let (Some(target), Some(version)) = (Target::here(), python.version()) else {
            return Ok(Err(Unavailable::Unknown(self.python.clone())));
        };
        let markers = target.markers(&version);
        let chosen = self.chosen(&contents, &markers)?;
        let names: BTreeSet<String> = match &chosen {
            Some(chosen) => contents.names_among(&chosen.names),
            None => contents.names(),
        };
        // Building may have taken minutes.
        let limit = self.deadline.max(Instant::now() + PATIENCE / 2) - Instant::now();
        let seen = names::seen(&self.python, &names, cache, &self.asking, limit);
        let decision = decide(
            placement,
            &contents,
            chosen.as_ref(),
            seen.as_ref(),
            &markers,
        );
        let Decision {
            mode,
            collisions,
            both,
            unmet,
        } = decision;
        if mode == Mode::None {
            return Ok(Err(Unavailable::Unmet {
                python: self.python.clone(),
                environment: built.environment.clone(),
                unmet,
            }));
        }
        let mut start = self.nothing(mode);
        start.set(built);
        start.record.collisions = collisions;
        start.site_packages = Some(contents.site_packages.clone());
        start.chosen = chosen;
        start.prefix = seen
            .as_ref()
            .map(|seen| seen.prefix.clone())
            .filter(|_| placement == Placement::Auto);
        let is_compared = seen.is_some();
        Ok(Ok(Prepared {
            start,
            both,
            is_compared,
        }))
    }

    /// The packages of `--packages`.
    fn chosen(
        &self,
        contents: &Contents,
        markers: &pep508_rs::MarkerEnvironment,
    ) -> Result<Option<Chosen>, Failure> {
        let packages = &self.arguments.packages;
        if packages.is_empty() {
            return Ok(None);
        }
        contents
            .choose(packages, markers)
            .map(Some)
            .map_err(|unknown| {
                let known = || unknown.known.iter().map(String::as_str);
                let help = nearest(&unknown.name, known()).map_or_else(
                    || crate::report::listed("it has:", unknown.known.iter().cloned()),
                    |near| format!("did you mean `{near}`?"),
                );
                Failure::usage(&unknown.to_string(), &help)
            })
    }

    /// A start that adds nothing.
    fn nothing(&self, mode: Mode) -> Start {
        Start::of(Record::of(self.name.clone(), mode))
    }

    /// Says whose packages are used where both have them.
    fn remark(&self, prepared: &Prepared) {
        let (python, name) = (self.python.display(), &self.name);
        if !prepared.is_compared {
            show::remark(&format!(
                "warning: `{python}` did not say what it has: its own packages are used before those of environment `{name}`"
            ));
        }
        let is_prepended = prepared.start.record.overlay == Mode::Prepend;
        for Both {
            name: package,
            theirs,
            place,
            ours,
        } in &prepared.both
        {
            show::remark(&if is_prepended {
                format!(
                    "warning: {package} {ours} of environment `{name}` is used, not {theirs} in {place}"
                )
            } else {
                format!(
                    "warning: {package} {theirs} in {place} is used, not {ours} of environment `{name}`; `--overlay prepend` \
                     reverses that"
                )
            });
        }
    }
}

fn warn(error: &Unavailable) {
    let help = help(error).unwrap_or_default();
    show::remark(&format!(
        "warning: {error}; the command runs without the environment's packages; {help}"
    ));
}
