//! Signals (Ctrl-C, or a scheduler's SIGTERM) while a root is being changed, or examined. How that is done is not
//! known here.
//!
//! Whatever a killed process leaves is invisible and bears its name (see `files::maker`), so that nothing has to be undone
//! in order: an interrupted process becomes a new program by `exec`, which ends all its threads at once and keeps its
//! number. That one ends the programs which the old one has started, and sweeps what bears their common name. Downloads
//! that broke off stay for the next run.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use super::exit::Exit;
use super::{context, show};
use crate::files::{self, maker};
use crate::gc;
use crate::process::{Command, threads};
use crate::report::chain;
use crate::store::Root;
use crate::worker::signals::{Signals, StopSignal};

/// The first argument of the program that an interrupted one becomes. It is no subcommand: users do not type it, and clap would
/// suggest it.
const INTERRUPTED: &str = "interrupted";

/// What follows it.
pub(crate) struct Arguments {
    /// The name of the signal.
    signal: String,
    /// The root that was being changed.
    path: PathBuf,
    /// What to say where nothing is left.
    clean: String,
}

impl Arguments {
    /// Those of this process, if it is such a program.
    pub(super) fn of_this_process() -> Option<Self> {
        let mut arguments = context::arguments().skip(1);
        if arguments.next()? != INTERRUPTED {
            return None;
        }
        let arguments = Self {
            signal: arguments.next()?.into_string().ok()?,
            path: arguments.next()?.into(),
            clean: arguments.next()?.into_string().ok()?,
        };
        Some(arguments)
    }
}

/// Does this work; returns unless a signal ends the process meanwhile. Then, if nothing half-made is left, `clean` is
/// printed. What is done in parallel is done by as many threads as the machine has processors.
pub(super) fn minding<T: Send>(root: &Root, clean: &str, work: impl FnOnce() -> T + Send) -> T {
    // Without a signal handler, signals end the process as usual, and the next sync sweeps.
    let (Ok(signals), Ok((end, begin))) = (Signals::listen(), rustix::pipe::pipe()) else {
        return work();
    };
    let work = || threads::in_pool(context::processors(), work);
    let work = Mutex::new(Some(work));
    let take = || work.lock().unwrap_or_else(PoisonError::into_inner).take();
    std::thread::scope(|scope| {
        let there = move || {
            // Closed when the work is done, or has panicked.
            let _begin = begin;
            take().map(|work| work())
        };
        let Ok(there) = threads::spawn(scope, there) else {
            // Without a thread that waits for signals they end the process as usual.
            drop(signals);
            return take().map(|work| work());
        };
        loop {
            let mut waited = [
                PollFd::new(&signals, PollFlags::IN),
                PollFd::new(&end, PollFlags::IN),
            ];
            match poll(&mut waited, None) {
                Ok(_) if !waited[1].revents().is_empty() => break,
                Ok(_) => {
                    if let Some(signal) = signals.received() {
                        become_sweeper(root, clean, signal);
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        there
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
    .expect("it is taken once")
}

/// Comes back only if the system refuses; then the work goes on to its end.
fn become_sweeper(root: &Root, clean: &str, signal: StopSignal) {
    let error = Command::new("/proc/self/exe")
        .arguments([INTERRUPTED, &signal.to_string()])
        .argument(root.path())
        .argument(clean)
        .variables(context::variables())
        .exec();
    show::remark(&format!(
        "{signal}, but this has to go on: {}",
        chain(&error)
    ));
}

/// What an interrupted process does as its last.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let root = Root::at(&arguments.path, None);
    end_descendants();
    let left = gc::sweep_of(&root, &maker::this_process());
    // The line in which a bar was drawn.
    show::remark("");
    match left {
        Ok(left) if left.is_empty() => {
            show::remark(&format!("interrupted: {}", arguments.clean));
        }
        Ok(left) => show::remark(&format!(
            "interrupted; what is left takes only space until the next sync: {}",
            left.iter().map(|e| chain(e)).collect::<Vec<_>>().join(", ")
        )),
        Err(error) => show::remark(&format!(
            "interrupted; what is left takes only space until the next sync: {}",
            chain(&error)
        )),
    }
    match arguments.signal.as_str() {
        "SIGINT" => Exit::Interrupted,
        "SIGHUP" => Exit::HungUp,
        _ => Exit::Terminated,
    }
}

/// Ends all programs that this process has started before it was interrupted, and theirs, and waits for its own.
fn end_descendants() {
    let mut ancestors = vec![std::process::id()];
    let mut parents = parents();
    while let Some(at) = parents
        .iter()
        .position(|(_, parent)| ancestors.contains(parent))
    {
        let (process, _) = parents.swap_remove(at);
        ancestors.push(process);
    }
    for process in &ancestors[1..] {
        let pid = i32::try_from(*process).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // One that has ended already is ended.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    while wait(WaitOptions::empty()).is_ok() {}
}

/// Every process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let names = files::names("/proc".as_ref()).unwrap_or_default();
    let parent = |name: &String| {
        let process = name.parse().ok()?;
        let text = files::read_text(format!("/proc/{name}/stat").as_ref()).ok()?;
        // The second field is a name in parentheses that may hold anything; the parent is the fourth.
        let (_, after) = text.rsplit_once(')')?;
        Some((process, after.split_whitespace().nth(1)?.parse().ok()?))
    };
    names.iter().filter_map(parent).collect()
}
