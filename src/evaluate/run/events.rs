//! What processes do, and what follows from that.

use std::time::Instant;

use serde::Deserialize;

use super::{Doing, KEPT, Place, Run, Source};
use crate::evaluate::source::{Head, Item};
use crate::evaluate::{Error, Failure, message};
use crate::pool::{End, Event};

/// How many processes may end in a row without a result.
const DEATHS: u32 = 12;
/// How many processes may end while they compute one structure alone.
const TRIES: u32 = 2;

/// An answer; see the header of [`crate::evaluate`].
#[derive(Debug, Deserialize)]
struct Answer {
    n: u64,
    failure: Option<Failure>,
    #[serde(default)]
    ended: bool,
    device: Option<String>,
    #[serde(default)]
    batch: bool,
    #[serde(default)]
    devices: Vec<String>,
    largest: Option<usize>,
    #[serde(default)]
    items: Vec<Entry>,
}

/// A structure that was read, or what became of one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    atoms: usize,
    #[serde(default)]
    digest: String,
    length: Option<usize>,
    failure: Option<Failure>,
}

impl Run<'_> {
    /// Deals with what the process in this place did.
    pub(super) fn happened(&mut self, place: usize, event: Event) -> Result<(), Error> {
        match event {
            Event::Ready(_) => {
                self.places[place].is_ready = true;
                Ok(())
            }
            Event::Answer(text) => self.answered(place, &text),
            Event::Ended(end) => self.ended(place, &end),
        }
    }

    fn answered(&mut self, place: usize, text: &[u8]) -> Result<(), Error> {
        let Some((answer, blob)) = message::unpack::<Answer>(text) else {
            return self.ended(place, &End::Invalid);
        };
        if answer.n != self.places[place].number {
            return self.ended(place, &End::Invalid);
        }
        match std::mem::take(&mut self.places[place].doing) {
            Doing::Nothing => self.ended(place, &End::Invalid),
            Doing::Reading => self.have_read(answer, blob),
            Doing::Loading => match answer.failure {
                Some(failure) => Err(self.load_error(failure)),
                None => self.loaded(place, &answer),
            },
            Doing::Computing(items) => self.computed(place, items, answer, blob),
        }
    }

    fn load_error(&self, failure: Failure) -> Error {
        let options = self.context.options;
        let help = match (&options.function, &failure) {
            (_, failure) if !failure.hint.is_empty() => failure.hint.clone(),
            _ => format!("try it alone: `rootstock probe {}`", options.model),
        };
        Error::Load {
            model: options.model.clone(),
            failure: Box::new(failure),
            help,
        }
    }

    fn loaded(&mut self, place: usize, answer: &Answer) -> Result<(), Error> {
        self.places[place].is_loaded = true;
        if !self.devices.are_known() {
            let options = self.context.options;
            self.devices.learn(answer.devices.clone(), options.rank);
            let workers = options
                .workers
                .unwrap_or_else(|| self.devices.workers(options.most));
            self.limit = workers.clamp(1, self.places.len() - 1);
        }
        self.summary.workers = self.summary.workers.max(place + 1);
        if !std::mem::replace(&mut self.has_loaded, true) {
            self.batches.learn_kind(answer.batch);
            let device = answer.device.as_deref().unwrap_or("cpu");
            self.sink.began(device, answer.batch)?;
        }
        Ok(())
    }

    /// Structures were read, or cannot be.
    fn have_read(&mut self, answer: Answer, blob: &[u8]) -> Result<(), Error> {
        if let Some(failure) = answer.failure {
            self.unreadable = Some(self.input_error(&failure));
            self.has_ended = true;
            return Ok(());
        }
        let broken = || std::io::Error::other("the process that reads has sent something else");
        let lengths = answer.items.iter().filter_map(|entry| entry.length);
        let parts = message::cut(blob, lengths).filter(|parts| parts.len() == answer.items.len());
        for (entry, part) in answer.items.into_iter().zip(parts.ok_or_else(broken)?) {
            let head = Head {
                index: entry.index,
                atoms: entry.atoms,
                digest: entry.digest,
                length: part.len(),
            };
            let item = Item::new(head, part);
            self.position = item.index + 1;
            self.summary.structures += 1;
            if self.sink.is_done(&item)? {
                self.summary.already += 1;
            } else {
                self.queue.push(item);
            }
        }
        if answer.ended {
            self.has_ended = true;
            let reader = self.reader();
            self.pool.stop(reader);
        }
        Ok(())
    }

    fn input_error(&self, failure: &Failure) -> Error {
        let Source::File(input) = &self.source else {
            unreachable!("only files are read by a process");
        };
        let place = match self.position {
            0 => String::new(),
            position => format!(" from number {position} on"),
        };
        Error::Input {
            path: input.path.display().to_string(),
            place,
            message: failure.message.clone(),
            help: if self.position == 0 {
                "name a file with structures that ASE reads; `ase info --formats` in the environment lists the formats".to_owned()
            } else {
                "correct the file, then run the same with `--resume`".to_owned()
            },
        }
    }

    fn computed(
        &mut self,
        place: usize,
        items: Vec<Item>,
        answer: Answer,
        blob: &[u8],
    ) -> Result<(), Error> {
        let took = self.places[place].since.elapsed();
        let lengths = answer.items.iter().filter_map(|outcome| outcome.length);
        let parts = message::cut(blob, lengths);
        let is_whole = answer.items.len() == items.len() && answer.failure.is_none();
        let Some(parts) = parts.filter(|_| is_whole) else {
            self.places[place].doing = Doing::Computing(items);
            return self.ended(place, &End::Invalid);
        };
        self.deaths = 0;
        self.finished = Some(Instant::now());
        let atoms: usize = items.iter().map(|item| item.atoms).sum();
        self.batches.learn(items.len(), atoms, took, answer.largest);
        let mut parts = parts.into_iter();
        let mut done = Vec::new();
        for (item, outcome) in items.into_iter().zip(answer.items) {
            match outcome.failure {
                Some(failure) => {
                    self.fail(&item, failure)?;
                }
                None => {
                    self.summary.done += 1;
                    self.summary.atoms += item.atoms as u64;
                    done.push((item, parts.next().unwrap_or_default()));
                }
            }
        }
        self.sink.done(&done)
    }

    fn fail(&mut self, item: &Item, failure: Failure) -> Result<(), Error> {
        self.sink.failed(item, &failure)?;
        self.summary.failed += 1;
        if self.summary.failures.len() < KEPT {
            self.summary.failures.push((item.index, failure));
        }
        Ok(())
    }

    /// A process cannot be used any more: what it was given goes to another one.
    fn ended(&mut self, place: usize, end: &End) -> Result<(), Error> {
        let (_, errors) = self.pool.take_output(place, &mut self.relay);
        self.pool.stop(place);
        let was = std::mem::replace(&mut self.places[place], Place::new());
        let options = self.context.options;
        let timeout = if matches!(was.doing, Doing::Computing(_)) {
            options.step_timeout
        } else {
            Some(options.startup_timeout)
        };
        let timeout = timeout.map(|timeout| timeout.as_secs_f64());
        let failure = Failure::of_end(end, timeout, errors.text.trim_end());
        self.deaths += 1;
        if self.deaths > DEATHS {
            return Err(Error::Deaths {
                count: self.deaths,
                last: Box::new(failure),
            });
        }
        match was.doing {
            Doing::Computing(items) => self.died_at(items, end, failure),
            Doing::Loading if !self.has_loaded => Err(self.load_error(failure)),
            Doing::Reading | Doing::Loading | Doing::Nothing => {
                self.context.warn_of(&failure);
                Ok(())
            }
        }
    }

    /// Structures with which a process has ended. Which of several it was is not known: each is computed alone.
    fn died_at(&mut self, mut items: Vec<Item>, end: &End, failure: Failure) -> Result<(), Error> {
        let is_alone = items.len() == 1;
        for item in &mut items {
            item.alone = true;
            item.deaths += u32::from(is_alone);
        }
        let is_late = matches!(end, End::TimedOut { .. });
        if is_alone && (is_late || items[0].deaths >= TRIES) {
            self.finished = Some(Instant::now());
            return self.fail(&items[0], failure);
        }
        self.context.warn_of(&failure);
        self.queue.put_back(items);
        Ok(())
    }
}

impl crate::evaluate::Context<'_> {
    /// Prints that a process has ended, and that what it was given is not lost.
    fn warn_of(&self, failure: &Failure) {
        let cause = failure.message.replacen("its process", "a process", 1);
        (self.print)(&format!(
            "rootstock: {cause}; another process gets what it was given"
        ));
    }
}
