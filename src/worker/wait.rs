//! Waiting for one descriptor or two, until a deadline, and never past an order to end.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::signals::Signals;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// There is something to read, or room to write, or the other side has gone.
    Ready,
    /// The same of the second descriptor, and not of the first.
    Second,
    /// The deadline has passed.
    Late,
    /// We were told to end.
    Told,
}

/// What is waited for: a descriptor, and one of its events.
pub(super) type Awaited<'a> = (BorrowedFd<'a>, PollFlags);

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
    wait_for_either((descriptor.as_fd(), events), None, deadline, signals)
}

/// Waits for the one, or for the other.
pub(super) fn wait_for_either(
    one: Awaited<'_>,
    other: Option<Awaited<'_>>,
    deadline: Option<Instant>,
    signals: Option<&Signals>,
) -> Wake {
    let told = signals.map(|signals| (signals.as_fd(), PollFlags::IN));
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
        // In place of what is not waited for stands the one, to no event.
        let none = (one.0, PollFlags::empty());
        let mut all = [one, other.unwrap_or(none), told.unwrap_or(none)]
            .map(|(descriptor, events)| PollFd::from_borrowed_fd(descriptor, events));
        match poll(&mut all, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(0) => return Wake::Late,
            // Whatever is wrong with the descriptor, reading from it will tell.
            Err(_) => return Wake::Ready,
            Ok(_) => {}
        }
        let [first, second, third] = all.map(|descriptor| !descriptor.revents().is_empty());
        if third && signals.is_some_and(|signals| signals.told().is_some()) {
            return Wake::Told;
        }
        if first {
            return Wake::Ready;
        }
        if second {
            return Wake::Second;
        }
    }
}
