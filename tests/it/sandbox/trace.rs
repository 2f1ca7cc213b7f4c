//! The program under strace: to see what it does, and to make the system fail where a test wants it to.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::{Said, Sandbox, send};

/// Whether this machine lets us trace a program at all; containers often do not.
pub(crate) fn is_possible() -> bool {
    strace().is_some_and(|strace| {
        Command::new(strace)
            .args(["-f", "-o", "/dev/null", "true"])
            .output()
            .is_ok_and(|output| output.status.success())
    })
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
    process: String,
    seen: BufReader<std::fs::File>,
}

/// Starts the program and waits until a thread of it has made its `nth` system call of one of these kinds; there it is
/// stopped. One that makes fewer has come to its end.
pub(crate) fn stopped_after(
    sandbox: &Sandbox,
    calls: &str,
    nth: usize,
    arguments: &[&str],
) -> Result<Stopped, Said> {
    let seen = sandbox.path("seen");
    let made = Command::new("mkfifo").arg(&seen).status().unwrap();
    assert!(made.success());
    let inject = format!("inject={calls}:signal=SIGSTOP:when={nth}");
    let child = writing_to(sandbox, &seen, &[&format!("trace={calls}"), &inject])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = BufReader::new(std::fs::File::open(&seen).unwrap());
    let Some(process) = next_stop(&mut seen) else {
        std::fs::remove_file(sandbox.path("seen")).unwrap();
        return Err(Said::from(child.wait_with_output().unwrap()));
    };
    Ok(Stopped {
        child,
        process,
        seen,
    })
}

/// Waits until a thread of it is stopped; `None` if it ends.
fn next_stop(seen: &mut impl BufRead) -> Option<String> {
    loop {
        let mut line = String::new();
        if seen.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        if line.contains("--- stopped by SIGSTOP") {
            return line.split_whitespace().next().map(str::to_owned);
        }
    }
}

/// Runs the program and kills it when it has made its `nth` system call of these kinds, in whichever thread; `false` if
/// it makes fewer. strace itself counts the calls of each thread by themselves, and which thread does what differs from
/// run to run: so the program is stopped at each of them, and goes on when it has been counted.
pub(crate) fn killed_after(sandbox: &Sandbox, calls: &[&str], nth: usize, words: &[&str]) -> bool {
    let seen = sandbox.path("seen");
    let made = Command::new("mkfifo").arg(&seen).status().unwrap();
    assert!(made.success());
    let all = calls.join(",");
    let inject = format!("inject={all}:signal=SIGSTOP");
    let mut child = writing_to(sandbox, &seen, &[&format!("trace={all}"), &inject])
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(std::fs::File::open(&seen).unwrap()).lines();
    let (sender, receiver) = mpsc::channel();
    let reader =
        std::thread::spawn(move || lines.for_each(|line| sender.send(line.unwrap()).unwrap()));
    // It may have ended meanwhile.
    let send = |signal: &str, process: &str| {
        let words = format!("kill -{signal} {process} 2>/dev/null");
        Command::new("sh").args(["-c", &words]).status().unwrap();
    };
    let (mut calls_made, mut stopped) = (0, None);
    loop {
        match receiver.recv_timeout(Duration::from_millis(20)) {
            Ok(line) => {
                let (thread, what) = line.trim_start().split_once(' ').unwrap();
                let what = what.trim_start();
                if calls
                    .iter()
                    .any(|call| what.starts_with(&format!("{call}(")))
                {
                    calls_made += 1;
                }
                if what.starts_with("--- stopped by SIGSTOP") {
                    send(if calls_made < nth { "CONT" } else { "KILL" }, thread);
                    stopped = Some(thread.to_owned());
                }
            }
            // strace may miss that it is to go on.
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if let Some(thread) = &stopped {
                    send("CONT", thread);
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    reader.join().unwrap();
    std::fs::remove_file(sandbox.path("seen")).unwrap();
    let ended = child.wait().unwrap();
    let killed = calls_made >= nth;
    assert!(killed || ended.success(), "{ended:?}");
    killed
}

impl Stopped {
    /// Sends it this signal, which it hears when it goes on.
    pub(crate) fn send(&self, signal: &str) {
        send(signal, self.process.parse().unwrap());
    }

    /// Lets it go on to its end.
    pub(crate) fn go_on(mut self, sandbox: &Sandbox) -> Said {
        let go_on = format!("kill -CONT {} 2>/dev/null", self.process);
        std::thread::scope(|scope| {
            let seen = scope.spawn(|| while next_stop(&mut self.seen).is_some() {});
            // strace counts the calls of each thread by themselves, so that it is stopped again and again; and strace may
            // miss that it is to go on.
            while !seen.is_finished() {
                Command::new("sh").args(["-c", &go_on]).status().unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        std::fs::remove_file(sandbox.path("seen")).unwrap();
        Said::from(self.child.wait_with_output().unwrap())
    }
}

fn strace() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join("strace"))
        .find(|program| program.is_file())
}
