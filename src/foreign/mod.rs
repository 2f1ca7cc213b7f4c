//! A command under a Python that is not the environment's own (`rootstock run --python`), with the environment's packages where
//! they fit. What fits and where it goes is decided in `overlay`; nothing that fails keeps the command from running, unless
//! the packages are required.
//!
//! ```text
//! P ──choose::own──▶ its own: run there
//! P ──prepare──▶ a generation (built `on_demand`) ──overlay::decide──▶ Start ──▶ the command, and what its Pythons report
//! ```

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::files;
use crate::name::EnvironmentName;
use crate::overlay::decide::Both;
use crate::overlay::{Mode, Record, Start, Unavailable, choose, start};
use crate::pool::supervise;
use crate::process::Command;
use crate::report::{chain, help};
use crate::runtime::command::{Inherit, for_command};
use crate::runtime::user_cache::own_user_cache;
use crate::runtime::{Variables, program, select};

mod request;
mod failed;
mod on_demand;
mod prepare;

pub(crate) use failed::Error;
pub(crate) use request::{Caller, Request};

/// How long a Python may take to identify itself, and to list what it has.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the command. Returns its exit code, or 1 where it ran without the packages that it requires; where nothing has to be
/// recorded, this process becomes the command.
pub(crate) fn run(request: Request, command: &[OsString]) -> Result<u8, Error> {
    let path = request.variables.get(OsStr::new("PATH"));
    let foreign = Foreign {
        search_path: path.cloned().unwrap_or_default(),
        asking: start::without(&request.variables),
        deadline: Instant::now() + PATIENCE,
        request,
    };
    foreign.run(command)
}

/// A command under a Python.
struct Foreign<'a> {
    request: Request<'a>,
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
    fn run(&self, command: &[OsString]) -> Result<u8, Error> {
        let record = self.record_file()?;
        if let Some(own) = choose::own(&self.request.python, self.request.root, &self.request.name)
        {
            return self.run_own(&own, command, record);
        }
        let program = program::beside(&self.request.python, &command[0], &self.search_path)?;
        let cache = own_user_cache(&self.request.variables);
        let prepared = match &cache {
            Ok(cache) => self.prepare(cache),
            Err(error) => Err(Unavailable::Files(chain(error)).into()),
        };
        let start = match prepared {
            Ok(prepared) => {
                self.remark(&prepared);
                Some(prepared.start)
            }
            Err(Error::Unavailable(error)) if !self.request.require_overlay => {
                self.warn(&error);
                record.as_ref().map(|_| self.nothing(Mode::None))
            }
            Err(error) => return Err(error),
        };
        let command = Command::new(program).arguments(&command[1..]);
        let Some(mut start) = start else {
            return Err(command.variables(&self.request.variables).exec().into());
        };
        start.file = record;
        let Ok(cache) = cache else {
            // No Python can report without the cache; that is recorded.
            let ended = supervise::run(&command.variables(&self.request.variables));
            let (process, code) = ended?;
            return self.judge(&start, process, "", code);
        };
        self.start(command, start, &cache, &self.request.variables)
    }

    /// Runs it in the environment, of whose own Python nothing has to be found out.
    fn run_own(
        &self,
        own: &EnvironmentName,
        command: &[OsString],
        record: Option<PathBuf>,
    ) -> Result<u8, Error> {
        let selected = select::environment(self.request.root, own.as_str())?;
        let program = program::find(&command[0], &selected, &self.search_path)?;
        let variables = for_command(
            self.request.root,
            &selected,
            &self.request.variables,
            &Inherit::All,
        )
        .all;
        let command = Command::new(program).arguments(&command[1..]);
        if record.is_none() && !self.request.require_overlay {
            return Err(command.variables(variables).exec().into());
        }
        let mut start = self.nothing(Mode::Own);
        if let Some(built) = choose::current(self.request.root, own) {
            start.set(&built);
        }
        start.file = record;
        let cache = own_user_cache(&self.request.variables)?;
        self.start(command, start, &cache, &variables)
    }

    fn start(
        &self,
        command: Command,
        mut start: Start,
        cache: &Path,
        variables: &Variables,
    ) -> Result<u8, Error> {
        if start.file.is_none() && !self.request.require_overlay {
            let variables = start::variables(&start, cache, variables)?;
            return Err(command.variables(variables).exec().into());
        }
        let seen = files::new_file(cache, "seen-")?;
        start.seen = Some(seen.clone());
        let variables = start::variables(&start, cache, variables)?;
        let ended = supervise::run(&command.variables(variables));
        let reported = files::read_text(&seen).unwrap_or_default();
        let _ = files::remove_if_present(&seen);
        let (process, code) = ended?;
        self.judge(&start, process, &reported, code)
    }

    /// The exit code, after what no Python has reported was recorded.
    fn judge(&self, start: &Start, process: u32, reported: &str, code: u8) -> Result<u8, Error> {
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
                files::append_line(file, &record.line())?;
            }
            self.print(
                "warning: no Python has reported that it ran with the environment's packages: the command starts none, or with \
                 `-I`, `-E` or `-S`, which ignore PYTHONPATH or `sitecustomize`",
            );
        } else if self.request.require_overlay && !is_added {
            self.print(
                "warning: no Python of the command had the environment's packages: it ran another one",
            );
        }
        let is_missing = self.request.require_overlay && !is_added;
        Ok(if is_missing { code.max(1) } else { code })
    }

    /// The record's file by an absolute path, because the command may change its directory.
    fn record_file(&self) -> Result<Option<PathBuf>, Error> {
        let Some(file) = self.request.record else {
            return Ok(None);
        };
        let file = files::absolute(file).map_err(|_| Error::Record(file.to_owned()))?;
        let above = file.parent().unwrap_or(Path::new("/"));
        if !files::is_directory(above) || files::is_directory(&file) {
            return Err(Error::Record(file));
        }
        Ok(Some(file))
    }

    /// A start that adds nothing.
    fn nothing(&self, mode: Mode) -> Start {
        Start::of(Record::of(self.request.name.clone(), mode))
    }

    fn print(&self, text: &str) {
        self.request.caller.print(text);
    }

    /// Prints why the command runs without the packages.
    fn warn(&self, error: &Unavailable) {
        let help = help(error).unwrap_or_default();
        self.print(&format!(
            "warning: {error}; the command runs without the environment's packages; {help}"
        ));
    }

    /// Prints whose packages are used where both have them.
    fn remark(&self, prepared: &Prepared) {
        let (python, name) = (self.request.python.display(), &self.request.name);
        if !prepared.is_compared {
            self.print(&format!(
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
            self.print(&if is_prepended {
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
