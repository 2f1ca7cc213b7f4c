//! Measures a step without a model, for `probe --ipc-only`: the i-PI session over a socket, and the hand-over to a Python.
//! Needs no environment; any Python will do, without `NumPy`. Computes nothing, prints nothing.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use ipi_client::{Calculator, Failure, Frame, Results, Session, System};

use super::answer::Waiting;
use super::connection::Connection;
use super::handover::HandOver;
use super::python::FIRST_LINE;
use super::signals::Signals;
use crate::process::Command;
use crate::runtime::Variables;

/// Answers every step as the shim does, with whatever the file holds.
const ECHO: &str = concat!(
    include_str!("../../python/rootstock/layout.py"),
    include_str!("shim/echo.py")
);

/// A calculator whose results are zero.
struct Zero {
    atoms: Option<usize>,
}

impl Calculator for Zero {
    fn atoms(&self) -> Option<usize> {
        self.atoms
    }

    fn set_system(&mut self, system: System) -> Result<(), Failure> {
        self.atoms = Some(system.numbers.len());
        Ok(())
    }

    fn calculate(&mut self, frames: &[Frame], results: &mut [Results]) -> Result<(), Failure> {
        for (frame, results) in frames.iter().zip(results) {
            results.forces.resize(frame.positions.len());
        }
        Ok(())
    }

    fn warn(&mut self, _: &str) {}
}

/// Answers a client on this socket as a worker does, until the client closes it.
pub(crate) fn serve(socket: OwnedFd) -> io::Result<()> {
    let signals = Signals::listen()?;
    let mut session = Session::new(Connection::new(socket, &signals));
    let end = session.serve(&mut Zero { atoms: None });
    end.map(drop).map_err(io::Error::other)
}

/// How long each of these steps took from the launcher to a Python and back.
pub(crate) fn hand_over(
    python: &Path,
    variables: &Variables,
    frame: &Frame,
    steps: u32,
) -> io::Result<Vec<Duration>> {
    let (mut hand_over, stdin) = HandOver::new()?;
    let signals = Signals::listen()?;
    let waiting = Waiting {
        timeout: None,
        heartbeat: None,
        signals: &signals,
        server: None,
    };
    let mut child = Command::new(python)
        .arguments(["-I", "-S", "-B", "-c", FIRST_LINE])
        .argument(ECHO.len().to_string())
        .variables(variables)
        .spawn(stdin)
        .map_err(|error| error.source)?;
    let mut results = [Results::default()];
    let sent = hand_over.send_order(ECHO, &());
    let steps = (0..steps).map(|_| {
        let begin = Instant::now();
        hand_over
            .step(std::slice::from_ref(frame), &mut results, false, waiting)
            .map_err(|_| io::Error::other("this Python did not answer"))?;
        Ok(begin.elapsed())
    });
    let took = sent.and_then(|()| steps.collect());
    // Closing the socket ends the program.
    drop(hand_over);
    child.wait()?;
    took
}
