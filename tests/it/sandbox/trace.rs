//! The program under strace: to see what it does, and to make the system fail where a test wants it to.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::{Output, Sandbox, lacking};

/// Whether this machine lets us trace a program at all; containers often do not. If not, the test is skipped.
pub(crate) fn is_possible() -> bool {
    let works = strace().is_some_and(|strace| {
        Command::new(strace)
            .args(["-f", "-o", "/dev/null", "true"])
            .output()
            .is_ok_and(|output| output.status.success())
    });
    lacking::unless(works, "strace")
}

/// The program under strace with these expressions (`trace=…`, `inject=…`), ready for its arguments.
pub(crate) fn command(sandbox: &Sandbox, expressions: &[&str]) -> Command {
    writing_to(sandbox, Path::new("/dev/null"), expressions)
}

/// The same; what is seen goes to this file.
pub(crate) fn writing_to(sandbox: &Sandbox, seen: &Path, expressions: &[&str]) -> Command {
    let mut command = Command::new(strace().expect("looked for before"));
    command.args(["-f", "-qq", "-o"]).arg(seen);
    for expression in expressions {
        command.args(["-e", expression]);
    }
    command.arg(env!("CARGO_BIN_EXE_rootstock"));
    sandbox.set_up(&mut command);
    command
}

/// The program under strace with these expressions, which are about system calls on this path alone.
pub(crate) fn on_path(sandbox: &Sandbox, path: &Path, expressions: &[&str]) -> Command {
    let mut command = Command::new(strace().expect("looked for before"));
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(path);
    for expression in expressions {
        command.args(["-e", expression]);
    }
    command.arg(env!("CARGO_BIN_EXE_rootstock"));
    sandbox.set_up(&mut command);
    command
}

/// The program, stopped in the middle of its work.
#[derive(Debug)]
pub(crate) struct Stopped {
    child: Child,
    /// What strace says; it ends with the program.
    lines: mpsc::Receiver<String>,
    /// The thread that was stopped last.
    thread: Option<String>,
    /// How many of the calls it has made.
    made: usize,
}

/// Starts the program and waits until it has made its `nth` system call of these kinds, in whichever thread; there it is
/// stopped. One that makes fewer has come to its end. strace itself counts the calls of each thread by themselves, and
/// which thread does what differs from run to run: so it is stopped at each of them, and goes on when that is counted.
pub(crate) fn stopped_after(
    sandbox: &Sandbox,
    calls: &str,
    nth: usize,
    arguments: &[&str],
) -> Result<Stopped, Output> {
    let seen = sandbox.path("seen");
    let made = Command::new("mkfifo").arg(&seen).status().unwrap();
    assert!(made.success());
    let inject = format!("inject={calls}:signal=SIGSTOP");
    let child = writing_to(sandbox, &seen, &[&format!("trace={calls}"), &inject])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = BufReader::new(std::fs::File::open(&seen).unwrap()).lines();
    std::fs::remove_file(&seen).unwrap();
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || text.map_while(|line| sender.send(line.ok()?).ok()).count());
    let mut program = Stopped {
        child,
        lines,
        thread: None,
        made: 0,
    };
    while program.stops() {
        if program.made >= nth {
            return Ok(program);
        }
        program.send("CONT");
    }
    Err(Output::from(program.child.wait_with_output().unwrap()))
}

/// How many system calls of these kinds the program makes, which must end well.
pub(crate) fn count(sandbox: &Sandbox, calls: &str, arguments: &[&str]) -> usize {
    let seen = sandbox.path("seen");
    let output = writing_to(sandbox, &seen, &[&format!("trace={calls}")])
        .args(arguments)
        .output()
        .unwrap();
    Output::from(output).expect(0);
    let text = std::fs::read_to_string(&seen).unwrap();
    std::fs::remove_file(&seen).unwrap();
    let is_call = |line: &&str| {
        let what = line
            .trim_start()
            .split_once(' ')
            .map_or("", |(_, what)| what);
        !what.trim_start().starts_with(['-', '+', '<'])
    };
    text.lines().filter(is_call).count()
}

impl Stopped {
    /// Waits until it is stopped (again); `false` if it ends.
    fn stops(&mut self) -> bool {
        loop {
            match self.lines.recv_timeout(Duration::from_millis(20)) {
                Ok(line) => {
                    let (thread, what) = line.trim_start().split_once(' ').unwrap();
                    let what = what.trim_start();
                    // `rename("from", "to") = 0`; what is resumed was counted when it began.
                    let is_call = !what.starts_with(['-', '+', '<']);
                    self.made += usize::from(is_call);
                    if what.starts_with("--- stopped by SIGSTOP") {
                        self.thread = Some(thread.to_owned());
                        return true;
                    }
                }
                // strace may miss that it is to go on.
                Err(mpsc::RecvTimeoutError::Timeout) => self.send("CONT"),
                Err(mpsc::RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Sends it this signal, which arrives when it goes on, unless it has ended.
    pub(crate) fn send(&self, signal: &str) {
        if let Some(thread) = &self.thread {
            let kill = format!("kill -{signal} {thread} 2>/dev/null");
            Command::new("sh").args(["-c", &kill]).status().unwrap();
        }
    }

    /// Lets it go on to its end.
    pub(crate) fn go_on(mut self) -> Output {
        self.send("CONT");
        while self.stops() {
            self.send("CONT");
        }
        Output::from(self.child.wait_with_output().unwrap())
    }
}

fn strace() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join("strace"))
        .find(|program| program.is_file())
}
