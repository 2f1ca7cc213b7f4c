//! What the hand-over costs by itself: the turn to a Python that computes nothing and back, with frame and results copied
//! through the shared file as in a worker. Needs no environment: any Python will do, without numpy. Prints nothing.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::handover::{HandOver, Meanwhile};
use super::python::FIRST_LINE;
use super::signals::Signals;
use crate::process::Command;
use crate::runtime::Variables;
use ipi_client::{Frame, Results};

/// Answers every step as the shim does, with what lies in the file.
const ECHO: &str = include_str!("echo.py");

/// How long each of so many turns took.
pub fn hand_over(
    python: &Path,
    variables: &Variables,
    frame: &Frame,
    steps: u32,
) -> io::Result<Vec<Duration>> {
    let (mut hand_over, stdin) = HandOver::new()?;
    let signals = Signals::listen()?;
    let mut child = Command::new(python)
        .arguments(["-I", "-S", "-B", "-c", FIRST_LINE])
        .argument(ECHO.len().to_string())
        .variables(variables)
        .spawn(stdin)
        .map_err(|error| error.source)?;
    let mut results = [Results::default()];
    let meanwhile = Meanwhile {
        patience: None,
        signals: &signals,
        server: None,
        beat: None,
    };
    let mut measure = || -> io::Result<Vec<Duration>> {
        hand_over.begin(ECHO, &())?;
        let mut took = Vec::new();
        for _ in 0..steps {
            let begin = Instant::now();
            hand_over
                .step(std::slice::from_ref(frame), &mut results, false, meanwhile)
                .map_err(|_| io::Error::other("this Python did not answer"))?;
            took.push(begin.elapsed());
        }
        Ok(took)
    };
    let took = measure();
    // The closed socket is an order to end.
    drop(hand_over);
    child.wait()?;
    took
}
