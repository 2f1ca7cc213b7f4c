//! Warns of atoms that almost coincide: units or the order of atoms are probably wrong.

use ipi_client::Frame;

/// Atoms closer than this, in ångström, are a mistake.
const TOO_CLOSE: f64 = 0.5;
/// All pairs of the first so many atoms are checked: a few milliseconds, once.
const CHECKED: usize = 2000;

/// A warning about two atoms that almost coincide. Periodic images are not checked: this finds wrong units, not small cells.
pub(super) fn too_close(frame: &Frame) -> Option<String> {
    let atoms: Vec<[f64; 3]> = (0..frame.atoms().min(CHECKED))
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
    fn atoms_that_almost_coincide_are_reported() {
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
