//! A Python as a worker gets it that does one thing and ends. What it is to do, and what it answers, is known to those who
//! ask: it is the order's `task`.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::PROGRAM;
use super::handover::{HandOver, Silence};
use super::output::{self, Tail};
use super::python::Python;
use super::wait::{Wake, wait};
use crate::process::{
    self,
    threads::{self, NoThread},
};
use crate::runtime::Selected;
use crate::runtime::Variables;
use ipi_client::Exception;

/// A Python that takes too long ends itself, because only it can say where it stands; one that cannot even do that is
/// ended so much later.
const GRACE: Duration = Duration::from_secs(10);
/// Imports within imports take several lines of a traceback each.
const KEPT: usize = 400;
/// How much of it is told.
const TOLD: usize = 15;

/// It could not be done.
#[derive(Debug)]
pub enum Failure {
    /// An exception.
    Raised(Exception),
    /// The end of Python.
    Died {
        /// How it ended.
        cause: String,
        /// What it printed last.
        said: String,
    },
    /// It took longer than this.
    Late {
        /// How long it was given.
        patience: Duration,
        /// What it printed last: where it stood.
        said: String,
    },
    /// Python could not be started.
    Process(process::Error),
    /// The system gave no socket pair, pipe or memory.
    System(std::io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Raised(raised) => out.write_str(&raised.error),
            Failure::Died { cause, .. } => out.write_str(cause),
            Failure::Late { patience, .. } => {
                write!(out, "not done after {} s", patience.as_secs_f64())
            }
            Failure::Process(error) => write!(out, "{error}: {}", error.source),
            Failure::System(error) => write!(out, "cannot prepare a Python for it: {error}"),
        }
    }
}

impl Failure {
    /// The end of a traceback, or what Python printed last; empty if there is nothing to add.
    pub fn details(&self) -> String {
        match self {
            Failure::Raised(raised) => process::tail(&raised.traceback, TOLD),
            Failure::Died { said, .. } | Failure::Late { said, .. } => where_it_stood(said),
            Failure::Process(_) | Failure::System(_) => String::new(),
        }
    }
}

/// Has a Python carry out an order; what it answers. Without patience it is waited for as long as it takes.
pub(super) fn ask<T: DeserializeOwned>(
    selected: &Selected,
    variables: &Variables,
    order: &impl Serialize,
    patience: Option<Duration>,
) -> Result<T, Failure> {
    let (mut hand_over, stdin) = HandOver::new().map_err(Failure::System)?;
    let (stop, never_written) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|error| Failure::System(error.into()))?;
    let tail = Tail::of(KEPT);
    let begun = Instant::now();
    let (python, stdout, stderr) =
        Python::start(selected, variables, stdin, PROGRAM.len()).map_err(Failure::Process)?;
    let answered = std::thread::scope(|scope| {
        let drain = || output::drain(stdout, stderr, &stop, &tail, &|_| {});
        threads::spawn(scope, drain).map_err(|NoThread(error)| Failure::System(error))?;
        // A Python that is gone before it has read its order is found out when it is asked for its answer.
        let _ = hand_over.begin(PROGRAM, order);
        let deadline = patience.map(|patience| begun + patience + GRACE);
        let woken = wait(hand_over.socket(), PollFlags::IN, deadline, None);
        let answer = if woken == Wake::Ready {
            hand_over.ready::<T>()
        } else {
            Err(Silence::Late(patience.unwrap_or_default()))
        };
        let said = String::new();
        let answered = match (answer, patience) {
            (Ok(answer), _) => Ok(answer),
            (Err(Silence::Raised(raised)), _) => Err(Failure::Raised(raised)),
            (Err(_), Some(patience)) if begun.elapsed() >= patience => {
                Err(Failure::Late { patience, said })
            }
            (Err(_), _) => Err(Failure::Died {
                cause: python.cause(),
                said,
            }),
        };
        // It ends with all that it has started; what it has printed is read to the end before anything is told about it.
        drop(python);
        drop(never_written);
        answered
    });
    answered.map_err(|failure| match failure {
        Failure::Died { cause, .. } => Failure::Died {
            cause,
            said: tail.text(),
        },
        Failure::Late { patience, .. } => Failure::Late {
            patience,
            said: tail.text(),
        },
        failure => failure,
    })
}

/// What Python's own report of its end begins with (`faulthandler`). The call that it was in comes first there, and those
/// that led to it after that.
const REPORTS: [&str; 2] = ["Fatal Python error", "Timeout ("];

/// The lines that matter of what a Python printed before its end: its report of that, without the machinery of imports;
/// else the last ones.
fn where_it_stood(said: &str) -> String {
    let is_report = |line: &str| REPORTS.iter().any(|begin| line.starts_with(begin));
    let lines: Vec<&str> = said.lines().collect();
    match lines.iter().rposition(|line| is_report(line)) {
        Some(at) => {
            let machinery = |line: &&str| line.contains("<frozen importlib._bootstrap");
            let report = lines[at..].iter().filter(|line| !machinery(line));
            report.take(TOLD).copied().collect::<Vec<_>>().join("\n")
        }
        None => process::tail(said, TOLD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_told_from_its_beginning_and_without_the_machinery() {
        let said = "loading\n\
            Timeout (0:00:01)!\n\
            Thread 0x1 (most recent call first):\n  \
              File \"a.py\", line 1 in deep\n  \
              File \"<frozen importlib._bootstrap>\", line 241 in _call_with_frames_removed\n  \
              File \"env_source.py\", line 7 in <module>\n";
        assert_eq!(
            where_it_stood(said),
            "Timeout (0:00:01)!\n\
            Thread 0x1 (most recent call first):\n  \
              File \"a.py\", line 1 in deep\n  \
              File \"env_source.py\", line 7 in <module>"
        );
        assert_eq!(where_it_stood("one\ntwo\n"), "one\ntwo");
    }
}
