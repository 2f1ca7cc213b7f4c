//! Measures where the time of a step goes: medians over steps that each compute something new.

use std::io::{Read, Write};

use serde::Serialize;

use super::server::{Answer, AskError, Server};
use super::structure::Structure;

/// Steps before the first that is measured: the first allocates, compiles and fills caches.
const WARM_UP: u32 = 3;

/// Medians over the steps, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    /// How many steps were measured.
    pub steps: u32,
    /// From request to answer, as the server sees it.
    pub round_trip: f64,
    /// The part outside the launcher: both sockets, and the server's reading.
    pub socket: f64,
    /// Between launcher and calculator: turn, shared file, and the copies and checks at both of its ends.
    pub hand_over: f64,
    /// In the calculator's own `calculate()`.
    pub compute: f64,
    /// Socket and hand-over, in per cent of the computation.
    pub overhead: f64,
}

/// Measures this many steps; `None` if the worker does not report its times.
pub(crate) fn measure<S: Read + Write>(
    server: &mut Server<S>,
    structure: &Structure,
    steps: u32,
) -> Result<Option<Latency>, AskError> {
    let mut answers = Vec::new();
    for step in 0..steps + WARM_UP {
        // Never the same frame twice: calculators cache results.
        let answer = server.ask(&structure.moved(u64::from(step) + 2, 0.001))?;
        if step >= WARM_UP {
            answers.push(answer);
        }
    }
    let timed: Option<Vec<[f64; 4]>> = answers.iter().map(parts).collect();
    Ok(timed.map(|timed| {
        let of = |part: usize| median(timed.iter().map(|parts| 1e6 * parts[part]).collect());
        let [round_trip, socket, hand_over, compute] = [of(0), of(1), of(2), of(3)];
        Latency {
            steps,
            round_trip,
            socket,
            hand_over,
            compute,
            overhead: 100.0 * (socket + hand_over) / compute,
        }
    }))
}

/// Round trip, socket, hand-over and computation, in seconds.
fn parts(answer: &Answer) -> Option<[f64; 4]> {
    let timings = answer.timings?;
    let took = answer.took.as_secs_f64();
    Some([
        took,
        took - timings.step,
        timings.step - timings.compute,
        timings.compute,
    ])
}

/// The median; of an even number the larger of the middle two.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
