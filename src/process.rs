//! The only place that starts programs. A [`Command`] is data: nothing is inherited from our own environment
//! that it does not list, so the code shows everything that a program sees.
//!
//! The worker's long-lived Python is started here too ([`Command::spawn`]), but who speaks with it, and how it is
//! ended, is not decided here. `rootstock run` becomes another program here ([`Command::exec`]).

mod output;
mod descendants;
pub(crate) mod find;
mod limited;
pub(crate) mod threads;
mod wait;

pub(crate) use descendants::end_descendants;
pub(crate) use limited::{GIT_LIMITS, NETWORK_TIMEOUT};
pub(crate) use wait::poll_until;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

pub(crate) use output::Output;
pub(crate) use output::{Error, Exit};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, kill_process_group};

/// A program to start, as data.
#[derive(Debug, Clone)]
pub struct Command {
    /// Path of the program; never searched for on PATH.
    pub program: PathBuf,
    /// What follows it.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// Where it runs; our own directory if `None`.
    pub directory: Option<PathBuf>,
    /// What it reads on standard input.
    pub input: Vec<u8>,
}

impl Command {
    /// This program, with no arguments, an empty environment and empty standard input.
    pub(crate) fn new(program: impl AsRef<Path>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            directory: None,
            input: Vec::new(),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub(crate) fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub(crate) fn arguments<T: AsRef<OsStr>>(
        mut self,
        arguments: impl IntoIterator<Item = T>,
    ) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets one variable.
    #[must_use]
    pub(crate) fn variable(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Sets several variables.
    #[must_use]
    pub(crate) fn variables<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        for (name, value) in variables {
            self.environment
                .insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        }
        self
    }

    /// Runs in this directory.
    #[must_use]
    pub(crate) fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Gives these bytes on standard input.
    #[must_use]
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs the program to its end and returns what it left; its exit code is the caller's business.
    pub(crate) fn run(&self) -> Result<Output, Error> {
        let mut child = self
            .build()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| self.error(e))?;
        let mut stdin = child.stdin.take().expect("stdin was asked for as a pipe");
        let output = if self.input.is_empty() {
            drop(stdin);
            child.wait_with_output()
        } else {
            // Fed from a thread of its own: a program that writes before it has read all would block us both.
            std::thread::scope(|scope| {
                let feed = move || {
                    // A program may end without reading its input; its exit code decides.
                    let _ = stdin.write_all(&self.input);
                };
                if let Err(threads::NoThread(error)) = threads::spawn(scope, feed) {
                    child.kill().and(child.wait())?;
                    return Err(error);
                }
                child.wait_with_output()
            })
        }
        .map_err(|e| self.error(e))?;
        Ok(Output {
            exit: output.status.into(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// As [`Command::run`], for a program that reaches the network: for at most [`NETWORK_TIMEOUT`].
    pub(crate) fn run_limited(&self) -> Result<Output, Error> {
        let limit = limited::limit(&self.environment).map_err(|e| self.error(e))?;
        let child = self
            .build()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| self.error(e))?;
        limited::limit_memory(&child);
        limited::output(child, limit).map_err(|e| self.error(e))
    }

    /// What the program writes to standard output, if it closes that in time and does not write without end; otherwise nothing.
    /// In both cases it is ended then, with all that it has started.
    pub(crate) fn answer_within(&self, limit: Duration) -> Result<Option<Vec<u8>>, Error> {
        let mut child = self
            .build()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| self.error(e))?;
        let stdout = child.stdout.take().expect("stdout was asked for as a pipe");
        let answer = read_until(stdout, Instant::now() + limit);
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // Fails only if no process is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
        child.wait().and(answer).map_err(|e| self.error(e))
    }

    /// Starts the program in a process group of its own, with this standard input and with standard output and
    /// standard error as pipes. The caller owns the child: it must drain the pipes and reap it.
    pub(crate) fn spawn(&self, stdin: OwnedFd) -> Result<Child, Error> {
        self.build()
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|e| self.error(e))
    }

    /// Starts the program in our process group, with our standard streams. The caller owns the child and must reap it.
    pub(crate) fn start(&self) -> Result<Child, Error> {
        self.build().spawn().map_err(|e| self.error(e))
    }

    /// Becomes the program: its exit code and signals are those of this process. Comes back only if that is impossible.
    pub(crate) fn exec(&self) -> Error {
        self.error(self.build().exec())
    }

    fn build(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    /// The error that something went wrong with it.
    pub(crate) fn error(&self, source: std::io::Error) -> Error {
        Error {
            program: self.program.display().to_string(),
            source,
        }
    }
}

/// From here on a file that grows beyond what is allowed (`ulimit -f`) is an error of who writes it, as a full disk is, and does
/// not end this process. Threads and programs that are started from here on inherit that.
pub(crate) fn ignore_file_size_signal() {
    let mut set = nix::sys::signal::SigSet::empty();
    set.add(nix::sys::signal::Signal::SIGXFSZ);
    // Refused only for a mask that is none.
    let _ = set.thread_block();
}

/// No answer is longer.
const LONGEST_ANSWER: usize = 16 << 20;

/// Everything up to the end of a pipe; `None` if that has not come by then, or does not come.
fn read_until(mut pipe: ChildStdout, deadline: Instant) -> std::io::Result<Option<Vec<u8>>> {
    let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        if !poll_until(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(deadline))? {
            return Ok(None);
        }
        match pipe.read(&mut bytes)? {
            0 => return Ok(Some(all)),
            count if all.len() + count > LONGEST_ANSWER => return Ok(None),
            count => all.extend_from_slice(&bytes[..count]),
        }
    }
}

/// The last `lines` lines of a program's output, for a message about its failure.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_sees_only_the_variables_it_is_given() {
        let output = Command::new("/usr/bin/env")
            .variable("A", "1")
            .run()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "A=1\n");
    }

    #[test]
    fn a_program_that_does_not_read_does_not_block_us() {
        let input = vec![b'x'; 1 << 20];
        let output = Command::new("/bin/sh")
            .arguments(["-c", "exit 7"])
            .input(input)
            .run()
            .unwrap();
        assert_eq!(output.exit, Exit::Code(7));
    }

    #[test]
    fn a_program_that_does_not_end_is_not_waited_for() {
        let sh = |script, seconds| {
            let command = Command::new("/bin/sh").arguments(["-c", script]);
            let limit = Duration::from_secs_f64(seconds);
            command.answer_within(limit).unwrap()
        };
        assert_eq!(sh("echo no; /bin/sleep 1000", 0.1), None);
        assert_eq!(sh("exec >&-; /bin/sleep 1000", 100.0), Some(Vec::new()));
        let endless = "while :; do echo 0123456789012345678901234567890123456789; done";
        assert_eq!(sh(endless, 1000.0), None);
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let error = Command::new("/does/not/exist").run().unwrap_err();
        assert_eq!(error.to_string(), "cannot run `/does/not/exist`");
    }
}
