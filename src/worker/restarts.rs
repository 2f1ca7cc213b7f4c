//! Restarting a Python that was killed, crashed or hangs, and repeating its step: once, because a second death at the same
//! step is the step's fault.

use ipi_client::{Calculator as _, Exception, Failure, Frame, Results};

use super::answer::StepError;
use super::handover::Computed;
use super::model::{ALIVE, Model};

/// Frames computed, and further results.
type Answer = (Vec<Computed>, Vec<u8>);

impl Model<'_> {
    /// Computes frames; a Python that dies of them is replaced once.
    pub(super) fn compute(
        &mut self,
        frames: &[Frame],
        results: &mut [Results],
    ) -> Result<Answer, Failure> {
        let python = self.python.as_ref().expect(ALIVE);
        if python.hand_over.is_closed() {
            // It ended between two steps, which is not this step's fault.
            let cause = python.child.cause();
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
            Err(second) => Err(died_twice(&first, &second)),
        }
    }

    /// One attempt: the results, or how Python ended. Exceptions are final.
    fn attempt(
        &mut self,
        frames: &[Frame],
        results: &mut [Results],
    ) -> Result<Result<Answer, String>, Failure> {
        let waiting = self.waiting.until_gone(self.peer.as_deref());
        let python = self.python.as_mut().expect(ALIVE);
        match python
            .hand_over
            .step(frames, results, self.everything, waiting)
        {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) => self.cause(error).map(Err),
        }
    }

    /// How Python ended, if it did; anything else is a failure.
    pub(super) fn cause(&mut self, error: StepError) -> Result<String, Failure> {
        match error {
            StepError::Abandoned => {
                self.is_abandoned = true;
                Err(Failure::Abandoned)
            }
            StepError::Raised(exception) => Err(exception.into()),
            StepError::Gone(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                Err(Exception::new("TooLarge", error.to_string()).into())
            }
            StepError::Gone(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Ok(error.to_string())
            }
            StepError::Stopped => Err(Failure::Died("the worker was stopped".to_owned())),
            StepError::Gone(_) => Ok(self.python.as_ref().map_or_else(
                || "Python has ended".to_owned(),
                |python| python.child.cause(),
            )),
            StepError::TimedOut(timeout) => Ok(format!(
                "Python has not answered for {} s",
                timeout.as_secs_f64()
            )),
        }
    }

    /// Replaces a Python that died at a step in shared memory, where the new one finds the step; but not if the one before
    /// died at the same step.
    pub(super) fn replace_python(&mut self, cause: String) -> Result<(), Failure> {
        let shared = self.shared.as_mut().expect("only shared steps are watched");
        if let Some(first) = shared.died_before(&cause) {
            return Err(died_twice(&first, &cause));
        }
        self.restart(cause)
    }

    /// Starts a new Python after the old one ended for this cause. The old one is gone, with its memory on a device, before
    /// the new one loads the model. One that dies while loading is replaced as well.
    pub(super) fn restart(&mut self, mut cause: String) -> Result<(), Failure> {
        let mut python = loop {
            if self.restarts == 0 {
                return Err(Failure::Died(cause));
            }
            self.restarts -= 1;
            self.warn(&format!(
                "{cause}; starting it again ({} restarts left)",
                self.restarts
            ));
            drop(self.python.take());
            self.is_abandoned = false;
            match (self.start)() {
                Ok(python) => break python,
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
            .filter(|system| python.system.as_ref() != Some(system))
        {
            // The next step finds out if Python has ended again.
            let _ = python.hand_over.send_system(system);
        }
        if let Some(shared) = &self.shared {
            let _ = python.hand_over.send_memory(&shared.memory, shared.atoms);
        }
        self.python = Some(python);
        Ok(())
    }
}

fn died_twice(first: &str, second: &str) -> Failure {
    Failure::Died(if first == second {
        format!("{first}, twice at the same step")
    } else {
        format!("{first}, and then, at the same step, {second}")
    })
}
