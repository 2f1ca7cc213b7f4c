//! The programs that this process has started, and those that they have started.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use crate::files::proc;

/// Ends all of them, and waits for our own.
pub(crate) fn end_descendants() {
    let parent = |process: u32| Some((process, proc::stat(process)?.parent));
    let mut parents: Vec<(u32, u32)> = proc::processes().into_iter().filter_map(parent).collect();
    let mut family = vec![std::process::id()];
    while let Some(at) = parents
        .iter()
        .position(|(_, parent)| family.contains(parent))
    {
        let (process, _) = parents.swap_remove(at);
        family.push(process);
    }
    for process in &family[1..] {
        let pid = i32::try_from(*process).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // One that has ended already is ended.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    while wait(WaitOptions::empty()).is_ok() {}
}
