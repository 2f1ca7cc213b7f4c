//! Signals (Ctrl-C, or a scheduler's SIGTERM) while a root is being changed, or examined. How that is done is not
//! known here.
//!
//! Whatever a killed process leaves is invisible and bears its name (see `files::maker`), so that nothing has to be undone
//! in order: an interrupted process becomes a new program by `exec`, which ends all its threads at once and keeps its
//! number. That one ends the programs which the old one has started, and sweeps what bears their common name. Downloads
//! that broke off stay for the next run.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags};

use super::exit::Exit;
use super::{call, context, show};
use crate::files::maker;
use crate::gc;
use crate::process::{Command, end_descendants, poll_until, threads};
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
    minding_and(root, clean, &|_| {}, work)
}

/// The same; `answer` is called first when a signal ends the process.
pub(super) fn minding_and<T: Send>(
    root: &Root,
    clean: &str,
    answer: &dyn Fn(StopSignal),
    work: impl FnOnce() -> T + Send,
) -> T {
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
            if poll_until(&mut waited, None).is_err() || !waited[1].revents().is_empty() {
                break;
            }
            if let Some(signal) = signals.received() {
                answer(signal);
                become_sweeper(root, clean, signal);
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
    call::remove_scratch(&arguments.path);
    match arguments.signal.as_str() {
        "SIGINT" => Exit::Interrupted,
        "SIGHUP" => Exit::HungUp,
        _ => Exit::Terminated,
    }
}
