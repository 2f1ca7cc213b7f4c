//! Processes that a Python has started and that outlive it: those of its group end with it; those that have left the group
//! (`setsid`, daemons) become children of this process, and are ended here.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, waitpid};

use crate::files;

/// The children of this thread, as Linux lists them.
const CHILDREN: &str = "/proc/thread-self/children";
/// Orphans may start others until they are gone.
const ROUNDS: usize = 1000;

/// The orphans of this process.
pub(crate) struct Orphans {
    /// Children that this process had before: a shell that has become `rootstock` by `exec` leaves some.
    before: Vec<Pid>,
    adopts: bool,
}

impl Orphans {
    /// From now on orphans become children of this process, where the system can do that.
    pub(crate) fn adopt() -> Self {
        let this = rustix::process::getpid();
        Self {
            before: children(),
            adopts: set_child_subreaper(Some(this)).is_ok(),
        }
    }

    /// Ends all orphans. To be called when no process of a pool is left.
    pub(crate) fn end(&self) {
        for _ in 0..ROUNDS {
            let orphans = self.find();
            if orphans.is_empty() {
                break;
            }
            for orphan in &orphans {
                // One that has ended needs no signal.
                let _ = kill_process(*orphan, Signal::KILL);
            }
            for orphan in orphans {
                // Its own children are ours in the next round.
                let _ = waitpid(Some(orphan), WaitOptions::empty());
            }
        }
    }

    fn find(&self) -> Vec<Pid> {
        if !self.adopts {
            return Vec::new();
        }
        let mut children = children();
        children.retain(|child| !self.before.contains(child));
        children
    }
}

impl Drop for Orphans {
    fn drop(&mut self) {
        if self.adopts {
            // Fails only where it could not be set.
            let _ = set_child_subreaper(None);
        }
    }
}

/// The children of this thread; none where the system does not list them.
fn children() -> Vec<Pid> {
    let text = files::read_text(CHILDREN.as_ref()).unwrap_or_default();
    let numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
    numbers.filter_map(Pid::from_raw).collect()
}
