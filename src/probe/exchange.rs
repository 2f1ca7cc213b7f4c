//! Measures the messages of a step over a socket pair: the client here, a worker's session at the other end, no model and no
//! environment. And the turn to a Python that computes nothing.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use ipi_client::Frame;

use super::latency::median;
use super::report::ExchangeReport;
use super::server::Server;
use super::structure::Structure;
use crate::process::threads;
use crate::runtime::Variables;
use crate::worker::measure;

/// Measures this many steps, at least one; the turn to a Python where there is one to start, with these variables.
pub(crate) fn measure(
    structure: &Structure,
    steps: u32,
    python: Option<PathBuf>,
    variables: &Variables,
) -> Result<ExchangeReport, super::Error> {
    let steps = steps.max(1);
    let exchange = exchange(structure, steps)?;
    let hand_over = python.as_ref().map(|python| {
        let frame = Frame {
            cell: structure.cell,
            positions: structure.positions.iter().copied().collect(),
        };
        let took = measure::hand_over(python, variables, &frame, steps);
        let took = took.map_err(|error| super::Error::Measure(python.clone(), error))?;
        let took = took.iter().map(|took| 1e6 * took.as_secs_f64());
        Ok::<_, super::Error>(median(took.collect()))
    });
    Ok(ExchangeReport {
        atoms: structure.atoms(),
        steps,
        exchange,
        hand_over: hand_over.transpose()?,
        python,
    })
}

/// The median of the messages of a step, in microseconds.
fn exchange(structure: &Structure, steps: u32) -> Result<f64, super::Error> {
    let (ours, theirs) = UnixStream::pair().map_err(super::Error::Socket)?;
    std::thread::scope(|scope| {
        threads::spawn(scope, move || measure::serve(theirs.into()))?;
        let mut server = Server::new(ours);
        let steps = (0..steps).map(|_| {
            let answer = server.ask(structure)?;
            Ok(1e6 * answer.took.as_secs_f64())
        });
        steps.collect::<Result<_, super::Error>>().map(median)
    })
}
