//! Threads of this process, where the system may refuse them: a limit of the user, the shell or the job is an error with its
//! name, or less is done at once. A plain `scope.spawn`, and rayon's pool of its own accord, panic there.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::process::{Resource, getrlimit};

/// A thread could not be started.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot start a thread")]
#[diagnostic(help(
    "a limit on processes and threads is reached: `ulimit -u` of this shell, the scheduler's for this job, or a container's"
))]
pub struct NoThread(#[source] pub io::Error);

/// Starts a thread of this scope.
pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, NoThread> {
    Builder::new().spawn_scoped(scope, work).map_err(NoThread)
}

/// Does this in a thread of this scope, or at once where there is none.
pub(crate) fn spawn_or_run<'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() + Send + 'scope,
) {
    let work = Arc::new(Mutex::new(Some(work)));
    let take = |work: &Mutex<Option<_>>| work.lock().unwrap_or_else(PoisonError::into_inner).take();
    let theirs = Arc::clone(&work);
    let there = move || {
        if let Some(work) = take(&theirs) {
            work();
        }
    };
    if spawn(scope, there).is_err()
        && let Some(work) = take(&work)
    {
        work();
    }
}

/// So many threads, or fewer where memory is limited (`ulimit -v`): each reserves space for its stack and for what it allocates.
pub(crate) fn affordable(threads: usize) -> usize {
    const EACH: u64 = 256 << 20;
    let space = getrlimit(Resource::As).current;
    let most = space.map_or(usize::MAX, |space| {
        usize::try_from(space / EACH).unwrap_or(usize::MAX)
    });
    threads.min(most.max(1))
}

/// A pool of so many threads, or of one where there are no more.
pub(crate) fn pool(threads: usize) -> Result<ThreadPool, NoThread> {
    let build = |threads| ThreadPoolBuilder::new().num_threads(threads).build();
    build(affordable(threads))
        .or_else(|_| build(1))
        .map_err(|error| {
            let cause = std::error::Error::source(&error);
            let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
            NoThread(match cause.and_then(io::Error::raw_os_error) {
                Some(number) => io::Error::from_raw_os_error(number),
                None => io::Error::other(error),
            })
        })
}

/// Does this in a pool of which this thread is one: what is done in parallel there needs no other. To be called once in a
/// thread.
pub(crate) fn in_pool<R>(threads: usize, work: impl FnOnce() -> R) -> R {
    let build = |threads| {
        let builder = ThreadPoolBuilder::new().num_threads(threads);
        builder.use_current_thread().build()
    };
    let _pool = build(affordable(threads)).or_else(|_| build(1));
    work()
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn one_thread_is_enough_for_what_is_done_in_parallel() {
        let sum = std::thread::spawn(|| {
            in_pool(1, || {
                let here = std::thread::current().id();
                (0..100)
                    .into_par_iter()
                    .map(|number| (number, std::thread::current().id()))
                    .map(|(number, there)| if there == here { number } else { 1000 })
                    .sum::<u32>()
            })
        });
        assert_eq!(sum.join().unwrap(), 4950);
    }
}
