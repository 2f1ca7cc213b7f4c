//! Runs one task in an environment's Python, started as a worker's. The order's `task` names it; callers know its fields and
//! its answer.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::PROGRAM;
use super::answer::StepError;
use super::handover::HandOver;
use super::output::{self, Tail};
use super::python::Child;
use super::wait::{Wake, wait};
use crate::process::{
    self,
    threads::{self, NoThread},
};
use crate::report::chain;
use crate::runtime::{Selected, Variables};
use ipi_client::Exception;

/// A Python that takes too long ends itself with a traceback; if it cannot do that either, it is killed after this time.
const GRACE: Duration = Duration::from_secs(10);
/// Lines of output kept: nested imports take several lines of a traceback each.
const KEPT: usize = 400;
/// Lines of output reported.
const REPORTED: usize = 15;

/// A task that failed.
#[derive(Debug)]
pub enum TaskError {
    /// It raised an exception.
    Raised(Exception),
    /// Python ended.
    Died {
        /// How it ended.
        cause: String,
        /// The end of its output.
        output: String,
    },
    /// It took too long.
    TimedOut {
        /// Its time limit.
        timeout: Duration,
        /// The end of its output, with a traceback.
        output: String,
    },
    /// Python could not be started.
    Process(process::Error),
    /// No socket pair, pipe or memory.
    System(std::io::Error),
}

impl fmt::Display for TaskError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Raised(exception) => out.write_str(&exception.error),
            TaskError::Died { cause, .. } => out.write_str(cause),
            TaskError::TimedOut { timeout, .. } => {
                write!(out, "not finished after {} s", timeout.as_secs_f64())
            }
            TaskError::Process(error) => out.write_str(&chain(error)),
            TaskError::System(error) => {
                write!(out, "cannot prepare the hand-over to Python: {error}")
            }
        }
    }
}

impl TaskError {
    /// The end of a traceback, or of Python's output; may be empty.
    pub fn details(&self) -> String {
        match self {
            TaskError::Raised(exception) => process::tail(&exception.traceback, REPORTED),
            TaskError::Died { output, .. } | TaskError::TimedOut { output, .. } => {
                last_report(output)
            }
            TaskError::Process(_) | TaskError::System(_) => String::new(),
        }
    }
}

/// Runs a task and returns its answer. Without a time limit it may take forever.
pub(super) fn run<T: DeserializeOwned>(
    selected: &Selected,
    variables: &Variables,
    order: &impl Serialize,
    timeout: Option<Duration>,
) -> Result<T, TaskError> {
    let (hand_over, stdin) = HandOver::new().map_err(TaskError::System)?;
    let (stop, open) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|error| TaskError::System(error.into()))?;
    let tail = Tail::of(KEPT);
    let begin = Instant::now();
    let (child, stdout, stderr) =
        Child::start(selected, variables, stdin, PROGRAM.len()).map_err(TaskError::Process)?;
    let answer = std::thread::scope(|scope| {
        let drain = || output::drain(stdout, stderr, &stop, &tail, &|_| {});
        threads::spawn(scope, drain).map_err(|NoThread(error)| TaskError::System(error))?;
        let deadline = timeout.map(|timeout| begin + timeout + GRACE);
        let answer = match (receive(hand_over, order, deadline), timeout) {
            (Ok(answer), _) => Ok(answer),
            (Err(StepError::Raised(exception)), _) => Err(TaskError::Raised(exception)),
            (Err(_), Some(timeout)) if begin.elapsed() >= timeout => Err(TaskError::TimedOut {
                timeout,
                output: String::new(),
            }),
            (Err(_), _) => Err(TaskError::Died {
                cause: child.cause(),
                output: String::new(),
            }),
        };
        // Ends Python with all its processes, so that the output is read to the end before an error is reported.
        drop(child);
        drop(open);
        answer
    });
    answer.map_err(|error| match error {
        TaskError::Died { cause, .. } => TaskError::Died {
            cause,
            output: tail.text(),
        },
        TaskError::TimedOut { timeout, .. } => TaskError::TimedOut {
            timeout,
            output: tail.text(),
        },
        error => error,
    })
}

/// Sends the order and waits for the answer.
fn receive<T: DeserializeOwned>(
    mut hand_over: HandOver,
    order: &impl Serialize,
    deadline: Option<Instant>,
) -> Result<T, StepError> {
    // If Python ends before it has read its order, waiting for its answer reports that.
    let _ = hand_over.send_order(PROGRAM, order);
    match wait(hand_over.socket(), PollFlags::IN, deadline, None) {
        Wake::Ready => hand_over.receive_ready(),
        _ => Err(StepError::TimedOut(Duration::default())),
    }
}

/// The first words of reports that `faulthandler` prints before Python ends; the innermost call comes first.
const REPORTS: [&str; 2] = ["Fatal Python error", "Timeout ("];

/// The relevant lines of an output: `faulthandler`'s report without the frames of the import system, or the last lines.
fn last_report(output: &str) -> String {
    let is_report = |line: &str| REPORTS.iter().any(|begin| line.starts_with(begin));
    let lines: Vec<&str> = output.lines().collect();
    match lines.iter().rposition(|line| is_report(line)) {
        Some(at) => {
            let is_import_system = |line: &&str| line.contains("<frozen importlib._bootstrap");
            let report = lines[at..].iter().filter(|line| !is_import_system(line));
            report
                .take(REPORTED)
                .copied()
                .collect::<Vec<_>>()
                .join("\n")
        }
        None => process::tail(output, REPORTED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_its_beginning_and_no_frames_of_the_import_system() {
        let output = "loading\n\
            Timeout (0:00:01)!\n\
            Thread 0x1 (most recent call first):\n  \
              File \"a.py\", line 1 in deep\n  \
              File \"<frozen importlib._bootstrap>\", line 241 in _call_with_frames_removed\n  \
              File \"env_source.py\", line 7 in <module>\n";
        assert_eq!(
            last_report(output),
            "Timeout (0:00:01)!\n\
            Thread 0x1 (most recent call first):\n  \
              File \"a.py\", line 1 in deep\n  \
              File \"env_source.py\", line 7 in <module>"
        );
        assert_eq!(last_report("one\ntwo\n"), "one\ntwo");
    }
}
