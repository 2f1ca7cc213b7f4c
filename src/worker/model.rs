//! A model as the i-PI session sees it: frames go to Python, and what comes back becomes energy, forces and virial.

use serde::Deserialize;

use super::floats::Floats;
use super::handover::{HandOver, Silence};
use super::ipi;
use super::python::Python;
use super::step::{Failure, Frame, Raised, Results, System};

/// Atoms closer than this, in ångström, are a mistake in units or order.
const TOO_CLOSE: f64 = 0.5;
/// Up to this many atoms all pairs are looked at: a few milliseconds, once.
const FEW: usize = 2000;

/// A Python that has loaded a model.
pub(super) struct Model<'a> {
    pub(super) hand_over: HandOver,
    pub(super) python: Python,
    pub(super) system: Option<System>,
    /// Whether the user wants stresses.
    pub(super) stress: bool,
    /// How many frames were computed.
    pub(super) steps: u64,
    pub(super) say: &'a (dyn Fn(&str) + Sync),
}

/// What Python says once its model is loaded.
#[derive(Debug, Deserialize)]
pub(super) struct Ready {
    /// The atoms, if it was told which.
    pub(super) system: Option<System>,
}

impl ipi::Calculator for Model<'_> {
    fn atoms(&self) -> Option<usize> {
        self.system.as_ref().map(|system| system.numbers.len())
    }

    fn take(&mut self, system: System) -> Result<(), Failure> {
        let told = self.hand_over.tell(&system);
        self.system = Some(system);
        told.map_err(|_| Failure::Died(self.python.cause()))
    }

    fn calculate(&mut self, frame: &Frame, results: &mut Results) -> Result<(), Failure> {
        if self.steps == 0
            && let Some(warning) = too_close(frame)
        {
            self.remark(&warning);
        }
        self.steps += 1;
        let computed = match self.hand_over.step(frame, &mut results.forces) {
            Ok(computed) => computed,
            Err(Silence::Raised(raised)) => return Err(raised.into()),
            Err(Silence::Gone(error)) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                return Err(Raised::new("TooLarge", error.to_string()).into());
            }
            Err(Silence::Gone(_)) => return Err(Failure::Died(self.python.cause())),
        };
        results.energy = computed.energy;
        let pbc = self
            .system
            .as_ref()
            .is_some_and(|system| system.pbc.contains(&true));
        results.virial = match computed.stress {
            Some(stress) => Some(from_stress(stress, frame.volume())),
            None if !pbc => Some(from_forces(&frame.positions, &results.forces)),
            // There is no volume for a stress to be in, or the user has said that nobody will look.
            None if frame.has_missing_vector() || !self.stress => Some([0.0; 9]),
            None => None,
        };
        Ok(())
    }

    fn remark(&mut self, text: &str) {
        (self.say)(&format!("rootstock: {text}"));
    }
}

/// The virial is minus stress times volume.
fn from_stress([xx, yy, zz, yz, xz, xy]: [f64; 6], volume: f64) -> [f64; 9] {
    [xx, xy, xz, xy, yy, yz, xz, yz, zz].map(|stress| -stress * volume)
}

/// Without images of the atoms the virial is a sum over them, of position times force.
fn from_forces(positions: &Floats, forces: &Floats) -> [f64; 9] {
    let mut virial = [0.0; 9];
    for atom in 0..positions.len() / 3 {
        for (place, sum) in virial.iter_mut().enumerate() {
            *sum += positions.get(3 * atom + place / 3) * forces.get(3 * atom + place % 3);
        }
    }
    virial
}

/// Says so if two atoms all but coincide. Images are not looked at: this is about wrong units, not about small cells.
fn too_close(frame: &Frame) -> Option<String> {
    let atoms: Vec<[f64; 3]> = (0..frame.atoms().min(FEW))
        .map(|atom| std::array::from_fn(|axis| frame.positions.get(3 * atom + axis)))
        .collect();
    for (first, a) in atoms.iter().enumerate() {
        for (second, b) in atoms.iter().enumerate().skip(first + 1) {
            let squared: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
            if squared < TOO_CLOSE * TOO_CLOSE {
                let distance = squared.sqrt();
                return Some(format!(
                    "atoms {first} and {second} (counted from 0) are {distance:.3} Å apart: are the server's units and \
                     its order of atoms right?"
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_virial_pushes_outward_when_the_stress_is_negative() {
        let virial = from_stress([-1.0, -2.0, -3.0, -4.0, -5.0, -6.0], 2.0);
        assert!(
            virial
                .into_iter()
                .eq([2.0, 12.0, 10.0, 12.0, 4.0, 8.0, 10.0, 8.0, 6.0])
        );
    }

    #[test]
    fn atoms_that_push_each_other_apart_have_a_positive_virial() {
        let positions = [0.0, 0.0, 0.0, 2.0, 0.0, 0.0].into_iter().collect();
        let forces = [-3.0, 0.0, 0.0, 3.0, 0.0, 0.0].into_iter().collect();
        let virial = from_forces(&positions, &forces);
        assert!(
            virial
                .into_iter()
                .eq([6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        );
    }

    #[test]
    fn atoms_that_all_but_coincide_are_noticed() {
        let frame = |x: f64| Frame {
            positions: [5.0, 0.0, 0.0, 0.0, 0.0, 0.0, x, 0.0, 0.0]
                .into_iter()
                .collect(),
            ..Frame::default()
        };
        assert_eq!(too_close(&frame(0.6)), None);
        let warning = too_close(&frame(0.4)).unwrap();
        assert!(
            warning.starts_with("atoms 1 and 2 (counted from 0) are 0.400 Å apart"),
            "{warning}"
        );
    }
}
