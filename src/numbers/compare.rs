//! Numbers against recorded ones.

use serde::Serialize;

use super::tolerance::Allowed;
use super::{Conditions, Entry};

/// One quantity of a structure: how far it is from the recorded one, and how far it may be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Difference {
    /// `energy`, `forces`, `stress`.
    pub quantity: &'static str,
    /// The largest difference of a component; `None` if there is no number on one side.
    pub measured: Option<f64>,
    /// The allowed one.
    pub allowed: f64,
    /// The unit of both.
    pub unit: &'static str,
    /// Whether it is allowed.
    pub ok: bool,
}

impl Difference {
    fn new(
        quantity: &'static str,
        measured: Option<f64>,
        allowed: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            quantity,
            // What is no number is no difference either.
            measured: measured.filter(|measured| measured.is_finite()),
            allowed,
            unit,
            ok: measured.is_some_and(|measured| measured <= allowed),
        }
    }

    /// How large it is beside what is allowed.
    pub(crate) fn ratio(&self) -> f64 {
        self.measured
            .map_or(f64::INFINITY, |measured| measured / self.allowed)
    }
}

/// A structure compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Compared {
    /// What a person calls it.
    pub name: String,
    /// Its quantities.
    pub quantities: Vec<Difference>,
}

/// Compares what was computed of a structure with what was recorded of it.
pub(crate) fn compare(recorded: &Entry, now: &Entry, allowed: &Allowed) -> Compared {
    #[expect(clippy::cast_precision_loss, reason = "there are few atoms")]
    let atoms = recorded.numbers.len() as f64;
    let energy = (recorded.energy - now.energy).abs() / atoms;
    let forces = largest(&recorded.forces, &now.forces);
    let mut quantities = vec![
        Difference::new("energy", Some(energy), allowed.energy(recorded), "eV/atom"),
        Difference::new("forces", forces, allowed.forces, "eV/Å"),
    ];
    if recorded.stress.is_some() || now.stress.is_some() {
        let stress = recorded.stress.zip(now.stress);
        let stress = stress.and_then(|(was, now)| largest(&was, &now));
        quantities.push(Difference::new("stress", stress, allowed.stress, "eV/Å³"));
    }
    Compared {
        name: recorded.name.clone(),
        quantities,
    }
}

/// The largest difference; one that is no number is larger than all.
fn largest(was: &[f64], now: &[f64]) -> Option<f64> {
    let pairs = was.iter().zip(now);
    let differences = pairs.map(|(was, now)| (was - now).abs());
    let largest = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
    (was.len() == now.len()).then(|| differences.fold(0.0, largest))
}

/// A condition that is not the one of the recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Differs {
    /// The condition's name.
    pub condition: String,
    /// When the numbers were recorded.
    pub recorded: Option<String>,
    /// Now.
    pub now: Option<String>,
}

/// The conditions in the order in which they explain most; others follow by name.
const ORDER: [&str; 14] = [
    "device",
    "accelerator",
    "dtype",
    "tf32",
    "machine",
    "instructions",
    "blas",
    "threads",
    "torch",
    "cuda",
    "jax",
    "tensorflow",
    "numpy",
    "python",
];

/// Every condition that is another one.
pub(crate) fn differing(recorded: &Conditions, now: &Conditions) -> Vec<Differs> {
    let rank = |name: &str| {
        ORDER
            .iter()
            .position(|known| *known == name)
            .unwrap_or(ORDER.len())
    };
    let mut names: Vec<&String> = recorded.keys().chain(now.keys()).collect();
    names.sort_by(|a, b| (rank(a), a).cmp(&(rank(b), b)));
    names.dedup();
    let differs = names
        .into_iter()
        .filter(|name| recorded.get(*name) != now.get(*name));
    let differs = differs.map(|name| Differs {
        condition: name.clone(),
        recorded: recorded.get(name).cloned(),
        now: now.get(name).cloned(),
    });
    differs.collect()
}
