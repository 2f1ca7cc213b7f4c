//! Whether a model's numbers make sense: finite, forces that sum to nothing, forces and stress that are the slopes of the
//! energy. It is no test of accuracy: it is a smoke test, with tolerances that float32 models meet.

use std::io::{Read, Write};

use serde::Serialize;

use super::server::{Answer, AskError, Server};
use super::structure::Structure;

/// Step of the differences of positions, in ångström.
const STEP: f64 = 0.01;
/// Step of the differences of strain.
const STRAIN: f64 = 1e-3;
/// What energies in single precision are good for, as a part of themselves.
const SINGLE: f64 = 2e-7;

/// The absolute tolerances: of a force in eV/Å, and of the derivative of the energy by strain in eV.
const FORCE_TOLERANCE: f64 = 0.02;
const WORK_TOLERANCE: f64 = 0.05;
/// The relative tolerance of both.
const RELATIVE: f64 = 0.02;
/// What is compared must be this many times its absolute tolerance: then a factor of 0.8, or a sign, is seen.
const JUDGEABLE: f64 = 10.0;
/// How far atoms are displaced, in ångström, until there is a force large enough to judge.
const DISPLACEMENTS: [f64; 5] = [0.0, 0.05, 0.1, 0.2, 0.4];
/// How far the cell is strained until there is a stress large enough to judge.
const STRAINS: [f64; 5] = [0.0, -0.01, -0.02, -0.04, -0.06];

const FORCE: &str = "force is the slope of the energy";
const STRESS: &str = "stress is the slope of the energy";

/// The result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The numbers are as they should be.
    Ok,
    /// They are not.
    Failed,
    /// They are too small to judge.
    NotJudged,
}

impl Serialize for Verdict {
    /// `true`, `false`, or `null` where it could not be judged.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Verdict::Ok => serializer.serialize_bool(true),
            Verdict::Failed => serializer.serialize_bool(false),
            Verdict::NotJudged => serializer.serialize_none(),
        }
    }
}

impl From<bool> for Verdict {
    fn from(ok: bool) -> Self {
        if ok { Verdict::Ok } else { Verdict::Failed }
    }
}

/// One property of a model's numbers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Check {
    /// The property.
    pub name: &'static str,
    /// Whether the model has it.
    pub ok: Verdict,
    /// The numbers, and why they could not be judged.
    pub found: String,
}

/// A model's answer for a structure, and whether it makes sense.
#[derive(Debug, Clone)]
pub(crate) struct Smoke {
    /// The answer.
    pub answer: Answer,
    /// The checks.
    pub checks: Vec<Check>,
}

impl Smoke {
    /// Whether a check has this verdict.
    pub(crate) fn has(&self, verdict: Verdict) -> bool {
        self.checks.iter().any(|check| check.ok == verdict)
    }
}

/// Computes the structure and, if forces are the slope of the energy, some that are displaced or strained a little, and checks the numbers.
pub(crate) fn test<S: Read + Write>(
    server: &mut Server<S>,
    structure: &Structure,
    conservative: bool,
) -> Result<Smoke, AskError> {
    let answer = server.ask(structure)?;
    let mut checks = vec![finite(&answer)];
    if !conservative {
        return Ok(Smoke { answer, checks });
    }
    checks.push(balance(&answer));
    checks.push(forces(server, structure)?);
    if answer.stress.iter().all(|number| number.is_finite()) {
        checks.push(stress(server, structure)?);
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
        ok: ok.into(),
        found: format!("energy and {} forces; {stress}", answer.forces.len() / 3),
    }
}

/// There is no net force.
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
        ok: (worst < 1e-3).into(),
        found: format!("{worst:.1e} eV/Å for each atom"),
    }
}

/// The largest force along each axis against the slope of the energy. Where forces are small, as they are near a minimum,
/// atoms are displaced further until there are some that are large enough to judge.
fn forces<S: Read + Write>(
    server: &mut Server<S>,
    structure: &Structure,
) -> Result<Check, AskError> {
    let mut compared = Vec::new();
    for displacement in DISPLACEMENTS {
        compared = slopes(server, &structure.moved(1, displacement))?;
        if compared.iter().all(Slope::is_judgeable) {
            break;
        }
    }
    let judged: Vec<&Slope> = compared.iter().filter(|s| s.is_judgeable()).collect();
    // One that disagrees, else the largest.
    let shown = judged.iter().max_by(|a, b| {
        let order = (!a.agrees()).cmp(&!b.agrees());
        order.then(a.size().total_cmp(&b.size()))
    });
    let Some(shown) = shown else {
        let largest = compared.iter().map(Slope::size).fold(0.0, f64::max);
        return Ok(Check {
            name: FORCE,
            ok: Verdict::NotJudged,
            found: format!(
                "not judged: at most {largest:.4} eV/Å, with atoms displaced by up to {} Å",
                DISPLACEMENTS[DISPLACEMENTS.len() - 1]
            ),
        });
    };
    Ok(Check {
        name: FORCE,
        ok: judged.iter().all(|slope| slope.agrees()).into(),
        found: format!(
            "{:.4} and {:.4} eV/Å on atom {}",
            shown.given,
            shown.difference,
            shown.coordinate / 3
        ),
    })
}

/// The largest force along each axis, and the slope of the energy there.
fn slopes<S: Read + Write>(
    server: &mut Server<S>,
    structure: &Structure,
) -> Result<Vec<Slope>, AskError> {
    let answer = server.ask(structure)?;
    let largest = |a: &(usize, f64), b: &(usize, f64)| a.1.abs().total_cmp(&b.1.abs());
    let mut slopes = Vec::new();
    for axis in 0..3 {
        let along = answer.forces.iter().enumerate().skip(axis).step_by(3);
        let Some((coordinate, given)) = along.max_by(largest) else {
            continue;
        };
        let ahead = server.ask(&structure.shifted(coordinate, STEP))?.energy;
        let behind = server.ask(&structure.shifted(coordinate, -STEP))?.energy;
        slopes.push(Slope {
            coordinate,
            given,
            difference: (behind - ahead) / (2.0 * STEP),
            tolerance: FORCE_TOLERANCE + SINGLE * answer.energy.abs() / STEP,
        });
    }
    Ok(slopes)
}

/// A derivative as the model gives it, and by differences of its energies.
struct Slope {
    coordinate: usize,
    given: f64,
    difference: f64,
    tolerance: f64,
}

impl Slope {
    /// Either may be the wrong one.
    fn size(&self) -> f64 {
        self.given.abs().max(self.difference.abs())
    }

    /// Whether it is large enough; what is no number is.
    fn is_judgeable(&self) -> bool {
        !(self.given.is_finite() && self.difference.is_finite())
            || self.size() >= JUDGEABLE * self.tolerance
    }

    /// What is no number agrees with nothing.
    fn agrees(&self) -> bool {
        (self.difference - self.given).abs() <= self.tolerance + RELATIVE * self.size()
    }
}

/// The pressure against the slope of the energy by size: other units, other signs. Where it is small, the cell is compressed
/// until it is large enough to judge.
fn stress<S: Read + Write>(
    server: &mut Server<S>,
    structure: &Structure,
) -> Result<Check, AskError> {
    let mut largest: f64 = 0.0;
    for strain in STRAINS {
        let structure = &structure.strained(strain);
        let answer = server.ask(structure)?;
        let larger = server.ask(&structure.strained(STRAIN))?.energy;
        let smaller = server.ask(&structure.strained(-STRAIN))?.energy;
        let slope = Slope {
            coordinate: 0,
            given: structure.volume() * (answer.stress[0] + answer.stress[4] + answer.stress[8]),
            difference: (larger - smaller) / (2.0 * STRAIN),
            tolerance: WORK_TOLERANCE + SINGLE * answer.energy.abs() / STRAIN,
        };
        if slope.is_judgeable() {
            return Ok(Check {
                name: STRESS,
                ok: slope.agrees().into(),
                found: format!(
                    "{:.4} and {:.4} eV by strain, all around",
                    slope.given, slope.difference
                ),
            });
        }
        largest = largest.max(slope.size());
    }
    Ok(Check {
        name: STRESS,
        ok: Verdict::NotJudged,
        found: format!(
            "not judged: at most {largest:.4} eV by strain, with the cell strained by up to {}",
            STRAINS[STRAINS.len() - 1]
        ),
    })
}
