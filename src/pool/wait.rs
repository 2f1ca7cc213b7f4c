//! Waits for one descriptor or two, until a deadline or a stop signal.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use super::signals::Signals;
use crate::process::poll_until;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The first descriptor can be read or written, or its other end was closed.
    Ready,
    /// The same of the second descriptor alone.
    Other,
    /// The deadline has passed.
    TimedOut,
    /// A stop signal was received.
    Stopped,
}

/// A descriptor and the event to wait for.
pub(crate) type Awaited<'a> = (BorrowedFd<'a>, PollFlags);

/// Waits until a descriptor can be read or is closed; `false` if the deadline passed first.
pub(crate) fn wait_until(descriptor: impl AsFd, deadline: Instant) -> bool {
    wait(descriptor, PollFlags::IN, Some(deadline), None) == Wake::Ready
}

/// Waits for events of one descriptor.
pub(crate) fn wait(
    descriptor: impl AsFd,
    events: PollFlags,
    deadline: Option<Instant>,
    signals: Option<&Signals>,
) -> Wake {
    wait_for_either((descriptor.as_fd(), events), None, deadline, signals)
}

/// Waits for events of two descriptors.
pub(crate) fn wait_for_either(
    first: Awaited<'_>,
    other: Option<Awaited<'_>>,
    deadline: Option<Instant>,
    signals: Option<&Signals>,
) -> Wake {
    let stop = signals.map(|signals| (signals.as_fd(), PollFlags::IN));
    loop {
        // A signal that was received before cannot be polled any more.
        if signals.is_some_and(Signals::is_stopped) {
            return Wake::Stopped;
        }
        // The first descriptor without events is the placeholder.
        let none = (first.0, PollFlags::empty());
        let mut all = [first, other.unwrap_or(none), stop.unwrap_or(none)]
            .map(|(descriptor, events)| PollFd::from_borrowed_fd(descriptor, events));
        match poll_until(&mut all, deadline) {
            Ok(false) => return Wake::TimedOut,
            // Reading the descriptor reports what is wrong with it.
            Err(_) => return Wake::Ready,
            Ok(true) => {}
        }
        let [first, other, stop] = all.map(|descriptor| !descriptor.revents().is_empty());
        if stop && signals.is_some_and(|signals| signals.received().is_some()) {
            return Wake::Stopped;
        }
        if first {
            return Wake::Ready;
        }
        if other {
            return Wake::Other;
        }
    }
}
