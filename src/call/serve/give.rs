//! Which process gets which request.

use std::path::PathBuf;
use std::time::Instant;

use super::Server;
use crate::call::failure::{Failure, Kind};
use crate::call::job::Job;
use crate::call::workdir::Temporary;
use crate::files;
use crate::pool::StartError;
use crate::runtime::Variables;

impl Server<'_> {
    /// Puts a request in the queue of the process that has its instance, or in the common one.
    pub(super) fn route(&mut self, mut job: Job) {
        if let Some(id) = job.needs() {
            match self.instances.place(id) {
                Some(place) => {
                    self.places[place].queue.push_back(job);
                }
                None => {
                    let message = format!("there is no instance `{id}`");
                    let failure =
                        Failure::new(Kind::NotFound, message, self.instances.why_none(id));
                    self.refuse(&job.id, failure);
                }
            }
            return;
        }
        let Some(id) = job.makes().map(str::to_owned) else {
            self.queue.push_back(job);
            return;
        };
        // Requests that follow may name it, before it is made.
        let place = self.instances.place(&id);
        job.replaces = place.is_some();
        let place = place.unwrap_or_else(|| self.least_busy());
        self.instances.put(id, place);
        self.places[place].queue.push_back(job);
    }

    /// The process with the fewest requests.
    fn least_busy(&self) -> usize {
        let load = |place: &usize| {
            let here = &self.places[*place];
            (
                here.queue.len() + usize::from(here.job.is_some()),
                self.pool.is_empty(*place),
            )
        };
        (0..self.places.len()).min_by_key(load).unwrap_or(0)
    }

    /// Gives every process that has nothing to do a request, and starts processes for the others.
    pub(super) fn give(&mut self) {
        for place in 0..self.places.len() {
            if self.places[place].job.is_none()
                && let Some(job) = self.places[place].queue.pop_front()
            {
                self.assign(place, job);
            }
        }
        while !self.queue.is_empty() {
            let is_free = |place: &usize| self.places[*place].job.is_none();
            let free: Vec<usize> = (0..self.places.len()).filter(is_free).collect();
            let warm = free.iter().find(|place| self.pool.is_idle(**place));
            let Some(place) = warm.or(free.first()).copied() else {
                break;
            };
            let Some(job) = self.queue.pop_front() else {
                break;
            };
            self.assign(place, job);
        }
    }

    /// Gives a request to the process in this place, or to a new one.
    fn assign(&mut self, place: usize, job: Job) {
        if self.pool.is_idle(place) && !self.pool.is_alive(place) {
            // It has ended between two requests, which is not the fault of this one.
            self.lose(place, "its process ended between two requests");
        }
        if let Some(id) = job.needs()
            && self.instances.place(id) != Some(place)
        {
            // It was lost while this request waited.
            self.route(job);
            return;
        }
        self.places[place].job = Some(job);
        if self.pool.is_idle(place) {
            self.send(place);
        } else {
            self.start(place);
        }
    }

    /// Starts a process for the request in this place.
    fn start(&mut self, place: usize) {
        let is_restart = self.places[place].was_used && !self.context.options.fresh;
        let started = if is_restart && self.restarts == Some(0) {
            Err(Failure::new(
                Kind::NoResult,
                "not tried: the processes that could answer have ended, and none may be started again",
                "allow more with `--restarts N`",
            ))
        } else {
            self.try_start(place)
        };
        match started {
            Ok(()) => {
                if is_restart {
                    self.restarts = self.restarts.map(|left| left - 1);
                }
                self.places[place].was_used = true;
            }
            Err(failure) => self.fail_job(place, &failure),
        }
    }

    fn try_start(&mut self, place: usize) -> Result<(), Failure> {
        let job = self.places[place].job.as_ref();
        let own = job.and_then(|job| job.workdir.clone());
        let directory = self.workdir(place, own)?;
        let fresh = self.fresh_variables(place)?;
        let variables = fresh.as_ref().unwrap_or(self.context.variables);
        self.pool
            .start_with(place, &directory, variables)
            .map_err(|error| cannot_start(&error, &self.environment.name))
    }

    /// The variables of a fresh process, with caches of its own.
    fn fresh_variables(&mut self, place: usize) -> Result<Option<Variables>, Failure> {
        let context = self.context;
        if !context.options.fresh {
            return Ok(None);
        }
        let cache = self.places[place].cache.empty(Temporary {
            directory: &context.temporary,
            keep: false,
        });
        let cache = cache.map_err(|error| no_directory(&error))?;
        Ok(Some((context.with_cache)(cache)))
    }

    /// Sends the request in this place to its idle process.
    pub(super) fn send(&mut self, place: usize) {
        if let Err(failure) = self.try_send(place) {
            self.fail_job(place, &failure);
        }
    }

    fn try_send(&mut self, place: usize) -> Result<(), Failure> {
        let own = self.places[place]
            .job
            .as_ref()
            .and_then(|job| job.workdir.clone());
        let directory = self.workdir(place, own)?;
        let Some(directory) = directory.to_str() else {
            return Err(Failure::bad_request(
                format!(
                    "the working directory `{}` is not UTF-8",
                    directory.display()
                ),
                "name another one with `--workdir DIR`, or another one for temporary files in TMPDIR",
            ));
        };
        let Some(job) = &mut self.places[place].job else {
            return Ok(());
        };
        let message = job.message(directory);
        let timeout = job.timeout;
        // Printed between two requests: by a thread that goes on, or while it loaded.
        let _ = self.pool.take_output(place, &mut self.relay);
        self.pool.send(place, message, timeout).map_err(|error| {
            Failure::new(
                Kind::TooLarge,
                format!("the request cannot be sent: {error}"),
                "",
            )
        })
    }

    /// The working directory of a request.
    fn workdir(&mut self, place: usize, own: Option<PathBuf>) -> Result<PathBuf, Failure> {
        if let Some(given) = own.or_else(|| self.context.options.workdir.clone()) {
            return Ok(given);
        }
        let scratch = self.places[place].scratch.empty(Temporary {
            directory: &self.context.temporary,
            keep: self.context.options.keep,
        });
        scratch
            .map(ToOwned::to_owned)
            .map_err(|error| no_directory(&error))
    }

    /// When the next process has waited too long for a request.
    pub(super) fn next_idle_end(&self) -> Option<Instant> {
        let timeout = self.context.options.idle_timeout?;
        let ends = self
            .idle_without_instances()
            .map(|(_, since)| since + timeout);
        ends.min()
    }

    /// Ends processes that have waited too long for a request.
    pub(super) fn end_idle(&mut self) {
        let Some(timeout) = self.context.options.idle_timeout else {
            return;
        };
        let late = self
            .idle_without_instances()
            .filter(|(_, since)| since.elapsed() >= timeout);
        let late: Vec<usize> = late.map(|(place, _)| place).collect();
        for place in late {
            self.pool.stop(place);
            self.places[place].scratch.remove();
            self.places[place].was_used = false;
        }
    }

    fn idle_without_instances(&self) -> impl Iterator<Item = (usize, Instant)> {
        (0..self.places.len()).filter_map(|place| {
            let since = self.pool.idle_since(place)?;
            let is_free = self.places[place].job.is_none() && !self.instances.are_in(place);
            is_free.then_some((place, since))
        })
    }
}

fn no_directory(error: &files::Error) -> Failure {
    Failure::new(
        Kind::NoResult,
        error.text(),
        "make room there, name another directory for temporary files in TMPDIR, or use `--workdir DIR`",
    )
}

fn cannot_start(error: &StartError, environment: &str) -> Failure {
    if error.is_shortage() {
        let hint = "a limit on processes, open files or memory is reached: raise it, or start fewer processes";
        return Failure::new(Kind::NoResult, error.to_string(), hint);
    }
    let hint = format!("repair the environment: `rootstock sync --repair {environment}`");
    Failure::new(Kind::EnvironmentBroken, error.to_string(), hint)
}
