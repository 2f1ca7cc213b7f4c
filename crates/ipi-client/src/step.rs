//! The data of one step: a frame goes in, results come out, and the system has the atoms they belong to. Units are
//! ASE's: ångström and electronvolt.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::floats::Floats;

/// Which atoms there are: what most servers never send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// Atomic numbers: 0 (ASE's `X`) to 118.
    #[serde(deserialize_with = "atomic_numbers")]
    pub numbers: Vec<u8>,
    /// Which cell vectors are periodic.
    pub pbc: [bool; 3],
    /// `Atoms.info`: charge, spin and anything else that a model reads from there.
    #[serde(default)]
    pub info: serde_json::Map<String, serde_json::Value>,
    /// `Atoms.arrays` as plain JSON, without numbers and positions: initial charges, magnetic moments, tags, masses.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub arrays: serde_json::Map<String, serde_json::Value>,
    /// `info` and arrays that plain JSON cannot express, as rootstock's Python package encodes them. Opaque here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inputs: String,
    /// Whether all results are wanted, also the stress of a cell that is not periodic. Set by the dialect.
    #[serde(default, skip_deserializing)]
    pub everything: bool,
    /// Whether the extras should break down the time of each step.
    #[serde(default)]
    pub timings: bool,
}

/// The largest atomic number: oganesson. ASE has no symbol and no mass for others.
const LARGEST_NUMBER: u8 = 118;

fn atomic_numbers<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<u8>, D::Error> {
    let numbers = Vec::<AtomicNumber>::deserialize(reader)?;
    Ok(numbers.into_iter().map(|number| number.0).collect())
}

struct AtomicNumber(u8);

impl<'de> Deserialize<'de> for AtomicNumber {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_u8(AtomicNumberVisitor).map(Self)
    }
}

struct AtomicNumberVisitor;

impl Visitor<'_> for AtomicNumberVisitor {
    type Value = u8;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an atomic number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u8, E> {
        let small = u8::try_from(number).ok();
        small
            .filter(|small| *small <= LARGEST_NUMBER)
            .ok_or_else(|| no_atomic_number(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u8, E> {
        Err(no_atomic_number(number))
    }
}

fn no_atomic_number<E: Error>(number: impl fmt::Display) -> E {
    E::custom(format_args!(
        "{number} is not an atomic number, which is 0 (ASE's `X`) to {LARGEST_NUMBER}"
    ))
}

/// The cell and the positions of one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    /// Cell vectors as rows, in Å.
    pub cell: [f64; 9],
    /// x, y, z of every atom, in Å.
    pub positions: Floats,
}

impl Frame {
    /// The cell's volume in Å³; 0 if a cell vector is zero.
    pub fn volume(&self) -> f64 {
        let [ax, ay, az, bx, by, bz, cx, cy, cz] = self.cell;
        (ax * (by * cz - bz * cy) - ay * (bx * cz - bz * cx) + az * (bx * cy - by * cx)).abs()
    }

    /// Whether a cell vector is zero, as of a slab without vacuum in ASE: then there is no volume.
    pub fn has_missing_vector(&self) -> bool {
        self.cell.chunks(3).any(|vector| vector == [0.0; 3])
    }

    /// Names the first number that is NaN or infinite.
    pub(crate) fn not_finite(&self) -> Option<String> {
        if self.cell.iter().any(|number| !number.is_finite()) {
            return Some("a cell that is not finite".to_owned());
        }
        let atom = self.positions.first_not_finite()? / 3;
        Some(format!(
            "positions that are not finite, first that of atom {atom} (counted from 0)"
        ))
    }

    /// How many atoms there are.
    pub fn atoms(&self) -> usize {
        self.positions.len() / 3
    }
}

/// The results of one frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// Potential energy, in eV.
    pub energy: f64,
    /// x, y, z for every atom, in eV/Å.
    pub forces: Floats,
    /// Minus the derivative of the energy with respect to strain, in eV, by rows; `None` if the model computes no stress.
    pub virial: Option<[f64; 9]>,
    /// The stress in eV/Å³, by rows; `None` if there is none. Only rootstock's clients read it.
    pub stress: Option<[f64; 9]>,
    /// Further results as a JSON object, sent as i-PI's "extras"; may be empty.
    pub extras: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volume_does_not_depend_on_handedness() {
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
