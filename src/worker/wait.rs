//! Waiting for a descriptor, until a deadline, and never past an order to end.

use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::signals::Signals;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// There is something to read, or room to write, or the other side has gone.
    Ready,
    /// The deadline has passed.
    Late,
    /// We were told to end.
    Told,
}

/// Waits until a descriptor has something to say or is closed; `false` if it did not by then.
pub(super) fn wait_until(descriptor: impl AsFd, deadline: Instant) -> bool {
    wait(descriptor, PollFlags::IN, Some(deadline), None) == Wake::Ready
}

/// Waits for one of these events.
pub(super) fn wait(
    descriptor: impl AsFd,
    events: PollFlags,
    deadline: Option<Instant>,
    signals: Option<&Signals>,
) -> Wake {
    let told = signals.map_or(descriptor.as_fd(), AsFd::as_fd);
    loop {
        // An order that was heard before is not in the descriptor any more.
        if signals.is_some_and(Signals::is_told) {
            return Wake::Told;
        }
        let timeout = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let mut both = [
            PollFd::from_borrowed_fd(descriptor.as_fd(), events),
            PollFd::from_borrowed_fd(told, PollFlags::IN),
        ];
        let count = if signals.is_some() { 2 } else { 1 };
        match poll(&mut both[..count], timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(0) => return Wake::Late,
            // Whatever is wrong with the descriptor, reading from it will tell.
            Err(_) => return Wake::Ready,
            Ok(_) => {}
        }
        let [descriptor, told] = both;
        if signals.is_some_and(|signals| !told.revents().is_empty() && signals.told().is_some()) {
            return Wake::Told;
        }
        if !descriptor.revents().is_empty() {
            return Wake::Ready;
        }
    }
}
