//! The exit codes, and how an error becomes one.

use std::process::ExitCode;

use crate::report::Problem;

/// How a command ends. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything is as asked.
    Ok,
    /// Something failed, or a check found something.
    Failed,
    /// The command line, the manifest or the lock cannot be read.
    Usage,
    /// The lock or the root has drifted.
    Drift,
    /// An environment is missing, stale or unusable on this machine.
    Environment,
    /// A limit of time has ended it, as `timeout` of coreutils does.
    TimedOut,
    /// Terminated by a signal: 128+N, as in shells.
    HungUp,
    /// By Ctrl-C.
    Interrupted,
    /// By a scheduler or a person.
    Terminated,
    /// The command of `rootstock run` exists and cannot be executed, as in shells.
    CommandNotExecutable,
    /// It does not exist.
    CommandNotFound,
    /// That of the command of `rootstock run`.
    Command(u8),
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Drift => 3,
            Exit::Environment => 4,
            Exit::TimedOut => 124,
            Exit::HungUp => 129,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
            Exit::CommandNotExecutable => 126,
            Exit::CommandNotFound => 127,
            Exit::Command(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// A command's error: the report and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The message, with its help.
    pub(crate) report: miette::Report,
    /// The exit code.
    pub(crate) exit: Exit,
}

impl Failure {
    /// A message, with help if there is any.
    pub(crate) fn new(exit: Exit, message: &str, help: Option<&str>) -> Self {
        let report = match help {
            Some(help) => miette::miette!(help = help, "{message}"),
            None => miette::miette!("{message}"),
        };
        Failure { report, exit }
    }

    /// The command line cannot be carried out: exit 2, with what to write instead.
    pub(crate) fn usage(message: &str, help: &str) -> Self {
        Self::new(Exit::Usage, message, Some(help))
    }

    /// A part of a report that failed: exit 1.
    pub(crate) fn problem(problem: &Problem) -> Self {
        Self::new(Exit::Failed, &problem.message, problem.help.as_deref())
    }
}

/// Ends with this exit code on error.
pub(crate) trait OrExit<T> {
    /// Turns the error into a failure with this exit code.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: miette::Diagnostic + Send + Sync + 'static> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            report: miette::Report::new(error),
            exit,
        })
    }
}
