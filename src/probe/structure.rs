//! What is computed: a structure of the user's own, read by the environment's ASE, or a built-in one. Judges nothing.

use std::path::Path;

use serde::Deserialize;

use crate::about;
use crate::numbers::Entry;
use crate::process::{self, Command, Exit};
use crate::runtime::Selected;
use crate::runtime::Variables;
use crate::store::inside;

/// Atoms in a place.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Structure {
    /// What a person calls it.
    #[serde(default)]
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
    #[serde(default)]
    pub info: serde_json::Map<String, serde_json::Value>,
}

/// A structure file could not be read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// Python could not be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// ASE does not know it.
    #[error("{0}")]
    #[diagnostic(help(
        "declare others in `probe`: an element, a molecule that ASE knows, or a compound with its crystal structure and \
         lattice constants"
    ))]
    Unknown(String),
    /// ASE did not understand it.
    #[error("the environment's ASE cannot read `{path}`: {reason}")]
    Unreadable {
        /// The path of the file, as text.
        path: String,
        /// The last line of the traceback.
        reason: String,
    },
}

/// How far atoms are out of place along each axis at most, in ångström.
const RATTLE: f64 = 0.08;

/// Crystals of at least four atoms, as cubes where that is possible; molecules.
const BUILD: &str = "
import sys, json
from ase.build import bulk, molecule
from ase.data import atomic_numbers
def crystal(name, **how):
    try:
        atoms = bulk(name, cubic=True, **how)
    except Exception:
        atoms = bulk(name, **how)
    while len(atoms) < 4:
        times = [1, 1, 1]
        times[atoms.cell.lengths().argmin()] = 2
        atoms = atoms.repeat(times)
    return atoms
def made(declared):
    name, *rest = declared.split()
    try:
        if rest:
            return crystal(name, crystalstructure=rest[0], **dict(zip(('a', 'c'), map(float, rest[1:]))))
        return crystal(name) if name in atomic_numbers else molecule(name)
    except Exception as error:
        raise SystemExit('ASE cannot make `%s`: %s' % (declared, str(error).splitlines()[0] if str(error) else type(error).__name__))
print('\\n' + json.dumps([{'name': declared, 'numbers': atoms.numbers.tolist(), 'positions': atoms.positions.ravel().tolist(),
    'cell': atoms.cell.array.ravel().tolist(), 'pbc': atoms.pbc.tolist()} for declared in sys.argv[1:] for atoms in [made(declared)]]))
";

const READ: &str = "
import sys, json, ase.io
atoms = ase.io.read(sys.argv[1])
info = {key: getattr(atoms.info[key], 'item', lambda: atoms.info[key])() for key in ('charge', 'spin') if key in atoms.info}
print('\\n' + json.dumps({'numbers': atoms.numbers.tolist(), 'positions': atoms.positions.ravel().tolist(),
    'cell': atoms.cell.array.ravel().tolist(), 'pbc': atoms.pbc.tolist(), 'info': info}))
";

impl Structure {
    /// The last structure of a file in any format that the environment's ASE reads.
    pub(crate) fn read(
        path: &Path,
        selected: &Selected,
        variables: &Variables,
    ) -> Result<Self, Error> {
        let output = Command::new(selected.generation.join(inside::PYTHON))
            .arguments(["-I", "-B", "-c", READ])
            .argument(path)
            .variables(variables)
            .run()?;
        let unreadable = |reason: &str| Error::Unreadable {
            path: path.display().to_string(),
            reason: reason.to_owned(),
        };
        if output.exit != Exit::Code(0) {
            return Err(unreadable(&process::tail(&output.stderr, 1)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.trim_end().lines().last().unwrap_or_default();
        let structure: Self =
            strict_json::from_str(last).map_err(|error| unreadable(&error.to_string()))?;
        Ok(Self {
            name: path.display().to_string(),
            ..structure
        })
    }

    /// Structures by their declarations, each with all atoms a little out of place, made by the environment's ASE.
    pub(crate) fn build(
        declared: &[about::Structure],
        selected: &Selected,
        variables: &Variables,
    ) -> Result<Vec<Self>, Error> {
        let words = declared.iter().map(about::Structure::as_str);
        let output = Command::new(selected.generation.join(inside::PYTHON))
            .arguments(["-I", "-B", "-c", BUILD])
            .arguments(words)
            .variables(variables)
            .run()?;
        let reason = || process::tail(&output.stderr, 1);
        if output.exit != Exit::Code(0) {
            return Err(Error::Unknown(reason()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.trim_end().lines().last().unwrap_or_default();
        let built: Vec<Self> =
            strict_json::from_str(last).map_err(|error| Error::Unknown(error.to_string()))?;
        Ok(built)
    }

    /// The same out of place, and named.
    #[must_use]
    pub(crate) fn rattled(&self, name: &str, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            ..self.moved(seed, RATTLE)
        }
    }

    /// A structure whose numbers are recorded.
    pub(crate) fn of_entry(entry: &Entry) -> Self {
        Self {
            name: entry.name.clone(),
            numbers: entry.numbers.clone(),
            positions: entry.positions.clone(),
            cell: entry.cell,
            pbc: entry.pbc,
            info: entry.info.clone(),
        }
    }

    /// The structure as an entry without numbers.
    pub(crate) fn without_numbers(&self) -> Entry {
        Entry {
            name: self.name.clone(),
            numbers: self.numbers.clone(),
            positions: self.positions.clone(),
            cell: self.cell,
            pbc: self.pbc,
            info: self.info.clone(),
            energy: f64::NAN,
            forces: Vec::new(),
            stress: None,
        }
    }

    /// Copper, fcc, at least this many atoms, a little out of place.
    pub(crate) fn copper(atoms: usize) -> Self {
        const EDGE: f64 = 3.615;
        const SITES: [[f64; 3]; 4] = [[0.0; 3], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
        Self::grid(
            "fcc copper",
            atoms,
            EDGE,
            &[29; 4],
            &SITES.map(|site| site.map(|x| x * EDGE)),
        )
    }

    /// Water: one molecule by itself, or as many as there are atoms for on a periodic grid.
    pub(crate) fn water(atoms: usize) -> Self {
        const SITES: [[f64; 3]; 3] = [
            [0.0, 0.0, 0.119],
            [0.0, 0.763, -0.477],
            [0.0, -0.763, -0.477],
        ];
        let whole = 3 * (atoms / 3).max(1);
        let grid = Self::grid("water", whole, 3.3, &[8, 1, 1], &SITES);
        if grid.atoms() > 3 {
            return grid;
        }
        Self {
            cell: [0.0; 9],
            pbc: [false; 3],
            name: "a water molecule".to_owned(),
            ..grid
        }
    }

    fn grid(name: &str, atoms: usize, edge: f64, numbers: &[u8], sites: &[[f64; 3]]) -> Self {
        let [a, b, c] = cells(atoms.div_ceil(sites.len()));
        let mut structure = Self {
            name: name.to_owned(),
            numbers: Vec::new(),
            positions: Vec::new(),
            cell: [0.0; 9],
            pbc: [true; 3],
            info: serde_json::Map::new(),
        };
        for corner in (0..a * b * c).map(|cell| [cell / (b * c), cell / c % b, cell % c]) {
            for (site, number) in sites.iter().zip(numbers) {
                structure.numbers.push(*number);
                for axis in 0..3 {
                    #[expect(clippy::cast_precision_loss, reason = "there are few cells")]
                    structure
                        .positions
                        .push(site[axis] + edge * corner[axis] as f64);
                }
            }
        }
        for (axis, count) in [a, b, c].into_iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "there are few cells")]
            let length = edge * count as f64;
            structure.cell[4 * axis] = length;
        }
        structure.moved(1, 0.05)
    }

    /// How many atoms there are.
    pub(crate) fn atoms(&self) -> usize {
        self.numbers.len()
    }

    /// The same with every atom up to this far out of place along each axis: the same places for the same seed.
    #[must_use]
    pub(crate) fn moved(&self, seed: u64, distance: f64) -> Self {
        let mut state = seed;
        let mut next = || {
            // Knuth's generator; its upper bits are random enough for this.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 32).expect("half of the bits")) / f64::from(u32::MAX)
        };
        let positions = self.positions.iter();
        Self {
            positions: positions
                .map(|place| place + distance * (2.0 * next() - 1.0))
                .collect(),
            ..self.clone()
        }
    }

    /// The same with one coordinate moved.
    #[must_use]
    pub(crate) fn shifted(&self, coordinate: usize, by: f64) -> Self {
        let mut shifted = self.clone();
        shifted.positions[coordinate] += by;
        shifted
    }

    /// The volume of the cell, in Å³.
    pub(crate) fn volume(&self) -> f64 {
        let [ax, ay, az, bx, by, bz, cx, cy, cz] = self.cell;
        (ax * (by * cz - bz * cy) - ay * (bx * cz - bz * cx) + az * (bx * cy - by * cx)).abs()
    }

    /// The same, everything this much larger.
    #[must_use]
    pub(crate) fn strained(&self, by: f64) -> Self {
        Self {
            positions: self.positions.iter().map(|x| x * (1.0 + by)).collect(),
            cell: self.cell.map(|x| x * (1.0 + by)),
            ..self.clone()
        }
    }
}

/// The smallest block of at least this many cells whose edges differ by one at most.
fn cells(least: usize) -> [usize; 3] {
    let mut edges = [1; 3];
    let mut at = 0;
    while edges.iter().product::<usize>() < least {
        edges[at % 3] += 1;
        at += 1;
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_copper_has_as_many_atoms_as_are_asked_for_and_few_more() {
        for (asked, atoms) in [(1, 4), (4, 4), (32, 32), (1000, 1008), (4000, 4000)] {
            assert_eq!(Structure::copper(asked).atoms(), atoms);
        }
        let copper = Structure::copper(32);
        assert_eq!(copper, Structure::copper(32));
        assert!((copper.cell[0] - 7.23).abs() < 1e-12);
    }

    #[test]
    fn one_molecule_stands_alone() {
        assert_eq!(Structure::water(3).pbc, [false; 3]);
        let many = Structure::water(30);
        assert_eq!((many.atoms(), many.pbc), (36, [true; 3]));
    }
}
