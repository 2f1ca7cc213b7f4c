//! Whether the source of an environment can be imported: by a Python as a worker gets it, which does that and ends. No
//! model is loaded, `setup()` is not called, and nothing is written: what an import does beside that is the source's own.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, pipe_with};
use serde::Serialize;

use super::PROGRAM;
use super::environment::{self, Variables};
use super::handover::{HandOver, Silence};
use super::model::Ready;
use super::output::{self, Tail};
use super::python::Python;
use super::select::Selected;
use super::step::Raised;
use super::wait::wait_until;
use crate::process;
use crate::store::{Root, inside};

/// A Python that takes too long ends itself, because only it can say where it stands; one that cannot even do that is
/// ended so much later.
const GRACE: Duration = Duration::from_secs(10);
/// Imports within imports take several lines of a traceback each.
const KEPT: usize = 400;
/// How much of it is told.
const TOLD: usize = 15;

/// An environment's source cannot be imported.
#[derive(Debug)]
pub enum Failure {
    /// An exception.
    Raised(Raised),
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

/// The first JSON that Python is sent; the shim knows by `only_import` that it is to load nothing.
#[derive(Debug, Serialize)]
struct Order {
    only_import: bool,
    source: PathBuf,
    patience: f64,
}

/// Imports the source of an environment.
pub fn import(
    root: &Root,
    selected: &Selected,
    inherited: &Variables,
    patience: Duration,
) -> Result<(), Failure> {
    let (mut hand_over, stdin) = HandOver::new().map_err(Failure::System)?;
    let (stop, never_written) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|error| Failure::System(error.into()))?;
    let variables = environment::variables(root, selected, inherited);
    let order = Order {
        only_import: true,
        source: selected.generation.join(inside::SOURCE),
        patience: patience.as_secs_f64(),
    };
    let tail = Tail::of(KEPT);
    let begun = Instant::now();
    let (python, stdout, stderr) =
        Python::start(selected, &variables, stdin, PROGRAM.len()).map_err(Failure::Process)?;
    let imported = std::thread::scope(|scope| {
        scope.spawn(|| output::drain(stdout, stderr, &stop, &tail, &|_| {}));
        // A Python that is gone before it has read its order is found out when it is asked for its answer.
        let _ = hand_over.begin(PROGRAM, &order);
        let answer = if wait_until(hand_over.socket(), begun + patience + GRACE) {
            hand_over.ready::<Ready>()
        } else {
            Err(Silence::Late(patience))
        };
        let said = String::new();
        let imported = match answer {
            Ok(_) => Ok(()),
            Err(Silence::Raised(raised)) => Err(Failure::Raised(raised)),
            Err(_) if begun.elapsed() >= patience => Err(Failure::Late { patience, said }),
            Err(_) => Err(Failure::Died {
                cause: python.cause(),
                said,
            }),
        };
        // It ends with all that it has started; what it has printed is read to the end before anything is told about it.
        drop(python);
        drop(never_written);
        imported
    });
    imported.map_err(|failure| match failure {
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
