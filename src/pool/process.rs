//! One warm Python: loads what its order says, answers one message after another, and is stopped when it takes too long.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{ChildStderr, ChildStdout};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::{MemfdFlags, fstat, ftruncate, memfd_create};
use rustix::io::Errno;

use super::capture::{Capture, Captured};
use super::channel::{Channel, ERROR, Invalid, Message};
use super::outlet::Outlet;
use super::python::Child;
use super::{End, Event, Program};
use crate::process::{self, Exit};
use crate::runtime::Variables;

/// How long a Python may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long a Python may take to write where it is.
const TRACE: Duration = Duration::from_secs(1);
/// How long a Python that closed its socket may take to end.
const ENDING: Duration = Duration::from_secs(2);
/// How often is looked at what no descriptor shows.
const LOOK: Duration = Duration::from_millis(5);
/// The longest trace that is read.
const LONGEST_TRACE: usize = 64 << 10;

/// What a Python does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Starts, until its first message.
    Loading,
    /// Waits for a message.
    Idle,
    /// Answers one.
    Busy,
    /// Took too long, and writes where it is.
    Tracing { size: u64 },
    /// Took too long, and was sent SIGTERM.
    Terminating,
    /// Has closed its socket.
    Closed,
}

/// A Python that cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Its program.
    #[error("{0}: {source}", source = .0.source)]
    Process(process::Error),
    /// A socket or a file in memory.
    #[error("cannot prepare the hand-over to Python: {0}")]
    System(#[from] io::Error),
}

impl StartError {
    /// Whether this process has reached a limit: the environment may be whole.
    pub(crate) fn is_shortage(&self) -> bool {
        let error = match self {
            StartError::Process(error) => &error.source,
            StartError::System(error) => error,
        };
        Errno::from_io_error(error).is_some_and(|error| {
            matches!(
                error,
                Errno::AGAIN | Errno::MFILE | Errno::NFILE | Errno::NOMEM
            )
        })
    }
}

/// A running Python.
pub(super) struct Process {
    child: Child,
    /// Readable once it has ended.
    ended: Option<OwnedFd>,
    channel: Channel,
    stdout: Capture<ChildStdout>,
    stderr: Capture<ChildStderr>,
    /// Where it writes which line it is at when it takes too long.
    trace: OwnedFd,
    phase: Phase,
    deadline: Option<Instant>,
    was_loading: bool,
    /// Since when it waits.
    idle_since: Instant,
}

impl Process {
    /// Starts a Python and gives it its program and order.
    pub(super) fn start(
        program: &Program<'_>,
        directory: &std::path::Path,
        variables: &Variables,
    ) -> Result<Self, StartError> {
        let (mut channel, stdin) = Channel::new(program.longest)?;
        let trace =
            memfd_create("rootstock-trace", MemfdFlags::CLOEXEC).map_err(io::Error::from)?;
        let (child, stdout, stderr) = Child::start_in(
            directory,
            program.selected,
            variables,
            stdin,
            program.text.len(),
        )
        .map_err(StartError::Process)?;
        // If it ends before it has read its order, waiting for its first message reports that.
        let _ = channel.begin(program.text, program.order, trace.as_fd());
        let now = Instant::now();
        Ok(Self {
            ended: child.end_descriptor(),
            child,
            channel,
            stdout: Capture::new(stdout, program.capture),
            stderr: Capture::new(stderr, program.capture),
            trace,
            phase: Phase::Loading,
            deadline: now.checked_add(program.startup_timeout),
            was_loading: true,
            idle_since: now,
        })
    }

    /// Sends a message that is to be answered within this time.
    pub(super) fn send(&mut self, text: Vec<u8>, timeout: Option<Duration>) -> io::Result<()> {
        self.channel.send(text)?;
        self.phase = Phase::Busy;
        self.was_loading = false;
        self.deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(())
    }

    /// Whether it waits for a message.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Whether it has not ended.
    pub(super) fn is_alive(&self) -> bool {
        self.child.wait(Duration::ZERO).is_none()
    }

    /// Since when it waits for a message.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.is_idle().then_some(self.idle_since)
    }

    /// What it has printed since this was called last: standard output and standard error.
    pub(super) fn take_output(&mut self, relay: &mut Outlet<'_>) -> (Captured, Captured) {
        self.stdout.drain(relay);
        self.stderr.drain(relay);
        (self.stdout.take(), self.stderr.take())
    }

    /// The descriptors to wait for: socket, end, standard output, standard error.
    pub(super) fn descriptors(&self, listen: bool) -> [Option<(BorrowedFd<'_>, PollFlags)>; 4] {
        let out = if self.channel.is_sending() {
            PollFlags::OUT
        } else {
            PollFlags::empty()
        };
        let has_socket = !matches!(self.phase, Phase::Closed | Phase::Terminating);
        let read = |descriptor| (descriptor, PollFlags::IN);
        [
            has_socket.then(|| (self.channel.as_fd(), PollFlags::IN | out)),
            self.ended.as_ref().map(|ended| read(ended.as_fd())),
            self.stdout.descriptor().filter(|_| listen).map(read),
            self.stderr.descriptor().filter(|_| listen).map(read),
        ]
    }

    /// When to look again without any event.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let needs_look = matches!(self.phase, Phase::Tracing { .. })
            || self.ended.is_none() && matches!(self.phase, Phase::Terminating | Phase::Closed);
        if needs_look {
            let look = Instant::now() + LOOK;
            return Some(self.deadline.map_or(look, |deadline| deadline.min(look)));
        }
        self.deadline
    }

    /// Reads and writes what these descriptors are ready for.
    pub(super) fn advance(&mut self, ready: [bool; 4], relay: &mut Outlet<'_>) -> Option<Event> {
        let [socket, ended, stdout, stderr] = ready;
        if stdout {
            self.stdout.read(relay);
        }
        if stderr {
            self.stderr.read(relay);
        }
        if (socket || ended)
            && let Some(event) = self.converse(ended)
        {
            return Some(event);
        }
        self.look()
    }

    /// Sends and receives. Python may have answered and ended at the same time; others may hold its end of the socket.
    fn converse(&mut self, ended: bool) -> Option<Event> {
        self.channel.flush();
        let is_open = self.channel.fill();
        match self.channel.receive() {
            Ok(Some(message)) if self.expects_message() => return Some(self.received(message)),
            // An unsolicited answer, or one that came too late to be stopped.
            Ok(Some(_)) if self.phase == Phase::Idle => return Some(Event::Ended(End::Invalid)),
            Err(Invalid) if self.expects_message() => return Some(Event::Ended(End::Invalid)),
            _ => {}
        }
        if ended {
            return Some(self.ended());
        }
        if !is_open && !matches!(self.phase, Phase::Closed | Phase::Terminating) {
            self.phase = Phase::Closed;
            self.deadline = Some(Instant::now() + ENDING);
        }
        None
    }

    fn expects_message(&self) -> bool {
        matches!(
            self.phase,
            Phase::Loading | Phase::Busy | Phase::Tracing { .. } | Phase::Closed
        )
    }

    fn received(&mut self, message: Message) -> Event {
        let was_loading = self.was_loading;
        self.phase = Phase::Idle;
        self.was_loading = false;
        self.deadline = None;
        self.idle_since = Instant::now();
        match (message.kind, was_loading) {
            (ERROR, _) => Event::Ended(End::Raised(message.text)),
            (_, true) => Event::Ready(message.text),
            (_, false) => Event::Answer(message.text),
        }
    }

    /// What only time shows.
    fn look(&mut self) -> Option<Event> {
        let now = Instant::now();
        let is_late = self.deadline.is_some_and(|deadline| deadline <= now);
        match self.phase {
            Phase::Loading | Phase::Busy if is_late => {
                self.phase = Phase::Tracing { size: 0 };
                self.deadline = Some(now + TRACE);
            }
            Phase::Tracing { size } => {
                let traced = self.trace_size();
                if is_late || traced > 0 && traced == size {
                    self.child.terminate();
                    self.phase = Phase::Terminating;
                    self.deadline = Some(now + GRACE);
                } else {
                    self.phase = Phase::Tracing { size: traced };
                }
            }
            Phase::Terminating | Phase::Closed if is_late => return Some(self.ended()),
            Phase::Terminating | Phase::Closed if self.ended.is_none() => {
                self.child.wait(Duration::ZERO)?;
                return Some(self.ended());
            }
            _ => {}
        }
        None
    }

    /// How it ended, or that it has not.
    fn ended(&mut self) -> Event {
        Event::Ended(match (self.phase, self.child.wait(Duration::ZERO)) {
            (Phase::Terminating, _) => End::TimedOut {
                while_loading: self.was_loading,
                trace: self.trace_text(),
            },
            (_, Some(Exit::Signal(signal))) => End::Killed {
                signal,
                while_loading: self.was_loading,
            },
            (_, Some(Exit::Code(code))) => End::Exited {
                code,
                while_loading: self.was_loading,
            },
            (_, None) => End::Closed,
        })
    }

    fn trace_size(&self) -> u64 {
        fstat(&self.trace).map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn trace_text(&self) -> String {
        let mut bytes = vec![0; LONGEST_TRACE];
        let count = rustix::io::pread(&self.trace, &mut bytes, 0).unwrap_or(0);
        // The next Python has a file of its own; a shim that writes after this harms nothing.
        let _ = ftruncate(&self.trace, 0);
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }
}
