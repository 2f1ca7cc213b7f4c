//! Measures the messages of a step over a socket pair: the client here, a worker's session at the other end, no model and no
//! environment.

use std::os::unix::net::UnixStream;

use super::latency::median;
use super::server::Server;
use super::structure::Structure;
use crate::process::threads;
use crate::worker::measure;

/// The median of this many steps, in microseconds.
pub fn measure(structure: &Structure, steps: u32) -> Result<f64, super::Error> {
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
