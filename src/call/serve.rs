//! Serves requests with a pool of processes: takes them in, gives each to a process, and answers each once. One thread; it waits
//! in one place ([`Server::turn`]).

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::event::PollFlags;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::input::{Input, Read, Source};
use super::instances::Instances;
use super::job::Job;
use super::reference::Places;
use super::request::{self, Id, Rules};
use super::requirements::Installed;
use super::workdir::{self, Scratch};
use super::{Context, Environment, PROGRAM, order, response};
use crate::pool::signals::{Signals, StopSignal};
use crate::pool::wait::{Wake, wait};
use crate::pool::{Captured, Escape, Outlet, Pool, Program};

mod events;
mod give;

/// Bytes of an answer beside its result.
const BESIDE_RESULT: usize = 1 << 20;

/// The streams of a run.
pub struct Ends<'a> {
    /// The requests.
    pub source: Source<'a>,
    /// Where responses go.
    pub responses: BorrowedFd<'a>,
    /// Where what Python prints goes.
    pub messages: BorrowedFd<'a>,
    /// How that is changed before.
    pub escape: Escape<'a>,
    /// Prints a line of our own.
    pub warn: &'a dyn Fn(&str),
    /// Gets a line of JSON for each process that is ready.
    pub record: Option<&'a dyn Fn(&str)>,
}

/// How a run has ended.
#[derive(Debug, Default)]
pub struct Summary {
    /// How many requests were answered.
    pub answered: u64,
    /// How many of these failed.
    pub failed: u64,
    /// The last failure.
    pub last: Option<Failure>,
    /// The signal that has ended the run.
    pub stopped: Option<StopSignal>,
    /// Why responses could not be written; a reader that has gone is no error.
    pub unwritten: Option<io::Error>,
}

/// One process, and what it does.
#[derive(Default)]
struct Place {
    job: Option<Job>,
    /// Requests for its instances.
    queue: VecDeque<Job>,
    scratch: Scratch,
    /// For caches of compiled code, where each request begins without.
    cache: Scratch,
    /// What the process has reported of itself.
    python: Option<Box<RawValue>>,
    /// Whether a process was here before.
    was_used: bool,
}

struct Server<'a> {
    context: &'a Context<'a>,
    environment: Environment,
    installed: Installed,
    warn: &'a dyn Fn(&str),
    record: Option<&'a dyn Fn(&str)>,
    pool: Pool<'a>,
    places: Vec<Place>,
    queue: VecDeque<Job>,
    input: Input<'a>,
    responses: Outlet<'a>,
    relay: Outlet<'a>,
    instances: Instances,
    signals: Signals,
    summary: Summary,
    numbers: u64,
    restarts: Option<u32>,
    /// Whether this is a stream.
    is_stream: bool,
}

/// Answers all requests, or those until a signal.
pub fn serve(context: &Context<'_>, ends: Ends<'_>) -> io::Result<Summary> {
    let order = order::of(context)?;
    let options = context.options;
    let program = Program {
        selected: context.selected,
        variables: context.variables,
        text: PROGRAM,
        order: &order,
        startup_timeout: options.startup_timeout,
        capture: options.capture,
        longest: options.max_output.saturating_add(BESIDE_RESULT),
    };
    let stamp = context.stamp;
    let server = Server {
        environment: Environment::of(stamp),
        installed: Installed::read(
            stamp.environment.as_str(),
            &context.selected.generation,
            &stamp.python,
        ),
        pool: Pool::new(program, options.jobs),
        places: (0..options.jobs).map(|_| Place::default()).collect(),
        queue: VecDeque::new(),
        is_stream: matches!(ends.source, Source::Stream(_)),
        input: Input::new(ends.source),
        responses: Outlet::new(ends.responses, None),
        relay: Outlet::new(ends.messages, Some(ends.escape)),
        instances: Instances::default(),
        signals: Signals::listen()?,
        summary: Summary::default(),
        numbers: 0,
        restarts: options.restarts,
        warn: ends.warn,
        record: ends.record,
        context,
    };
    server.run()
}

impl Server<'_> {
    fn run(mut self) -> io::Result<Summary> {
        loop {
            self.take_in();
            self.give();
            if let Some(signal) = self.signals.received() {
                self.interrupt(signal);
                break;
            }
            if self.is_done() {
                break;
            }
            self.turn()?;
        }
        self.finish();
        Ok(self.summary)
    }

    fn is_done(&self) -> bool {
        let is_idle = |place: &Place| place.job.is_none() && place.queue.is_empty();
        self.responses.error().is_some()
            || self.input.has_ended()
                && self.queue.is_empty()
                && self.places.iter().all(is_idle)
                && !self.responses.is_waiting()
    }

    /// Whether another request can be taken in: processes should not wait for one, and memory should not fill.
    fn wants_more(&self) -> bool {
        let waiting: usize = self.places.iter().map(|place| place.queue.len()).sum();
        self.queue.len() + waiting < 2 * self.places.len() && !self.responses.is_crowded()
    }

    /// Takes requests in that were read already.
    fn take_in(&mut self) {
        while self.wants_more() {
            match self.input.next() {
                None => break,
                Some(Read::Request(text)) => self.admit(&text, None),
                Some(Read::Unfinished(text)) => {
                    let hint = "the stream has ended in the middle of a request";
                    self.admit(&text, Some(hint));
                }
                Some(Read::TooLong) => {
                    let failure = Failure::bad_request(
                        "the request is longer than 1 GiB, or than there is memory for",
                        "put large arrays into files, and send their paths",
                    );
                    self.refuse(&None, failure);
                }
            }
        }
    }

    /// Checks a request and puts it in a queue.
    fn admit(&mut self, text: &[u8], hint: Option<&str>) {
        let options = self.context.options;
        let rules = Rules {
            places: Places {
                directory: &self.context.directory,
                paths: &options.paths,
            },
            allow_code: options.allow_code,
            pickle: options.pickle,
            aggregate: options.aggregate,
            bare: options.bare,
            timeout: options.timeout,
            check_requirements: &|texts| self.installed.check(texts),
            warn: self.warn,
        };
        match request::parse(text, &rules) {
            Ok(request) => {
                self.numbers += 1;
                self.route(Job::new(request, self.numbers));
            }
            Err(refused) => {
                let (id, mut failure) = *refused;
                if let Some(hint) = hint {
                    hint.clone_into(&mut failure.hint);
                }
                self.refuse(&id, failure);
            }
        }
    }

    /// Waits until something happens, and deals with it.
    fn turn(&mut self) -> io::Result<()> {
        let requests = self.input.descriptor().filter(|_| self.wants_more());
        let responses = self.responses.is_waiting();
        let relay = self.relay.is_waiting();
        let mut others = vec![(self.signals.as_fd(), PollFlags::IN)];
        others.extend(requests.map(|stream| (stream, PollFlags::IN)));
        if responses {
            others.push((self.responses.descriptor(), PollFlags::OUT));
        }
        if relay {
            others.push((self.relay.descriptor(), PollFlags::OUT));
        }
        let until = self.next_idle_end();
        let woken = self.pool.wait(&others, &mut self.relay, until)?;
        if requests.is_some() && woken.others[1] {
            self.input.fill();
        }
        self.responses.flush();
        for (place, event) in woken.events {
            self.happened(place, event);
        }
        self.end_idle();
        Ok(())
    }

    /// Answers everything that was taken in, because the run ends by this signal.
    fn interrupt(&mut self, signal: StopSignal) {
        self.summary.stopped = Some(signal);
        let failure = || Failure::interrupted(signal);
        for place in 0..self.places.len() {
            if let Some(job) = self.places[place].job.take() {
                self.fail(place, &job, &failure());
            }
            self.pool.stop(place);
            let waiting = std::mem::take(&mut self.places[place].queue);
            self.queue.extend(waiting);
        }
        for job in std::mem::take(&mut self.queue) {
            self.refuse(&job.id, failure());
        }
    }

    /// Ends all processes and writes what waits.
    fn finish(&mut self) {
        for place in 0..self.places.len() {
            let _ = self.pool.take_output(place, &mut self.relay);
            self.pool.stop(place);
        }
        // A reader that takes nothing is not waited for once a signal was received.
        let patience = std::time::Duration::from_secs(2);
        let stop = self.summary.stopped.map(|_| Instant::now() + patience);
        while self.responses.is_waiting() || self.relay.is_waiting() {
            let (outlet, deadline) = if self.responses.is_waiting() {
                (&self.responses, stop)
            } else {
                (&self.relay, Some(self.relay.patience_ends()))
            };
            let wake = wait(outlet.descriptor(), PollFlags::OUT, deadline, None);
            if wake == Wake::TimedOut {
                break;
            }
            self.responses.flush();
            self.relay.flush();
        }
        workdir::sweep(&self.context.temporary);
        let error = self.responses.error();
        let error = error.filter(|error| *error != rustix::io::Errno::PIPE);
        self.summary.unwritten = error.map(io::Error::from);
    }

    /// Answers a request that was not given to any process.
    fn refuse(&mut self, id: &Id, failure: Failure) {
        let nothing = Captured::default();
        let text = response::failure(
            &response::Common {
                id,
                bare: self.context.options.bare,
                stdout: &nothing,
                stderr: &nothing,
                seconds: 0.0,
                environment: &self.environment,
                python: None,
            },
            &failure,
        );
        self.respond(text, Some(failure));
    }

    fn respond(&mut self, mut text: String, failure: Option<Failure>) {
        text.push('\n');
        self.responses.print(text.as_bytes());
        self.summary.answered += 1;
        if let Some(failure) = failure {
            self.summary.failed += 1;
            self.summary.last = Some(failure);
        }
    }
}
