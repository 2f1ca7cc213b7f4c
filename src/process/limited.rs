//! The output of a program that reaches the network by itself, and the time after which it is not waited for any longer. Such
//! programs have limits of their own, but for a single read: a server that sends a byte a second keeps them for ever.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::{Exit, Output, poll_until};

/// How many seconds one run of uv, pip or git may take.
pub(crate) const NETWORK_TIMEOUT: &str = "ROOTSTOCK_NETWORK_TIMEOUT";

/// Without that variable. A resolution with builds takes minutes.
const DEFAULT: u64 = 3600;

/// What has git, also one that uv starts, give up a server that sends less than this many bytes per second for so many
/// seconds: one that packs a large repository may be silent for a while.
pub(crate) const GIT_LIMITS: [(&str, &str); 2] = [
    ("GIT_HTTP_LOW_SPEED_LIMIT", "1024"),
    ("GIT_HTTP_LOW_SPEED_TIME", "300"),
];

/// How much memory each process of such a run may take: uv reads a page of an index whole, however long it is, and needs a hundredth
/// of this for those that there are.
const MEMORY: u64 = 8 << 30;

/// Limits the memory of a process that was just started, and of those that it will start.
pub(super) fn limit_memory(child: &Child) {
    let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let Rlimit { current, maximum } = getrlimit(Resource::Data);
    let least = |limit: Option<u64>| limit.map_or(MEMORY, |limit| limit.min(MEMORY));
    let limit = Rlimit {
        current: Some(least(current)),
        maximum: Some(least(maximum)),
    };
    // Where the system refuses, it has what the user has.
    let _ = prlimit(process, Resource::Data, limit);
}

/// The limit that these variables set.
pub(super) fn limit(variables: &BTreeMap<OsString, OsString>) -> io::Result<Duration> {
    let value = variables.get(OsStr::new(NETWORK_TIMEOUT));
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(Duration::from_secs(DEFAULT));
    };
    let seconds = value.to_str().and_then(|text| text.trim().parse().ok());
    let seconds = seconds.filter(|seconds| (1..=7 * 24 * 3600).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        let problem =
            format!("the variable `{NETWORK_TIMEOUT}` is not a number of seconds from 1 to 604800");
        io::Error::new(io::ErrorKind::InvalidInput, problem)
    })
}

/// What the child writes and how it ends; it is killed when the limit is over.
pub(super) fn output(mut child: Child, limit: Duration) -> io::Result<Output> {
    let collected = collect(&mut child, Instant::now() + limit);
    if !matches!(collected, Ok(Some(_))) {
        // Fails only if it has ended.
        let _ = child.kill();
    }
    let status = child.wait()?;
    let (stdout, stderr) = collected?.ok_or_else(|| {
        let seconds = limit.as_secs();
        let problem = format!(
            "it had not ended after {seconds} s and was killed: a server may send too slowly. \
             `{NETWORK_TIMEOUT}` sets how many seconds it may take"
        );
        io::Error::new(io::ErrorKind::TimedOut, problem)
    })?;
    let (exit, stderr) = (status.into(), String::from_utf8_lossy(&stderr).into_owned());
    if exit == Exit::Signal(ABORTED) && stderr.contains("memory allocation of") {
        let problem = format!(
            "it needed more memory than it may take, {} GiB or the `ulimit` of this shell: a server may send a page without end",
            MEMORY >> 30
        );
        return Err(io::Error::new(io::ErrorKind::OutOfMemory, problem));
    }
    Ok(Output {
        exit,
        stdout,
        stderr,
    })
}

/// The signal with which Rust's programs end where they get no memory.
const ABORTED: i32 = 6;

/// All that the child writes to both its outputs until it has ended; `None` if it has not by then.
fn collect(child: &mut Child, deadline: Instant) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut written, mut messages) = (Vec::new(), Vec::new());
    while stdout.is_some() || stderr.is_some() {
        let ready = {
            let open = [
                stdout.as_ref().map(AsFd::as_fd),
                stderr.as_ref().map(AsFd::as_fd),
            ];
            wait(open, deadline)?
        };
        match ready {
            None => return Ok(None),
            Some([first, second]) => {
                if first {
                    read_some(&mut stdout, &mut written)?;
                }
                if second {
                    read_some(&mut stderr, &mut messages)?;
                }
            }
        }
    }
    // One that has closed its outputs is about to end.
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(Some((written, messages)))
}

/// Which of these can be read, once one can; `None` if none can by then.
fn wait(
    from: [Option<std::os::fd::BorrowedFd>; 2],
    deadline: Instant,
) -> io::Result<Option<[bool; 2]>> {
    let there = from.iter().flatten();
    let mut waited: Vec<PollFd> = there
        .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
        .collect();
    if !poll_until(&mut waited, Some(deadline))? {
        return Ok(None);
    }
    let mut ready = waited.iter().map(|fd| !fd.revents().is_empty());
    Ok(Some(
        from.map(|fd| fd.is_some() && ready.next() == Some(true)),
    ))
}

/// Reads what is there; closes the pipe at its end.
fn read_some(pipe: &mut Option<impl Read>, into: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 8192];
    let read = pipe.as_mut().map_or(Ok(0), |pipe| pipe.read(&mut buffer))?;
    into.extend_from_slice(&buffer[..read]);
    if read == 0 {
        *pipe = None;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::*;

    fn sh(script: &str, seconds: &str) -> Result<Output, super::super::Error> {
        Command::new("/bin/sh")
            .arguments(["-c", script])
            .variable(NETWORK_TIMEOUT, seconds)
            .run_limited()
    }

    #[test]
    fn a_program_that_ends_in_time_leaves_all_it_wrote() {
        let output = sh("head -c 300000 /dev/zero; echo no >&2; exit 3", "3600").unwrap();
        assert_eq!(output.exit, Exit::Code(3));
        assert_eq!((output.stdout.len(), &*output.stderr), (300_000, "no\n"));
        let output = sh("exec >&- 2>&-; exit 4", "").unwrap();
        assert_eq!(output.exit, Exit::Code(4));
    }

    #[test]
    fn a_program_takes_no_memory_without_bound() {
        let limited = "until [ $(ulimit -d) != unlimited ]; do :; done";
        let output = sh(&format!("{limited}; ulimit -d; ulimit -Hd"), "3600").unwrap();
        let most = MEMORY >> 10;
        let text = String::from_utf8(output.stdout).unwrap();
        let each: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert!(
            each.len() == 2 && each.iter().all(|kib| *kib <= most),
            "{text}"
        );
        let script = "echo memory allocation of 9 bytes failed >&2; kill -ABRT $$";
        let error = sh(script, "3600").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::OutOfMemory, "{error}");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        for script in [
            "exec /bin/sleep 1000",
            "exec >&- 2>&-; exec /bin/sleep 1000",
        ] {
            let error = sh(script, "1").unwrap_err();
            assert_eq!(error.source.kind(), io::ErrorKind::TimedOut, "{error}");
        }
        let error = sh("exit 0", "soon").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}
