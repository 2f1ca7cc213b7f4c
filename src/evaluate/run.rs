//! The run: structures are taken in, given to processes, and each is answered once. One thread; it waits in one place
//! ([`Run::turn`]).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use serde::Serialize;

use super::batches::Batches;
use super::source::{Item, Queue};
use super::stream::Incoming;
use super::workers::Devices;
use super::{Context, Error, Failure, Input, PROGRAM, order};
use crate::pool::signals::{Signals, StopSignal};
use crate::pool::{LONGEST_MESSAGE, Outlet, Pool, Program};

mod events;
mod give;

/// How much of what Python prints is kept for messages.
const CAPTURE: usize = 16 << 10;
/// How often progress is reported at most.
const TICK: Duration = Duration::from_millis(200);
/// How many failures are kept for the report.
const KEPT: usize = 100_000;
/// How many processes there are at most if the devices are not known at first.
const MOST_DEVICES: usize = 16;

/// What becomes of structures.
pub(super) trait Sink {
    /// Whether the result of this structure is there already.
    fn is_done(&mut self, item: &Item) -> Result<bool, Error>;
    /// Takes results.
    fn done(&mut self, results: &[(Item, &[u8])]) -> Result<(), Error>;
    /// Takes the failure of a structure.
    fn failed(&mut self, item: &Item, failure: &Failure) -> Result<(), Error>;
    /// The first worker has loaded the model.
    fn began(&mut self, _device: &str, _at_once: bool) -> Result<(), Error> {
        Ok(())
    }
    /// What waits to be written.
    fn waiting(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Writes what waits.
    fn flush(&mut self) {}
    /// Whether no more should be computed for now.
    fn is_crowded(&self) -> bool {
        false
    }
    /// Whether the reader of results has gone.
    fn has_gone(&self) -> bool {
        false
    }
}

/// Where structures come from.
pub(super) enum Source<'a> {
    /// A file, read by a process of the environment.
    File(&'a Input),
    /// A client.
    Stream(Incoming<'a>),
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Results of this run.
    pub done: u64,
    /// Structures without a result.
    pub failed: u64,
    /// Results that were there before.
    pub already: u64,
    /// All structures, once all are read.
    pub total: Option<u64>,
    /// Since the run began.
    pub seconds: f64,
}

/// How a run has ended.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    /// Structures of the input that belong to this run.
    pub structures: u64,
    /// Results of this run.
    pub done: u64,
    /// Results that were there before.
    pub already: u64,
    /// Atoms of the results of this run.
    pub atoms: u64,
    /// From the first structure given to a process to the last answer.
    pub seconds: f64,
    /// How many processes have computed.
    pub workers: usize,
    /// Their devices.
    pub devices: Vec<String>,
    /// How many structures were computed at once; `None` where one is after another.
    pub batch: Option<usize>,
    /// How many failed.
    pub failed: u64,
    /// The first of these, by their numbers.
    pub failures: Vec<(u64, Failure)>,
    /// The signal that has ended the run.
    #[serde(skip)]
    pub stopped: Option<StopSignal>,
}

/// What a process does.
#[derive(Default)]
enum Doing {
    #[default]
    Nothing,
    Loading,
    Reading,
    Computing(Vec<Item>),
}

/// One process.
struct Place {
    is_ready: bool,
    is_loaded: bool,
    doing: Doing,
    /// The number of its request, and when that was sent.
    number: u64,
    since: Instant,
}

impl Place {
    fn new() -> Self {
        Self {
            is_ready: false,
            is_loaded: false,
            doing: Doing::Nothing,
            number: 0,
            since: Instant::now(),
        }
    }
}

pub(super) struct Run<'a> {
    context: &'a Context<'a>,
    sink: &'a mut dyn Sink,
    source: Source<'a>,
    pool: Pool<'a>,
    places: Vec<Place>,
    /// How many of the places are for processes that compute; the last one reads.
    limit: usize,
    devices: Devices,
    batches: Batches,
    queue: Queue,
    relay: Outlet<'a>,
    signals: Signals,
    numbers: u64,
    /// How many structures were read, of all shards; and whether these are all.
    position: u64,
    has_ended: bool,
    /// Why no more can be read.
    unreadable: Option<Error>,
    /// How many processes have ended in a row without a result.
    deaths: u32,
    begun: Option<Instant>,
    finished: Option<Instant>,
    /// Whether a model was loaded.
    has_loaded: bool,
    summary: Summary,
    progress: &'a dyn Fn(&Progress),
    ticked: Instant,
}

/// The streams and watchers of a run.
pub(super) struct Ends<'a> {
    pub(super) source: Source<'a>,
    pub(super) sink: &'a mut dyn Sink,
    /// Where what Python prints goes.
    pub(super) messages: BorrowedFd<'a>,
    /// What each structure is marked with.
    pub(super) notes: &'a str,
    pub(super) progress: &'a dyn Fn(&Progress),
}

/// Evaluates all structures, or those until a signal.
pub(super) fn run(context: &Context<'_>, ends: Ends<'_>) -> Result<Summary, Error> {
    let input = match &ends.source {
        Source::File(input) => Some(*input),
        Source::Stream(_) => None,
    };
    let order = order::of(context, input, ends.notes).map_err(io::Error::from)?;
    let options = context.options;
    let program = Program {
        selected: context.selected,
        variables: context.variables,
        text: PROGRAM,
        order: &order,
        startup_timeout: options.startup_timeout,
        capture: CAPTURE,
        longest: LONGEST_MESSAGE,
    };
    let devices = Devices::new(options.devices.as_deref());
    let most = options
        .workers
        .unwrap_or_else(|| options.most.max(MOST_DEVICES).max(devices.names().len()));
    let run = Run {
        limit: if devices.are_known() {
            options
                .workers
                .unwrap_or_else(|| devices.workers(options.most))
        } else {
            1
        },
        devices,
        sink: ends.sink,
        source: ends.source,
        pool: Pool::new(program, most + 1),
        places: (0..=most).map(|_| Place::new()).collect(),
        batches: Batches::new(options.batch),
        queue: Queue::default(),
        relay: Outlet::new(ends.messages, Some(context.escape)),
        signals: Signals::listen()?,
        numbers: 0,
        position: 0,
        has_ended: false,
        unreadable: None,
        deaths: 0,
        begun: None,
        finished: None,
        has_loaded: false,
        summary: Summary::default(),
        progress: ends.progress,
        ticked: Instant::now(),
        context,
    };
    run.run()
}

impl Run<'_> {
    fn run(mut self) -> Result<Summary, Error> {
        let began = Instant::now();
        loop {
            if let Some(signal) = self.signals.received() {
                self.summary.stopped = Some(signal);
                break;
            }
            self.take_in()?;
            self.give()?;
            if self.is_done() {
                break;
            }
            self.turn()?;
            self.tick(began, false);
        }
        self.tick(began, true);
        self.finish();
        match self.unreadable {
            Some(error) if self.summary.stopped.is_none() => Err(error),
            _ => Ok(self.summary),
        }
    }

    /// The place of the process that reads.
    fn reader(&self) -> usize {
        self.places.len() - 1
    }

    fn is_done(&self) -> bool {
        let is_busy = |place: &Place| matches!(place.doing, Doing::Computing(_));
        self.sink.has_gone()
            || self.has_ended
                && self.queue.is_empty()
                && !self.places.iter().any(is_busy)
                && self.sink.waiting().is_none()
    }

    /// How many structures should wait, so that no process waits for one.
    fn enough(&self) -> usize {
        2 * self.limit * self.batches.used().max(8) + 64
    }

    /// Takes in what a client has sent.
    fn take_in(&mut self) -> Result<(), Error> {
        let enough = self.enough();
        let Source::Stream(incoming) = &mut self.source else {
            return Ok(());
        };
        while self.queue.has_room(enough) {
            match incoming.next()? {
                Some(item) => {
                    self.summary.structures += 1;
                    self.queue.push(item);
                }
                None => {
                    self.has_ended |= incoming.has_ended();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Waits until something happens, and deals with it.
    fn turn(&mut self) -> Result<(), Error> {
        let enough = self.enough();
        let requests = match &self.source {
            Source::Stream(incoming) if self.queue.has_room(enough) => incoming.descriptor(),
            _ => None,
        };
        let is_reading = requests.is_some();
        let mut others = vec![(self.signals.as_fd(), PollFlags::IN)];
        others.extend(requests.map(|stream| (stream, PollFlags::IN)));
        others.extend(self.sink.waiting().map(|stream| (stream, PollFlags::OUT)));
        if self.relay.is_waiting() {
            others.push((self.relay.descriptor(), PollFlags::OUT));
        }
        let until = self.ticked + TICK;
        let woken = self.pool.wait(&others, &mut self.relay, Some(until))?;
        if is_reading
            && woken.others[1]
            && let Source::Stream(incoming) = &mut self.source
        {
            incoming.fill();
        }
        self.sink.flush();
        for (place, event) in woken.events {
            self.happened(place, event)?;
        }
        Ok(())
    }

    fn tick(&mut self, began: Instant, is_end: bool) {
        if is_end || self.ticked.elapsed() >= TICK {
            self.ticked = Instant::now();
            (self.progress)(&Progress {
                done: self.summary.done,
                failed: self.summary.failed,
                already: self.summary.already,
                total: self.has_ended.then_some(self.summary.structures),
                seconds: began.elapsed().as_secs_f64(),
            });
        }
    }

    /// Ends all processes and says how it was.
    fn finish(&mut self) {
        for place in 0..self.places.len() {
            let _ = self.pool.take_output(place, &mut self.relay);
            self.pool.stop(place);
        }
        let (begun, finished) = (self.begun, self.finished);
        if let (Some(begun), Some(finished)) = (begun, finished) {
            self.summary.seconds = finished.duration_since(begun).as_secs_f64();
        }
        self.summary.batch = self.batches.are_at_once().then(|| self.batches.used());
        let used = self.summary.workers;
        let mut devices: Vec<String> = (0..used)
            .map(|worker| self.devices.of(worker).to_owned())
            .collect();
        devices.sort();
        devices.dedup();
        self.summary.devices = devices;
        self.summary.failures.sort_by_key(|(index, _)| *index);
    }
}
