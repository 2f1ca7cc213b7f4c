//! Starts processes where there is work for them, and gives each something to do.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Doing, Place, Run, Source};
use crate::evaluate::{Error, message};

/// How many structures, and how many bytes of them, are read at once.
const READ: (usize, usize) = (256, 4 << 20);

/// A request; see the header of [`crate::evaluate`].
#[derive(Serialize)]
struct Request<'a, T: Serialize> {
    n: u64,
    #[serde(rename = "do")]
    what: &'a str,
    timeout: Option<f64>,
    #[serde(flatten)]
    more: T,
}

#[derive(Serialize)]
struct Read {
    most: usize,
    bytes: usize,
    from: u64,
}

#[derive(Serialize)]
struct Load<'a> {
    device: &'a str,
}

#[derive(Serialize)]
struct Compute<'a> {
    items: Vec<Head<'a>>,
}

#[derive(Serialize)]
struct Head<'a> {
    index: u64,
    digest: &'a str,
    length: usize,
}

impl Run<'_> {
    /// Gives every process that waits something to do.
    pub(super) fn give(&mut self) -> Result<(), Error> {
        self.read()?;
        for place in 0..self.limit {
            if self.pool.is_empty(place) && self.is_needed(place) {
                self.start(place)?;
            }
            let can = self.places[place].is_ready && self.pool.is_idle(place);
            if !can || !matches!(self.places[place].doing, Doing::Nothing) {
                continue;
            }
            if !self.places[place].is_loaded {
                let device = if self.devices.are_known() {
                    self.devices.of(place).to_owned()
                } else {
                    // Python chooses by the rank, and says which devices there are.
                    "auto".to_owned()
                };
                let timeout = self.context.options.startup_timeout;
                self.send(
                    place,
                    Doing::Loading,
                    "load",
                    &Load { device: &device },
                    &[],
                    Some(timeout),
                )?;
            } else if !self.sink.is_crowded() {
                self.compute(place)?;
            }
        }
        Ok(())
    }

    /// Has the next structures of the file read, if there is room for them.
    fn read(&mut self) -> Result<(), Error> {
        let place = self.reader();
        if self.has_ended || !matches!(self.source, Source::File(_)) {
            return Ok(());
        }
        if self.pool.is_empty(place) {
            self.start(place)?;
        }
        let is_free =
            self.places[place].is_ready && matches!(self.places[place].doing, Doing::Nothing);
        if is_free && self.queue.has_room(self.enough()) {
            let (most, bytes) = READ;
            let from = self.position;
            self.send(
                place,
                Doing::Reading,
                "read",
                &Read { most, bytes, from },
                &[],
                None,
            )?;
        }
        Ok(())
    }

    /// Whether another process has something to do. The first one loads while the first structures are read.
    fn is_needed(&self, place: usize) -> bool {
        if place == 0 {
            return !(self.has_ended && self.queue.is_empty());
        }
        let free = (0..self.limit)
            .filter(|place| !self.pool.is_empty(*place))
            .filter(|place| !matches!(self.places[*place].doing, Doing::Computing(_)))
            .count();
        self.queue.len() > free
    }

    fn start(&mut self, place: usize) -> Result<(), Error> {
        self.places[place] = Place::new();
        let started = self.pool.start(place, self.context.directory);
        started.map_err(|source| Error::Start {
            environment: self.context.selected.environment.to_string(),
            source,
        })
    }

    /// Gives structures to this process.
    fn compute(&mut self, place: usize) -> Result<(), Error> {
        let size = self.batches.size(self.queue.atoms());
        let mut count = self.queue.together(size);
        let is_file = matches!(self.source, Source::File(_));
        if self.queue.is_empty()
            || self.batches.are_at_once() && is_file && !self.has_ended && self.queue.len() < size
        {
            return Ok(());
        }
        if !self.batches.are_at_once() {
            // The last ones are divided.
            count = count.min(self.queue.len().div_ceil(self.limit));
        }
        let items = self.queue.take(count);
        let heads = items.iter().map(|item| Head {
            index: item.index,
            digest: &item.digest,
            length: item.packed.len(),
        });
        let more = Compute {
            items: heads.collect(),
        };
        let parts: Vec<&[u8]> = items.iter().map(|item| item.packed.as_slice()).collect();
        let timeout = self.context.options.step_timeout;
        self.begun.get_or_insert_with(Instant::now);
        let message = self.message("compute", &more, &parts, timeout)?;
        drop((more, parts));
        self.post(place, Doing::Computing(items), message, timeout)
    }

    fn send(
        &mut self,
        place: usize,
        doing: Doing,
        what: &str,
        more: &impl Serialize,
        parts: &[&[u8]],
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        let message = self.message(what, more, parts, timeout)?;
        self.post(place, doing, message, timeout)
    }

    fn message(
        &mut self,
        what: &str,
        more: &impl Serialize,
        parts: &[&[u8]],
        timeout: Option<Duration>,
    ) -> Result<Vec<u8>, Error> {
        self.numbers += 1;
        let timeout = timeout.map(|timeout| timeout.as_secs_f64());
        let request = Request {
            n: self.numbers,
            what,
            timeout,
            more,
        };
        Ok(message::pack(&request, parts)?)
    }

    fn post(
        &mut self,
        place: usize,
        doing: Doing,
        message: Vec<u8>,
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        // Printed between two requests.
        let _ = self.pool.take_output(place, &mut self.relay);
        self.places[place].doing = doing;
        self.places[place].number = self.numbers;
        self.places[place].since = Instant::now();
        self.pool.send(place, message, timeout)?;
        Ok(())
    }
}
