//! Recorded numbers: energies, forces and stresses that a model has computed once, for others to compare theirs with. The
//! values, the file they are in, how far others may be from them. Computes and reads nothing.
//!
//! The file is extended XYZ, as ASE reads and plots it ([`file`]); what else belongs to it is the [`Record`], in the lock
//! and in the root's catalogue.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::about::Dtype;
use crate::digest::Digest;

pub(crate) mod compare;
pub(crate) mod file;
pub(crate) mod tolerance;

/// Under which conditions numbers were computed: `device`, `threads`, `numpy` and so on.
pub type Conditions = BTreeMap<String, String>;

/// To what a file of numbers belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The file, relative to the manifest, with `/`.
    pub path: String,
    /// The digest of its bytes.
    pub sha256: Digest,
    /// The machine type it was recorded on.
    pub target: String,
    /// The digest of the lock's answer for that.
    pub answer: Digest,
    /// The generation that computed.
    pub generation: String,
    /// What the model was, see [`identity`].
    pub model: Digest,
    /// The weights that were in the cache, those that the model has fetched itself too, see [`digest_of_weights`].
    pub weights: Digest,
    /// The precision.
    pub dtype: Dtype,
    /// The rest.
    pub conditions: Conditions,
}

impl Record {
    /// What is written beside it in the lock: ties everything together.
    pub fn digest(&self) -> Digest {
        let Self {
            path,
            sha256,
            target,
            answer,
            generation,
            model,
            weights,
            dtype,
            conditions,
        } = self;
        let mut text = format!(
            "rootstock numbers 1\n{sha256} {path}\n{target} {answer} {generation}\n{model} {weights} {}\n",
            dtype.as_str()
        );
        for (name, value) in conditions {
            let _ = writeln!(text, "{name} {value}");
        }
        Digest::of(text)
    }
}

/// The digest of all that decides what a model computes beside its environment: arguments, and weights that are locked, by
/// path and sha256.
pub fn identity<'w>(
    argument: &str,
    setup: &serde_json::Map<String, serde_json::Value>,
    weights: impl Iterator<Item = (&'w str, &'w Digest)>,
) -> Digest {
    let setup = serde_json::Value::Object(setup.clone());
    let argument = serde_json::Value::from(argument);
    let weights = digest_of_weights(weights);
    Digest::of(format!(
        "rootstock model 1\n{argument}\n{setup}\n{weights}\n"
    ))
}

/// The digest of weight files, by path and sha256.
pub fn digest_of_weights<'w>(weights: impl Iterator<Item = (&'w str, &'w Digest)>) -> Digest {
    let mut lines: Vec<String> = weights
        .map(|(path, sha256)| format!("{sha256} {path}\n"))
        .collect();
    lines.sort();
    Digest::of(lines.concat())
}

/// A structure with what a model computes of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// What a person calls it.
    pub name: String,
    /// Atomic numbers.
    pub numbers: Vec<u8>,
    /// x, y, z of every atom, in ångström.
    pub positions: Vec<f64>,
    /// Cell vectors as rows, in ångström.
    pub cell: [f64; 9],
    /// Which of them are periodic.
    pub pbc: [bool; 3],
    /// Charge and spin.
    pub info: serde_json::Map<String, serde_json::Value>,
    /// In eV.
    pub energy: f64,
    /// x, y, z of every atom, in eV/Å.
    pub forces: Vec<f64>,
    /// By rows, in eV/Å³, if the model has one.
    pub stress: Option<[f64; 9]>,
}

impl Entry {
    /// The largest component of a force.
    pub(crate) fn largest_force(&self) -> f64 {
        self.forces
            .iter()
            .map(|force| force.abs())
            .fold(0.0, f64::max)
    }
}

/// The precision that numbers show by themselves: all forces of single precision are numbers of that. `None` where there
/// are too few to tell.
pub(crate) fn dtype_of(entries: &[Entry]) -> Option<Dtype> {
    let forces = entries.iter().flat_map(|entry| &entry.forces);
    let forces: Vec<f64> = forces.copied().filter(|force| *force != 0.0).collect();
    #[expect(clippy::cast_possible_truncation, reason = "that is the question")]
    let is_single = |force: &f64| f64::from(*force as f32).to_bits() == force.to_bits();
    if !forces.iter().all(is_single) {
        return Some(Dtype::Float64);
    }
    (forces.len() >= 3).then_some(Dtype::Float32)
}
