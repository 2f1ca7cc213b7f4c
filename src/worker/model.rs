//! A model as the i-PI session sees it: frames go to Python, and what comes back becomes energy, forces and virial.

use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use serde::Deserialize;

use super::connection::Peer;
use super::handover::{Beat, Computed, HandOver, Meanwhile, Silence, size};
use super::memory::Memory;
use super::origin::Origin;
use super::python::Python;
use super::signals::Signals;
use super::wait::{Wake, wait_for_either};
use ipi_client::Floats;
use ipi_client::{Calculator, Exception, Failure, Frame, Results, System};

/// Atoms closer than this, in ångström, are a mistake in units or order.
const TOO_CLOSE: f64 = 0.5;
/// Up to this many atoms all pairs are looked at: a few milliseconds, once.
const FEW: usize = 2000;

/// A Python that has loaded a model.
pub(super) struct Life {
    pub(super) hand_over: HandOver,
    pub(super) python: Python,
    /// The atoms, if it was told which.
    pub(super) system: Option<System>,
}

/// A model that outlives its Python: forces are a function of the frame alone, so a new Python computes them again and
/// the server sees only a slow step.
pub(super) struct Model<'a> {
    /// `None` only while a new one is being started.
    pub(super) life: Option<Life>,
    pub(super) system: Option<System>,
    /// Starts a new Python and has it load the model.
    pub(super) begin: &'a dyn Fn() -> Result<Life, super::Error>,
    /// How often it may still be used.
    pub(super) restarts: u32,
    /// How long a step may take.
    pub(super) patience: Option<Duration>,
    /// How often to say that a step takes long.
    pub(super) heartbeat: Duration,
    /// Whether the user wants stresses.
    pub(super) stress: bool,
    /// Whether everything that a model computes is wanted with each frame.
    pub(super) everything: bool,
    /// Says where the model comes from.
    pub(super) origin: &'a dyn Fn() -> crate::files::Result<Origin>,
    /// How many frames were computed.
    pub(super) steps: u64,
    pub(super) say: &'a (dyn Fn(&str) + Sync),
    pub(super) signals: &'a Signals,
    /// Who is answered, once he was reached.
    pub(super) peer: Option<Rc<Peer>>,
    /// Where he asks, if he shares his memory.
    pub(super) shared: Option<Shared>,
}

/// A client's memory in use.
pub(super) struct Shared {
    memory: Memory,
    atoms: usize,
    /// The step that was asked for when this was last looked at, and since when.
    pending: Option<(u64, Instant)>,
    /// How often it was said that this step takes long.
    beats: u32,
    /// The step at which Python died last, and how.
    deadly: Option<(u64, String)>,
}

/// Frames computed, and further results.
type Answer = (Vec<Computed>, Vec<u8>);

/// What Python says once its model is loaded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ready {
    /// The device, if it was to be chosen.
    #[serde(default)]
    pub(super) device: Option<String>,
    /// The atoms, if it was told which.
    pub(super) system: Option<System>,
}

impl Calculator for Model<'_> {
    fn atoms(&self) -> Option<usize> {
        self.system.as_ref().map(|system| system.numbers.len())
    }

    fn set_system(&mut self, system: System) -> Result<(), Failure> {
        if let Some(life) = &mut self.life {
            // A Python that is gone is found out at the next step, where a new one is told.
            let _ = life.hand_over.tell(&system);
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
        // i-PI fills a batch up with copies of its last structure.
        let (last, others) = frames
            .split_last()
            .expect("a server sends at least one frame");
        let copies = others.iter().rev().take_while(|frame| *frame == last);
        let different = frames.len() - copies.count();
        let begin = Instant::now();
        let (computed, more) = self.compute(&frames[..different], &mut results[..different])?;
        let took = begin.elapsed();
        for (frame, (computed, results)) in frames.iter().zip(computed.iter().zip(&mut *results)) {
            results.energy = computed.energy;
            results.stress = computed.stress;
            results.virial = self.virial(frame, computed, &results.forces);
        }
        if self.everything {
            let lines = more.split(|byte| *byte == b'\n');
            for (results, line) in results.iter_mut().zip(lines) {
                line.clone_into(&mut results.extras);
            }
        }
        let (done, copies) = results.split_at_mut(different);
        for copy in copies {
            copy.clone_from(&done[different - 1]);
        }
        if !self.everything {
            results[0].extras = match &self.system {
                Some(system) if system.timings => with_time(&more, took),
                _ => more,
            };
        }
        Ok(())
    }

    fn want_all_results(&mut self) {
        self.everything = true;
    }

    fn further_results(&mut self, name: &str) -> Result<Vec<u8>, Failure> {
        let gone = br#"{"gone": true}"#.to_vec();
        let life = self.life.as_mut().expect(ALIVE);
        // The next step starts another Python.
        if life.hand_over.is_closed() {
            return Ok(gone);
        }
        let (say, patience) = (self.say, self.patience);
        let beat = Beat {
            every: self.heartbeat,
            say: &|waited| say(&takes_long(waited, patience)),
        };
        let meanwhile = meanwhile(patience, self.signals, self.peer.as_ref(), beat);
        match life.hand_over.results(name, meanwhile) {
            Ok(text) => Ok(text),
            Err(silence) => {
                let is_late = matches!(silence, Silence::Late(_));
                let cause = self.cause(silence)?;
                if is_late {
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
        let Some(memory) = files.and_then(|files| Memory::accept(files, size(atoms))) else {
            return;
        };
        if let Some(life) = &mut self.life {
            // Whether it has heard is seen in the memory.
            let _ = life.hand_over.share(&memory, atoms);
        }
        self.leave_memory();
        self.shared = Some(Shared {
            memory,
            atoms,
            pending: None,
            beats: 0,
            deadly: None,
        });
    }

    fn wait_for_message(&mut self) -> Result<(), Failure> {
        while let (Some(shared), Some(peer)) = (&mut self.shared, &self.peer) {
            let Some(next) = peer.next() else {
                return Ok(());
            };
            let patience = self.patience.map(|patience| patience / 8);
            let look = patience.map_or(self.heartbeat, |patience| patience.min(self.heartbeat));
            let look = Some(Instant::now() + look);
            let python = &self.life.as_ref().expect(ALIVE).hand_over;
            let python = (python.socket().as_fd(), PollFlags::IN);
            let cause = match wait_for_either(next, Some(python), look, Some(self.signals)) {
                // Who reads hears an order to end, too.
                Wake::Ready | Wake::Told => return Ok(()),
                Wake::Second => self.life.as_ref().expect(ALIVE).python.cause(),
                Wake::Late => match shared.lateness() {
                    Some(late) if self.patience.is_some_and(|patience| late >= patience) => {
                        self.cause(Silence::Late(self.patience.unwrap_or_default()))?
                    }
                    Some(late) if late >= self.heartbeat * (shared.beats + 1) => {
                        shared.beats += 1;
                        (self.say)(&takes_long(late, self.patience));
                        continue;
                    }
                    _ => continue,
                },
            };
            if let Err(failure) = self.revive(cause) {
                // The client wakes up when the last of us has let go of its bell.
                self.life = None;
                self.leave_memory();
                return Err(failure);
            }
        }
        Ok(())
    }

    fn stresses(&mut self, frame: &Frame, stresses: &mut Floats) -> Result<(), Failure> {
        let life = self.life.as_mut().expect(ALIVE);
        let (say, patience) = (self.say, self.patience);
        let beat = Beat {
            every: self.heartbeat,
            say: &|waited| say(&takes_long(waited, patience)),
        };
        let meanwhile = meanwhile(patience, self.signals, self.peer.as_ref(), beat);
        let told = life.hand_over.stresses(frame.atoms(), stresses, meanwhile);
        match told {
            Ok(()) => {
                stresses.scale(frame.volume());
                Ok(())
            }
            Err(silence) => Err(Failure::Died(self.cause(silence)?)),
        }
    }

    fn warn(&mut self, text: &str) {
        (self.say)(&format!("rootstock: {text}"));
    }
}

impl Shared {
    /// For how long the same step has waited for its answer, as far as is known.
    fn lateness(&mut self) -> Option<Duration> {
        let pending = self.memory.progress().ok()?.pending();
        match (pending, self.pending) {
            (Some(step), Some((known, since))) if step == known => Some(since.elapsed()),
            (pending, _) => {
                self.pending = pending.map(|step| (step, Instant::now()));
                self.beats = 0;
                None
            }
        }
    }
}

impl Model<'_> {
    /// How many frames were computed.
    pub(super) fn steps(&self) -> u64 {
        let progress = self.shared.as_ref().map(|shared| shared.memory.progress());
        self.steps
            + progress
                .and_then(Result::ok)
                .map_or(0, |progress| progress.answered)
    }

    /// Whether somebody waits for a step in memory.
    pub(super) fn is_computing_in_memory(&self) -> bool {
        let progress = self.shared.as_ref().map(|shared| shared.memory.progress());
        progress.is_some_and(|progress| progress.is_ok_and(|progress| progress.pending().is_some()))
    }

    /// Nobody asks in memory any more.
    pub(super) fn leave_memory(&mut self) {
        self.steps = self.steps();
        self.shared = None;
    }

    /// Starts a new Python, which sees in the memory what is to be computed; unless the one before has died of it, too.
    fn revive(&mut self, cause: String) -> Result<(), Failure> {
        let shared = self.shared.as_mut().expect("nothing else is attended to");
        shared.pending = None;
        if let Ok(progress) = shared.memory.progress()
            && let Some(step) = progress.pending()
        {
            let before = shared.deadly.replace((step, cause.clone()));
            if let Some((_, first)) = before.filter(|(deadly, _)| *deadly == step) {
                return Err(dies_again(&first, &cause));
            }
        }
        self.restart(cause)
    }

    fn virial(&self, frame: &Frame, computed: &Computed, forces: &Floats) -> Option<[f64; 9]> {
        let pbc = self
            .system
            .as_ref()
            .is_some_and(|system| system.pbc.contains(&true));
        match computed.stress {
            Some(stress) => Some(from_stress(stress, frame.volume())),
            None if !pbc => Some(from_forces(&frame.positions, forces)),
            // There is no volume for a stress to be in, or the user has said that nobody will look.
            None if frame.has_missing_vector() || !self.stress => Some([0.0; 9]),
            None => None,
        }
    }

    /// Has frames computed; by a new Python if the one we have dies of it, and by no third one.
    fn compute(&mut self, frames: &[Frame], results: &mut [Results]) -> Result<Answer, Failure> {
        let life = self.life.as_ref().expect(ALIVE);
        if life.hand_over.is_closed() {
            // It ended between two steps, which is not this one's fault.
            let cause = life.python.cause();
            self.restart(cause)?;
        }
        let first = match self.attempt(frames, results)? {
            Ok(computed) => return Ok(computed),
            Err(cause) => cause,
        };
        self.restart(first.clone())?;
        match self.attempt(frames, results)? {
            Ok(computed) => {
                self.warn(&format!(
                    "step {} was computed by the new Python",
                    self.steps
                ));
                Ok(computed)
            }
            Err(second) => Err(dies_again(&first, &second)),
        }
    }

    /// One try: the result, or how Python ended. Exceptions are not tried again.
    fn attempt(
        &mut self,
        frames: &[Frame],
        results: &mut [Results],
    ) -> Result<Result<Answer, String>, Failure> {
        let life = self.life.as_mut().expect(ALIVE);
        let (say, patience) = (self.say, self.patience);
        let beat = Beat {
            every: self.heartbeat,
            say: &|waited| say(&takes_long(waited, patience)),
        };
        let meanwhile = meanwhile(patience, self.signals, self.peer.as_ref(), beat);
        match life
            .hand_over
            .step(frames, results, self.everything, meanwhile)
        {
            Ok(answer) => Ok(Ok(answer)),
            Err(silence) => self.cause(silence).map(Err),
        }
    }

    /// How Python ended, if it did.
    fn cause(&self, silence: Silence) -> Result<String, Failure> {
        match silence {
            Silence::Abandoned => Err(Failure::Abandoned),
            Silence::Raised(raised) => Err(raised.into()),
            Silence::Gone(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                Err(Exception::new("TooLarge", error.to_string()).into())
            }
            Silence::Gone(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Ok(error.to_string())
            }
            Silence::Told => Err(Failure::Died("the worker was told to end".to_owned())),
            Silence::Gone(_) => Ok(self
                .life
                .as_ref()
                .map_or_else(|| "Python is gone".to_owned(), |life| life.python.cause())),
            Silence::Late(patience) => Ok(format!(
                "Python has not answered for {} s",
                patience.as_secs_f64()
            )),
        }
    }

    /// Starts a new Python in place of the one that ended for this cause. The old one is gone, with all it held on a
    /// device, before the new one loads the model; one that dies while it loads has a successor, too.
    fn restart(&mut self, mut cause: String) -> Result<(), Failure> {
        let mut life = loop {
            if self.restarts == 0 {
                return Err(Failure::Died(cause));
            }
            self.restarts -= 1;
            self.warn(&format!(
                "{cause}; starting it again ({} restarts left)",
                self.restarts
            ));
            drop(self.life.take());
            match (self.begin)() {
                Ok(life) => break life,
                Err(super::Error::Died { cause: again, .. }) => {
                    cause = format!("{again} while it loaded the model");
                }
                Err(error) => {
                    let why = format!("{cause}, and could not be started again: {error}");
                    return Err(Failure::Died(why));
                }
            }
        };
        if let Some(system) = self
            .system
            .as_ref()
            .filter(|system| life.system.as_ref() != Some(system))
        {
            // A Python that is gone again is found out by the step that follows.
            let _ = life.hand_over.tell(system);
        }
        if let Some(shared) = &self.shared {
            let _ = life.hand_over.share(&shared.memory, shared.atoms);
        }
        self.life = Some(life);
        Ok(())
    }
}

/// Why there always is a Python when a step begins.
const ALIVE: &str = "a Python that could not be started again ended the run";

fn dies_again(first: &str, second: &str) -> Failure {
    Failure::Died(if first == second {
        format!("{first}, twice at the same step")
    } else {
        format!("{first}, and then, at the same step, {second}")
    })
}

fn meanwhile<'a>(
    patience: Option<Duration>,
    signals: &'a Signals,
    peer: Option<&'a Rc<Peer>>,
    beat: Beat<'a>,
) -> Meanwhile<'a> {
    Meanwhile {
        patience,
        signals,
        server: peer.map(|peer| peer.end()),
        beat: Some(beat),
    }
}

/// What is said of a step that takes long: a model that hangs looks the same.
fn takes_long(waited: Duration, patience: Option<Duration>) -> String {
    let seconds = waited.as_secs_f64();
    let what = match patience {
        Some(patience) => format!(
            "Python is started again after {} s (`--step-timeout`)",
            patience.as_secs_f64()
        ),
        None => "it is waited for without end; with `--step-timeout SECONDS` a Python that hangs is started again".to_owned(),
    };
    format!("rootstock: still computing this step, for {seconds:.0} s now; {what}")
}

/// Says in the further results how long the launcher took, beside how long the calculator did.
fn with_time(more: &[u8], took: Duration) -> Vec<u8> {
    let Ok(mut more) = serde_json::from_slice::<serde_json::Value>(more) else {
        return more.to_owned();
    };
    more["timings"]["step"] = took.as_secs_f64().into();
    more.to_string().into_bytes()
}

/// The virial is minus stress times volume.
fn from_stress(stress: [f64; 9], volume: f64) -> [f64; 9] {
    stress.map(|stress| -stress * volume)
}

/// Without images of the atoms the virial is a sum over them, of position times force.
fn from_forces(positions: &Floats, forces: &Floats) -> [f64; 9] {
    let mut virial = [0.0; 9];
    for atom in 0..positions.len() / 3 {
        for (place, sum) in virial.iter_mut().enumerate() {
            *sum += positions.get(3 * atom + place / 3) * forces.get(3 * atom + place % 3);
        }
    }
    virial
}

/// Says so if two atoms all but coincide. Images are not looked at: this is about wrong units, not about small cells.
fn too_close(frame: &Frame) -> Option<String> {
    let atoms: Vec<[f64; 3]> = (0..frame.atoms().min(FEW))
        .map(|atom| std::array::from_fn(|axis| frame.positions.get(3 * atom + axis)))
        .collect();
    for (first, a) in atoms.iter().enumerate() {
        for (second, b) in atoms.iter().enumerate().skip(first + 1) {
            let squared: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
            if squared < TOO_CLOSE * TOO_CLOSE {
                let distance = squared.sqrt();
                return Some(format!(
                    "atoms {first} and {second} (counted from 0) are {distance:.3} Å apart: are the server's units and \
                     its order of atoms right?"
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_virial_pushes_outward_when_the_stress_is_negative() {
        let stress = [-1.0, -2.0, -3.0, -2.0, -4.0, -5.0, -3.0, -5.0, -6.0];
        let virial = from_stress(stress, 2.0);
        assert!(
            virial
                .into_iter()
                .eq([2.0, 4.0, 6.0, 4.0, 8.0, 10.0, 6.0, 10.0, 12.0])
        );
    }

    #[test]
    fn atoms_that_push_each_other_apart_have_a_positive_virial() {
        let positions = [0.0, 0.0, 0.0, 2.0, 0.0, 0.0].into_iter().collect();
        let forces = [-3.0, 0.0, 0.0, 3.0, 0.0, 0.0].into_iter().collect();
        let virial = from_forces(&positions, &forces);
        assert!(
            virial
                .into_iter()
                .eq([6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        );
    }

    #[test]
    fn atoms_that_all_but_coincide_are_noticed() {
        let frame = |x: f64| Frame {
            positions: [5.0, 0.0, 0.0, 0.0, 0.0, 0.0, x, 0.0, 0.0]
                .into_iter()
                .collect(),
            ..Frame::default()
        };
        assert_eq!(too_close(&frame(0.6)), None);
        let warning = too_close(&frame(0.4)).unwrap();
        assert!(
            warning.starts_with("atoms 1 and 2 (counted from 0) are 0.400 Å apart"),
            "{warning}"
        );
    }
}
