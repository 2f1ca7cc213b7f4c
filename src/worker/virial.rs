//! The virial of a frame, from the model's stress or from its forces.

use ipi_client::Floats;

/// Minus stress times volume.
pub(super) fn from_stress(stress: [f64; 9], volume: f64) -> [f64; 9] {
    stress.map(|stress| -stress * volume)
}

/// Without periodic images: the sum over atoms of position times force.
pub(super) fn from_forces(positions: &Floats, forces: &Floats) -> [f64; 9] {
    let mut virial = [0.0; 9];
    for atom in 0..positions.len() / 3 {
        for (place, sum) in virial.iter_mut().enumerate() {
            *sum += positions.get(3 * atom + place / 3) * forces.get(3 * atom + place % 3);
        }
    }
    virial
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_stress_gives_a_positive_virial() {
        let stress = [-1.0, -2.0, -3.0, -2.0, -4.0, -5.0, -3.0, -5.0, -6.0];
        let virial = from_stress(stress, 2.0);
        let expected = [2.0, 4.0, 6.0, 4.0, 8.0, 10.0, 6.0, 10.0, 12.0];
        assert!(virial.into_iter().eq(expected));
    }

    #[test]
    fn repulsive_atoms_have_a_positive_virial() {
        let positions = [0.0, 0.0, 0.0, 2.0, 0.0, 0.0].into_iter().collect();
        let forces = [-3.0, 0.0, 0.0, 3.0, 0.0, 0.0].into_iter().collect();
        let virial = from_forces(&positions, &forces);
        let expected = [6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert!(virial.into_iter().eq(expected));
    }
}
