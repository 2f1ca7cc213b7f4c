//! A command that rootstock waits for, because there is something to do when it has ended: its signals are passed on, and its
//! exit code is taken over.

use std::io::IsTerminal;
use std::process::Child;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, kill_process};

use super::signals::{Signals, StopSignal};
use crate::process::{Command, Error, Exit, poll_until, threads};

/// Runs the command to its end: its process and its exit code, which is 128 and its number for a signal.
pub(crate) fn run(command: &Command) -> Result<(u32, u8), Error> {
    let mut child = command.start()?;
    let process = child.id();
    let exit = wait(&mut child).map_err(|error| command.error(error))?;
    let code = match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
    };
    Ok((process, u8::try_from(code & 0xff).unwrap_or(1)))
}

fn wait(child: &mut Child) -> std::io::Result<Exit> {
    let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (Ok(signals), Ok((end, begin)), Some(process)) =
        (Signals::listen(), rustix::pipe::pipe(), process)
    else {
        return Ok(child.wait()?.into());
    };
    std::thread::scope(|scope| {
        // Where there is no thread for it signals are not passed on.
        let _ = threads::spawn(scope, move || {
            let mut waited = [
                PollFd::new(&signals, PollFlags::IN),
                PollFd::new(&end, PollFlags::IN),
            ];
            if poll_until(&mut waited, None).is_err() || !waited[1].revents().is_empty() {
                return;
            }
            if let Some(signal) = signals.received() {
                pass_on(signal, process);
            }
            // Its end has come when the pipe is closed.
            let _ = poll_until(&mut [PollFd::new(&end, PollFlags::IN)], None);
        });
        let exit = child.wait();
        drop(begin);
        Ok(exit?.into())
    })
}

/// Ctrl-C on a terminal has reached the command already.
fn pass_on(signal: StopSignal, process: Pid) {
    let signal = match signal {
        StopSignal::HangUp => Signal::HUP,
        StopSignal::Terminate => Signal::TERM,
        StopSignal::Interrupt if std::io::stdin().is_terminal() => return,
        StopSignal::Interrupt => Signal::INT,
    };
    // It may have ended already.
    let _ = kill_process(process, signal);
}
