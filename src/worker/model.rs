//! The model of a worker as the i-PI session calls it: frames go to Python; its results become energy, forces and virial.

use std::rc::Rc;
use std::time::{Duration, Instant};

use ipi_client::{Calculator, Exception, Failure, Floats, Frame, Results, System};

use super::answer::{StepError, Waiting};
use super::connection::Peer;
use super::distances::too_close;
use super::handover::Computed;
use super::loading::PythonProcess;
use super::origin::Origin;
use super::shared_steps::SharedSteps;
use super::virial;

/// A model that outlives its Python: forces depend on the frame alone, so a new Python computes them again and the server
/// sees only a slow step.
pub(super) struct Model<'a> {
    /// `None` only while a new one is being started.
    pub(super) python: Option<PythonProcess>,
    pub(super) system: Option<System>,
    /// Starts a new Python and loads the model.
    pub(super) start: &'a dyn Fn() -> Result<PythonProcess, super::Error>,
    /// How often `start` may still be called.
    pub(super) restarts: u32,
    /// How to wait for a step, before the server is connected.
    pub(super) waiting: Waiting<'a>,
    /// Whether the user wants stresses.
    pub(super) stress: bool,
    /// Whether further results are wanted with each frame.
    pub(super) everything: bool,
    pub(super) origin: &'a dyn Fn() -> crate::files::Result<Origin>,
    /// Steps computed without shared memory.
    pub(super) steps: u64,
    pub(super) print: &'a (dyn Fn(&str) + Sync),
    /// The server, once it is connected.
    pub(super) peer: Option<Rc<Peer>>,
    /// The steps that a client requests in shared memory.
    pub(super) shared: Option<SharedSteps>,
    /// Whether Python still computes for a server that has gone.
    pub(super) is_abandoned: bool,
}

/// Why there always is a Python when a step begins.
pub(super) const ALIVE: &str = "a Python that could not be started again ended the run";

impl Calculator for Model<'_> {
    fn atoms(&self) -> Option<usize> {
        self.system.as_ref().map(|system| system.numbers.len())
    }

    fn set_system(&mut self, system: System) -> Result<(), Failure> {
        if let Some(python) = &mut self.python {
            // The next step finds out if Python has ended, and sends the system to a new one.
            let _ = python.hand_over.send_system(&system);
        }
        self.leave_memory();
        self.system = Some(system);
        Ok(())
    }

    fn calculate(&mut self, frames: &[Frame], results: &mut [Results]) -> Result<(), Failure> {
        if self.steps == 0
            && let Some(warning) = frames.iter().find_map(too_close)
        {
            self.warn(&warning);
        }
        self.steps += 1;
        let different = without_copies(frames);
        let begin = Instant::now();
        let (computed, further) = self.compute(&frames[..different], &mut results[..different])?;
        let took = begin.elapsed();
        for (frame, (computed, results)) in frames.iter().zip(computed.iter().zip(&mut *results)) {
            results.energy = computed.energy;
            results.stress = computed.stress;
            results.virial = self.virial(frame, computed, &results.forces);
        }
        self.set_extras(results, further, took);
        let (done, copies) = results.split_at_mut(different);
        for copy in copies {
            copy.clone_from(&done[different - 1]);
        }
        Ok(())
    }

    fn want_all_results(&mut self) {
        self.everything = true;
    }

    fn further_results(&mut self, name: &str) -> Result<Vec<u8>, Failure> {
        let gone = br#"{"gone": true}"#.to_vec();
        let waiting = self.waiting.until_gone(self.peer.as_deref());
        let python = self.python.as_mut().expect(ALIVE);
        // The next step starts another Python.
        if python.hand_over.is_closed() {
            return Ok(gone);
        }
        match python.hand_over.further_results(name, waiting) {
            Ok(text) => Ok(text),
            Err(error) => {
                let timed_out = matches!(error, StepError::TimedOut(_));
                let cause = self.cause(error)?;
                if timed_out {
                    self.restart(cause)?;
                }
                Ok(gone)
            }
        }
    }

    fn origin(&mut self) -> Result<Vec<u8>, Failure> {
        let origin =
            (self.origin)().map_err(|error| Exception::new("OSError", error.to_string()))?;
        Ok(serde_json::to_vec(&origin).expect("an origin has only plain fields"))
    }

    fn accept_memory(&mut self, atoms: usize) {
        let files = self.peer.as_ref().map(|peer| peer.take_files());
        let Some(shared) = files.and_then(|files| SharedSteps::accept(files, atoms)) else {
            return;
        };
        if let Some(python) = &mut self.python {
            // The memory itself shows whether Python uses it.
            let _ = python.hand_over.send_memory(&shared.memory, atoms);
        }
        self.leave_memory();
        self.shared = Some(shared);
    }

    fn wait_for_message(&mut self) -> Result<(), Failure> {
        while let Some(cause) = self.watch_shared_steps()? {
            if let Err(failure) = self.replace_python(cause) {
                // The client wakes up when the bell is closed by everyone.
                self.python = None;
                self.leave_memory();
                return Err(failure);
            }
        }
        Ok(())
    }

    fn stresses(&mut self, frame: &Frame, stresses: &mut Floats) -> Result<(), Failure> {
        let waiting = self.waiting.until_gone(self.peer.as_deref());
        let python = self.python.as_mut().expect(ALIVE);
        match python.hand_over.stresses(frame.atoms(), stresses, waiting) {
            Ok(()) => {
                stresses.scale(frame.volume());
                Ok(())
            }
            Err(error) => Err(Failure::Died(self.cause(error)?)),
        }
    }

    fn warn(&mut self, text: &str) {
        (self.print)(&format!("rootstock: {text}"));
    }
}

impl Model<'_> {
    /// Prepares for another server, which knows nothing of the last one: its species, or that it wanted all results. A step
    /// that the last one left behind is computed to its end, because a model takes longer to load.
    pub(super) fn forget_server(&mut self) -> Result<(), super::Error> {
        self.everything = false;
        self.leave_memory();
        if std::mem::take(&mut self.is_abandoned)
            && let Some(python) = &mut self.python
            && let Err(error) = python.hand_over.discard_answer(self.waiting)
        {
            let cause = self.cause(error).map_err(super::Error::failed)?;
            self.restart(cause).map_err(super::Error::failed)?;
        }
        if let Some(python) = &mut self.python {
            if python.system != self.system
                && let Some(system) = &python.system
            {
                // The next step finds out if Python has ended.
                let _ = python.hand_over.send_system(system);
            }
            self.system.clone_from(&python.system);
        }
        Ok(())
    }

    fn virial(&self, frame: &Frame, computed: &Computed, forces: &Floats) -> Option<[f64; 9]> {
        let pbc = self
            .system
            .as_ref()
            .is_some_and(|system| system.pbc.contains(&true));
        match computed.stress {
            Some(stress) => Some(virial::from_stress(stress, frame.volume())),
            None if !pbc => Some(virial::from_forces(&frame.positions, forces)),
            // There is no volume, or the user has declined stresses.
            None if frame.has_missing_vector() || !self.stress => Some([0.0; 9]),
            None => None,
        }
    }

    /// Puts further results into the extras: a line for each frame, or all of them with the first.
    fn set_extras(&self, results: &mut [Results], further: Vec<u8>, took: Duration) {
        if self.everything {
            let lines = further.split(|byte| *byte == b'\n');
            for (results, line) in results.iter_mut().zip(lines) {
                line.clone_into(&mut results.extras);
            }
        } else {
            results[0].extras = match &self.system {
                Some(system) if system.timings => with_time(&further, took),
                _ => further,
            };
        }
    }
}

/// How many frames to compute: i-PI fills a batch up with copies of its last structure.
fn without_copies(frames: &[Frame]) -> usize {
    let (last, others) = frames
        .split_last()
        .expect("a server sends at least one frame");
    let copies = others.iter().rev().take_while(|frame| *frame == last);
    frames.len() - copies.count()
}

/// Adds the launcher's time to the calculator's in the further results.
fn with_time(further: &[u8], took: Duration) -> Vec<u8> {
    let Ok(mut further) = strict_json::from_slice::<serde_json::Value>(further) else {
        return further.to_owned();
    };
    further["timings"]["step"] = took.as_secs_f64().into();
    further.to_string().into_bytes()
}
