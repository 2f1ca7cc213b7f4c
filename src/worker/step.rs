//! What passes in one force call, whoever asks and whoever computes: a frame in, results or a failure out, and the
//! system they are about. Units are ASE's: ångström and electronvolt.

use serde::{Deserialize, Serialize};

use super::floats::Floats;

/// What a server's messages never say, or say rarely: which atoms there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// Atomic numbers.
    pub numbers: Vec<u8>,
    /// Which cell vectors are periodic.
    pub pbc: [bool; 3],
    /// `Atoms.info`: charge, spin and whatever else a model reads from there.
    #[serde(default)]
    pub info: serde_json::Map<String, serde_json::Value>,
    /// `Atoms.arrays` as plain JSON, but for numbers and positions: initial charges, magnetic moments, tags, masses.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub arrays: serde_json::Map<String, serde_json::Value>,
    /// `info` and arrays where plain JSON would not be all of them, in the form of `python/rootstock/encoding.py`, which only
    /// Python reads.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inputs: String,
    /// Whether everything a calculator has is wanted: the stress of a box that is not periodic, and further results.
    #[serde(default, skip_deserializing)]
    pub everything: bool,
    /// Whether to say where the time of each step goes.
    #[serde(default)]
    pub timings: bool,
}

/// Where the atoms are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    /// Cell vectors as rows.
    pub cell: [f64; 9],
    /// x, y, z of every atom.
    pub positions: Floats,
}

impl Frame {
    /// The cell's volume; 0 if a cell vector is missing.
    pub fn volume(&self) -> f64 {
        let [ax, ay, az, bx, by, bz, cx, cy, cz] = self.cell;
        (ax * (by * cz - bz * cy) - ay * (bx * cz - bz * cx) + az * (bx * cy - by * cx)).abs()
    }

    /// Whether a cell vector is missing, as of a slab that ASE knows no height of: then there is no volume.
    pub fn has_missing_vector(&self) -> bool {
        self.cell.chunks(3).any(|vector| vector == [0.0; 3])
    }

    /// How many atoms there are.
    pub fn atoms(&self) -> usize {
        self.positions.len() / 3
    }
}

/// What was computed for a frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// Potential energy.
    pub energy: f64,
    /// x, y, z for every atom.
    pub forces: Floats,
    /// Minus the derivative of the energy by strain; `None` if the model has no stress where there should be one.
    pub virial: Option<[f64; 9]>,
    /// The stress as the model gave it, by rows; `None` if it gave none.
    pub stress: Option<[f64; 9]>,
    /// What else the model has computed, as the text of a JSON object; empty if that is nothing.
    pub more: Vec<u8>,
}

/// Why there are no results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The computation went wrong, and the calculator is still there.
    Raised(Raised),
    /// The calculator itself is gone; how it ended, in one line.
    Died(String),
    /// Nobody waits for results any more.
    Abandoned,
}

/// A computation that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raised {
    /// What went wrong, in one line.
    pub error: String,
    /// The exception's class.
    pub kind: String,
    /// Where; empty if that says nothing more.
    pub traceback: String,
}

impl Raised {
    /// Something that we found wrong ourselves.
    pub fn new(kind: &str, error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            kind: kind.to_owned(),
            traceback: String::new(),
        }
    }

    /// All that is known of it.
    pub fn reason(&self) -> &str {
        if self.traceback.is_empty() {
            &self.error
        } else {
            self.traceback.trim_end()
        }
    }
}

impl From<Raised> for Failure {
    fn from(raised: Raised) -> Self {
        Failure::Raised(raised)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Raised(raised) => write!(out, "the calculation failed: {}", raised.error),
            Failure::Died(cause) => out.write_str(cause),
            Failure::Abandoned => out.write_str("nobody waits for the results any more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volume_is_that_of_the_cell_whatever_its_handedness() {
        let volume = |cell: [f64; 9]| {
            Frame {
                cell,
                ..Frame::default()
            }
            .volume()
        };
        for (cell, expected) in [
            ([2.0, 0.0, 0.0, 1.0, 3.0, 0.0, 0.5, 0.5, 4.0], 24.0),
            ([1.0, 3.0, 0.0, 2.0, 0.0, 0.0, 0.5, 0.5, 4.0], 24.0),
            ([2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0], 0.0),
        ] {
            assert!((volume(cell) - expected).abs() < 1e-12, "{cell:?}");
        }
    }
}
