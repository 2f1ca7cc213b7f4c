//! Warm Python processes of one environment: started as a worker's, isolated, given messages, timed out, and ended with
//! their parent. One thread serves all of them, their output and the parent's own streams. Does not know what the messages say,
//! and prints nothing but what Python prints.
//!
//! A process is started with a program and an order. Its first message says that it is ready; from then on each message is
//! answered by one. A process that raises an exception while it loads, ends, closes its socket, sends something invalid or takes too
//! long yields [`Event::Ended`]; the pool's user then drops it and may start another in its place.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::process::poll_until;
use crate::runtime::Variables;

mod program;
mod capture;
mod channel;
mod orphans;
mod outlet;
pub(crate) mod polling;
mod process;
pub(crate) mod python;
pub(crate) mod signals;
pub(crate) mod supervise;
pub(crate) mod wait;

pub(crate) use capture::Captured;
pub(crate) use channel::LONGEST as LONGEST_MESSAGE;
pub(crate) use outlet::Escape;
pub(crate) use outlet::Outlet;
pub(crate) use process::StartError;

use orphans::Orphans;
use polling::Polling;
use process::Process;
pub(crate) use program::{End, Event, Program};

/// A fixed number of places for processes.
pub(crate) struct Pool<'a> {
    program: Program<'a>,
    places: Vec<Option<Process>>,
    orphans: Orphans,
    polling: Polling,
}

impl Drop for Pool<'_> {
    fn drop(&mut self) {
        self.places.clear();
        self.orphans.end();
    }
}

/// What a wait has brought.
pub(crate) struct Woken {
    /// What the processes in these places did.
    pub(crate) events: Vec<(usize, Event)>,
    /// Which of the other descriptors are ready.
    pub(crate) others: Vec<bool>,
}

impl<'a> Pool<'a> {
    /// A pool without a process.
    pub(crate) fn new(program: Program<'a>, places: usize) -> Self {
        Self {
            program,
            places: (0..places).map(|_| None).collect(),
            orphans: Orphans::adopt(),
            polling: Polling::new(),
        }
    }

    /// Starts a process in this place, and in this directory.
    pub(crate) fn start(&mut self, place: usize, directory: &Path) -> Result<(), StartError> {
        self.start_with(place, directory, self.program.variables)
    }

    /// The same with these as all its variables.
    pub(crate) fn start_with(
        &mut self,
        place: usize,
        directory: &Path,
        variables: &Variables,
    ) -> Result<(), StartError> {
        self.places[place] = Some(Process::start(&self.program, directory, variables)?);
        Ok(())
    }

    /// Sends a message to the idle process in this place.
    pub(crate) fn send(
        &mut self,
        place: usize,
        text: Vec<u8>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        match &mut self.places[place] {
            Some(process) => process.send(text, timeout),
            None => Ok(()),
        }
    }

    /// Whether no process is in this place.
    pub(crate) fn is_empty(&self, place: usize) -> bool {
        self.places[place].is_none()
    }

    /// Whether the process in this place waits for a message.
    pub(crate) fn is_idle(&self, place: usize) -> bool {
        self.places[place].as_ref().is_some_and(Process::is_idle)
    }

    /// Whether the process in this place has not ended.
    pub(crate) fn is_alive(&self, place: usize) -> bool {
        self.places[place].as_ref().is_some_and(Process::is_alive)
    }

    /// Since when the process in this place waits for a message.
    pub(crate) fn idle_since(&self, place: usize) -> Option<Instant> {
        self.places[place].as_ref()?.idle_since()
    }

    /// What the process in this place has printed since this was called last.
    pub(crate) fn take_output(
        &mut self,
        place: usize,
        relay: &mut Outlet<'_>,
    ) -> (Captured, Captured) {
        let process = self.places[place].as_mut();
        process.map_or_else(Default::default, |process| process.take_output(relay))
    }

    /// Ends the process in this place, with all it has started.
    pub(crate) fn stop(&mut self, place: usize) {
        self.places[place] = None;
        if self.places.iter().all(Option::is_none) {
            self.orphans.end();
        }
    }

    /// Waits until a process or another descriptor needs something, or until this time.
    pub(crate) fn wait(
        &mut self,
        others: &[(BorrowedFd<'_>, PollFlags)],
        relay: &mut Outlet<'_>,
        until: Option<Instant>,
    ) -> io::Result<Woken> {
        let listen = !relay.is_crowded();
        let patience = (!listen).then(|| relay.patience_ends());
        let until = until.into_iter().chain(patience).min();
        let (ready, others) = self.poll(others, listen, until)?;
        relay.flush();
        let mut events = Vec::new();
        for (place, (process, ready)) in self.places.iter_mut().zip(ready).enumerate() {
            if let Some(process) = process
                && let Some(event) = process.advance(ready, relay)
            {
                events.push((place, event));
            }
        }
        Ok(Woken { events, others })
    }

    /// Which descriptors of each place, and which others, are ready.
    fn poll(
        &mut self,
        others: &[(BorrowedFd<'_>, PollFlags)],
        listen: bool,
        until: Option<Instant>,
    ) -> io::Result<(Vec<[bool; 4]>, Vec<bool>)> {
        let of_places: Vec<_> = self
            .places
            .iter()
            .map(|process| {
                process
                    .as_ref()
                    .map_or([None; 4], |process| process.descriptors(listen))
            })
            .collect();
        let all = of_places.iter().flatten().flatten().chain(others);
        let mut all: Vec<_> = all
            .map(|(descriptor, events)| PollFd::from_borrowed_fd(*descriptor, *events))
            .collect();
        let wakes = self.places.iter().flatten().filter_map(Process::wake_at);
        let until = wakes.chain(until).min();
        let look = |now| match poll_until(&mut all, Some(now)) {
            Ok(false) => None,
            polled => Some(polled),
        };
        match self.polling.poll(look) {
            Some(polled) => polled?,
            None => poll_until(&mut all, until)?,
        };
        let mut answers = all
            .iter()
            .map(|descriptor| !descriptor.revents().is_empty());
        let mut ready = |known: bool| known && answers.next().unwrap_or(false);
        let of_places = of_places
            .iter()
            .map(|descriptors| descriptors.map(|descriptor| ready(descriptor.is_some())))
            .collect();
        Ok((of_places, answers.collect()))
    }
}
