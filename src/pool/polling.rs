//! Polls for a short time before sleeping: waking a process up takes longer than some steps. As in shared memory
//! (`worker/shim/memory.py`), a side that polled in vain sleeps from then on, and polls again at the next multiple of so many waits:
//! neither an idle process nor one whose steps take longer uses a processor. While it polls, it lets other processes run.

use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

/// How long.
const LONGEST: Duration = Duration::from_micros(200);
/// After polling in vain.
const TOGETHER: u64 = 64;

/// When to poll.
#[derive(Debug)]
pub(crate) struct Polling {
    waits: u64,
    resume: u64,
}

impl Polling {
    /// Where there is one processor, the other side needs it.
    pub(crate) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            waits: 0,
            resume: if processors > 1 { 0 } else { u64::MAX },
        }
    }

    /// Polls with `look`, which gets the time until which it may wait: now. `None` if nothing came, or if it is not the time to
    /// poll.
    pub(crate) fn poll<T>(&mut self, mut look: impl FnMut(Instant) -> Option<T>) -> Option<T> {
        self.waits += 1;
        if self.waits < self.resume {
            return None;
        }
        let begin = Instant::now();
        let mut now = begin;
        while now - begin < LONGEST {
            let found = look(now);
            if found.is_some() {
                return found;
            }
            thread::yield_now();
            now = Instant::now();
        }
        self.resume = self.waits.next_multiple_of(TOGETHER);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn after_polling_in_vain_it_sleeps_for_a_while() {
        let mut polling = Polling {
            waits: 0,
            resume: 0,
        };
        let looks = Cell::new(0);
        let look = |found: Option<u32>| {
            let looks = &looks;
            move |_| {
                looks.set(looks.get() + 1);
                found
            }
        };
        assert_eq!(polling.poll(look(Some(1))), Some(1));
        assert_eq!(looks.get(), 1);
        assert_eq!(polling.poll(look(None)), None);
        let so_far = looks.get();
        for _ in 3..TOGETHER {
            assert_eq!(polling.poll(look(Some(2))), None);
        }
        assert_eq!(looks.get(), so_far);
        assert_eq!(polling.poll(look(Some(3))), Some(3));
    }
}
