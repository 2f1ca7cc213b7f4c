//! Where the time of a step goes: medians over steps that each compute something new. Decides nothing.

use std::io::{Read, Write};

use serde::Serialize;

use super::server::{self, Answer, Server};
use super::structure::Structure;

/// Steps before the first that counts: a first step allocates, compiles, fills caches.
const WARM_UP: u32 = 3;

/// Medians over the steps, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// How many steps were measured.
    pub steps: u32,
    /// From the question to the answer, as the server sees it.
    pub round_trip: f64,
    /// Of that, what passes outside the launcher: both sockets, and the server's reading.
    pub socket: f64,
    /// Between launcher and calculator: turn, shared file, and the copies and checks at both of its ends.
    pub hand_over: f64,
    /// In the calculator's own `calculate()`.
    pub compute: f64,
    /// Socket and hand-over, in per cent of the computation.
    pub overhead: f64,
}

/// Measures so many steps; nothing if the worker does not say where its time goes.
pub fn measure<S: Read + Write>(
    server: &mut Server<S>,
    structure: &Structure,
    steps: u32,
) -> Result<Option<Latency>, server::Error> {
    let mut answers = Vec::new();
    for step in 0..steps + WARM_UP {
        // Never the same frame twice: a calculator that remembers its results would give them for nothing.
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

/// The whole, socket, hand-over, computation, in seconds.
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

/// The middle one; of two the larger.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
