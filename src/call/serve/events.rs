//! What processes do, and the responses to that.

use serde_json::value::RawValue;

use super::Server;
use crate::call::answer::{self, Foreign};
use crate::call::failure::Failure;
use crate::call::fields::Fields;
use crate::call::job::Job;
use crate::call::outputs;
use crate::call::response;
use crate::pool::{Captured, End, Event};

impl Server<'_> {
    /// Deals with what the process in this place did.
    pub(super) fn happened(&mut self, place: usize, event: Event) {
        match event {
            Event::Ready(text) => self.ready(place, &text),
            Event::Answer(text) => self.answered(place, &text),
            Event::Ended(end) => self.ended(place, &end),
        }
    }

    /// A process has loaded: its request is sent.
    fn ready(&mut self, place: usize, text: &[u8]) {
        let built_on = &self.context.stamp.python.identity;
        let generation = &self.context.selected.generation;
        self.places[place].python = serde_json::from_slice(text).ok();
        match answer::check_identity(text, built_on, generation) {
            Ok(()) => {
                if let (Some(record), Some(python)) = (self.record, &self.places[place].python) {
                    record(&response::record(&self.environment, python));
                }
                self.send(place);
            }
            Err(failure) => self.fail_job(place, &failure),
        }
    }

    fn answered(&mut self, place: usize, text: &[u8]) {
        let Some(job) = self.places[place].job.take() else {
            self.lose(place, "it has sent something that was not asked for");
            return;
        };
        match answer::read(text, job.number) {
            Ok(Ok(fields)) => {
                self.learn_instance(place, &job, Some(&fields));
                let spill = self.context.options.spill.as_deref();
                match outputs::check(&fields, spill, self.warn) {
                    Ok(None) => self.succeed(place, &job, &fields),
                    Ok(Some(spilled)) => {
                        self.succeed(place, &job, &fields.with("outputs", &spilled));
                    }
                    Err(failure) => self.fail(place, &job, &failure),
                }
            }
            Ok(Err(failure)) => {
                self.learn_instance(place, &job, None);
                self.fail(place, &job, &failure);
            }
            Err(Foreign) => {
                self.places[place].job = Some(job);
                self.ended(place, &End::Invalid);
                return;
            }
        }
        if self.context.options.fresh || !self.is_stream {
            self.stop(place);
        } else if answer::is_worn(text) {
            self.lose(place, "the function has closed its standard output");
        }
    }

    /// Which instances there are after an answer.
    fn learn_instance(&mut self, place: usize, job: &Job, answer: Option<&Fields<'_>>) {
        let Some(instance) = &job.instance else {
            return;
        };
        match answer {
            Some(fields) => {
                let id = fields.get("instance_id").map(RawValue::get);
                let id: Option<String> = id.and_then(|id| serde_json::from_str(id).ok());
                match id {
                    Some(id) if instance.close => self.instances.remove(&id),
                    Some(id) if self.is_stream && !self.context.options.fresh => {
                        self.instances.put(id, place);
                    }
                    _ => {}
                }
            }
            None => {
                let is_gone = instance.close || instance.create && !job.replaces;
                if let Some(id) = instance.id.as_ref().filter(|_| is_gone) {
                    self.instances.remove(id);
                }
            }
        }
    }

    fn ended(&mut self, place: usize, end: &End) {
        let timeout = self.places[place].job.as_ref().and_then(|job| job.timeout);
        let startup_timeout = self.context.options.startup_timeout.as_secs_f64();
        let failure = answer::of_end(
            end,
            timeout.map(|timeout| timeout.as_secs_f64()),
            startup_timeout,
        );
        if self.places[place].job.is_some() {
            self.fail_job(place, &failure);
        } else {
            self.lose(place, &failure.message);
        }
    }

    /// The request in this place has failed, and its process cannot be used any more.
    pub(super) fn fail_job(&mut self, place: usize, failure: &Failure) {
        if let Some(job) = self.places[place].job.take() {
            if let Some(id) = job.makes().filter(|_| !job.replaces) {
                self.instances.remove(id);
            }
            self.fail(place, &job, failure);
        }
        self.lose(place, &failure.message);
    }

    /// Ends the process in this place; requests that wait for its instances are answered.
    pub(super) fn lose(&mut self, place: usize, why: &str) {
        self.instances.lose(place, why);
        self.stop(place);
        for job in std::mem::take(&mut self.places[place].queue) {
            self.route(job);
        }
    }

    fn stop(&mut self, place: usize) {
        let _ = self.pool.take_output(place, &mut self.relay);
        self.pool.stop(place);
        self.places[place].python = None;
        self.places[place].cache.remove();
        self.clear(place, true);
    }

    /// Removes what a request has left in its private directory, or says where it is.
    fn clear(&mut self, place: usize, is_end: bool) {
        let scratch = &mut self.places[place].scratch;
        if is_end {
            scratch.remove();
        } else {
            scratch.clean();
        }
    }

    fn succeed(&mut self, place: usize, job: &Job, answer: &Fields<'_>) {
        let (stdout, stderr) = self.pool.take_output(place, &mut self.relay);
        let text = response::success(&self.common(place, job, &stdout, &stderr), answer);
        self.after(place);
        self.respond(text, None);
    }

    /// Answers a request that was given to this process.
    pub(super) fn fail(&mut self, place: usize, job: &Job, failure: &Failure) {
        let (stdout, stderr) = self.pool.take_output(place, &mut self.relay);
        let text = response::failure(&self.common(place, job, &stdout, &stderr), failure);
        self.after(place);
        self.respond(text, Some(failure.clone()));
    }

    /// The private directory after a request.
    fn after(&mut self, place: usize) {
        if !self.context.options.keep {
            self.clear(place, false);
        } else if let Some(kept) = self.places[place].scratch.keep() {
            (self.warn)(&format!("rootstock: kept `{}`", kept.display()));
        }
    }

    fn common<'b>(
        &'b self,
        place: usize,
        job: &'b Job,
        stdout: &'b Captured,
        stderr: &'b Captured,
    ) -> response::Common<'b> {
        response::Common {
            id: &job.id,
            bare: self.context.options.bare,
            stdout,
            stderr,
            seconds: job.seconds(),
            environment: &self.environment,
            python: self.places[place].python.as_deref(),
        }
    }
}
