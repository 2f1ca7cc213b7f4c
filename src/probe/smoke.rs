//! Whether a model's numbers make sense: finite, forces that sum to nothing, forces and stress that are the slopes of the
//! energy. Says nothing about accuracy: it is a smoke test, with tolerances that float32 models meet.

use std::io::{Read, Write};

use serde::Serialize;

use super::server::{self, Answer, Server};
use super::structure::Structure;

/// Step of the differences of positions, in ångström.
const STEP: f64 = 0.01;
/// Step of the differences of strain.
const STRAIN: f64 = 1e-3;
/// What energies in single precision are good for, as a part of themselves.
const SINGLE: f64 = 2e-7;

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// The numbers.
    pub found: String,
}

/// What a model says of a structure.
#[derive(Debug, Clone)]
pub struct Smoke {
    /// The answer.
    pub answer: Answer,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// Has the structure computed, and some like it.
pub fn test<S: Read + Write>(
    server: &mut Server<S>,
    structure: &Structure,
) -> Result<Smoke, server::Error> {
    let answer = server.ask(structure)?;
    let mut checks = vec![finite(&answer), balance(&answer)];
    checks.push(forces(server, structure, &answer)?);
    if answer.stress.iter().all(|number| number.is_finite()) {
        checks.push(stress(server, structure, &answer)?);
    }
    Ok(Smoke { answer, checks })
}

fn finite(answer: &Answer) -> Check {
    let ok = answer.energy.is_finite() && answer.forces.iter().all(f64::is_finite);
    let stress = if answer.stress.iter().all(|number| number.is_finite()) {
        "stress, too"
    } else {
        "no stress"
    };
    Check {
        name: "finite",
        ok,
        found: format!("energy and {} forces; {stress}", answer.forces.len() / 3),
    }
}

/// Nothing pulls the whole away.
fn balance(answer: &Answer) -> Check {
    let mut sum = [0.0; 3];
    for (place, force) in answer.forces.iter().enumerate() {
        sum[place % 3] += force;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "there are fewer than 2^52 atoms"
    )]
    let atoms = (answer.forces.len() / 3) as f64;
    let worst = sum.into_iter().map(f64::abs).fold(0.0, f64::max) / atoms;
    Check {
        name: "forces sum to zero",
        ok: worst < 1e-3,
        found: format!("{worst:.1e} eV/Å for each atom"),
    }
}

/// The largest component of a force against the slope of the energy.
fn forces<S: Read + Write>(
    server: &mut Server<S>,
    structure: &Structure,
    answer: &Answer,
) -> Result<Check, server::Error> {
    let largest = |a: &(usize, f64), b: &(usize, f64)| a.1.abs().total_cmp(&b.1.abs());
    let forces = answer.forces.iter().enumerate();
    let (coordinate, force) = forces.max_by(largest).unwrap_or_default();
    let ahead = server.ask(&structure.shifted(coordinate, STEP))?.energy;
    let behind = server.ask(&structure.shifted(coordinate, -STEP))?.energy;
    let slope = (behind - ahead) / (2.0 * STEP);
    let tolerance = 0.02 + 0.02 * force.abs() + SINGLE * answer.energy.abs() / STEP;
    Ok(Check {
        name: "force is the slope of the energy",
        ok: (slope - force).abs() <= tolerance,
        found: format!("{force:.4} and {slope:.4} eV/Å on atom {}", coordinate / 3),
    })
}

/// The pressure against the slope of the energy by size: other units, other signs.
fn stress<S: Read + Write>(
    server: &mut Server<S>,
    structure: &Structure,
    answer: &Answer,
) -> Result<Check, server::Error> {
    let larger = server.ask(&structure.strained(STRAIN))?.energy;
    let smaller = server.ask(&structure.strained(-STRAIN))?.energy;
    let slope = (larger - smaller) / (2.0 * STRAIN);
    let [ax, ay, az, bx, by, bz, cx, cy, cz] = structure.cell;
    let volume =
        (ax * (by * cz - bz * cy) - ay * (bx * cz - bz * cx) + az * (bx * cy - by * cx)).abs();
    let work = volume * (answer.stress[0] + answer.stress[4] + answer.stress[8]);
    let tolerance = 0.05 + 0.02 * work.abs() + SINGLE * answer.energy.abs() / STRAIN;
    Ok(Check {
        name: "stress is the slope of the energy",
        ok: (slope - work).abs() <= tolerance,
        found: format!("{work:.4} and {slope:.4} eV by strain, all around"),
    })
}
