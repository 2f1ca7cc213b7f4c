//! The threads that build environments: a pool for small pieces of this program's own work, and permits to run
//! interpreters, as many at once as there are threads in the pool.
//!
//! A package as a whole is handled by a thread of its own, which mostly waits for pieces. A thread of the pool that
//! waits takes up other pieces meanwhile; were those whole packages, what it waits for could be done long before it
//! gets back to it, and the last packages would be made one after another.

use std::sync::{Condvar, Mutex, OnceLock};

use crate::process::threads::{self, NoThread};

const HELD: &str = "no thread panics while holding it";

/// A pool, and permits to run interpreters.
pub(super) struct Workers {
    pool: rayon::ThreadPool,
    jobs: usize,
    free: Mutex<usize>,
    freed: Condvar,
}

impl Workers {
    /// So many threads, and so many interpreters at once; one where there are no more.
    pub(super) fn new(jobs: usize) -> Result<Self, NoThread> {
        let pool = threads::pool(jobs)?;
        let jobs = pool.current_num_threads();
        Ok(Self {
            pool,
            jobs,
            free: Mutex::new(jobs),
            freed: Condvar::new(),
        })
    }

    /// How many threads the pool has.
    pub(super) fn jobs(&self) -> usize {
        self.jobs
    }

    /// Does this on the pool.
    pub(super) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// Does this with each item on threads that mostly wait; the results are in the order of the items.
    pub(super) fn each<T: Send, R: Send + Sync>(
        &self,
        items: Vec<T>,
        work: impl Fn(T) -> R + Sync,
    ) -> Vec<R> {
        let results: Vec<OnceLock<R>> = items.iter().map(|_| OnceLock::new()).collect();
        let threads = self.jobs.min(items.len());
        each(
            threads,
            items.into_iter().zip(&results),
            |(item, result)| {
                let _ = result.set(work(item));
            },
        );
        let results = results.into_iter().map(OnceLock::into_inner);
        results
            .map(|result| result.expect("it was worked on"))
            .collect()
    }

    /// Does this, which runs an interpreter, when there is a permit.
    pub(super) fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        let free = self.free.lock().expect(HELD);
        let mut free = self.freed.wait_while(free, |free| *free == 0).expect(HELD);
        *free -= 1;
        drop(free);
        let _permit = Permit(self);
        work()
    }
}

/// Permission to run an interpreter, given back when it is dropped.
struct Permit<'a>(&'a Workers);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().expect(HELD) += 1;
        self.0.freed.notify_one();
    }
}

/// Does this with what comes, in its order, on so many threads, of which this is one; on fewer where there are no more.
pub(super) fn each<T: Send>(
    threads: usize,
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) + Sync,
) {
    let items = Mutex::new(items);
    let all = || {
        loop {
            let item = items.lock().expect(HELD).next();
            let Some(item) = item else { break };
            work(item);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads::affordable(threads) {
            if threads::spawn(scope, all).is_err() {
                break;
            }
        }
        all();
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let doubled = Workers::new(3)
            .unwrap()
            .each((0..100).collect(), |n: usize| 2 * n);
        assert_eq!(doubled, (0..200).step_by(2).collect::<Vec<_>>());
    }

    #[test]
    fn no_more_run_at_once_than_there_are_permits() {
        let workers = Workers::new(2).unwrap();
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // The first two meet in here: that only one runs at a time is no way to pass.
        let (meeting, begun) = (Barrier::new(2), AtomicUsize::new(0));
        each(8, 0..40, |_| {
            workers.run(|| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                if begun.fetch_add(1, Ordering::SeqCst) < 2 {
                    meeting.wait();
                }
                running.fetch_sub(1, Ordering::SeqCst);
            });
        });
        assert_eq!(most.into_inner(), 2);
    }
}
