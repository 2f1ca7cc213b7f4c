//! Sizes and constants of the hand-over between launcher and Python. `python/rootstock/layout.py` has the description; the
//! shim and the Python client use that file, and a test compares it with these.

/// Numbers of a frame before the positions: the cell.
pub(super) const CELL: usize = 9;
/// Numbers between positions and forces: energy and stress.
pub(super) const HEAD: usize = 10;

/// Bytes of a client's memory before the frame.
pub(super) const STATE: usize = 64;
/// Bytes of a client's memory behind the frame.
pub(super) const TEXT_ROOM: usize = 64 << 10;

/// Kinds of messages between launcher and Python.
pub(super) mod kind {
    pub(in super::super) const STEP: i32 = 1;
    pub(in super::super) const TEXT: i32 = 2;
    pub(in super::super) const STRESSES: i32 = 3;
    pub(in super::super) const MEMORY: i32 = 4;
    pub(in super::super) const ERROR: i32 = 5;
    pub(in super::super) const RESULTS: i32 = 6;
    pub(in super::super) const EVERYTHING: i32 = 7;
}

/// How many numbers a frame and its results take.
pub(super) fn frame_size(atoms: usize) -> usize {
    CELL + HEAD + 6 * atoms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_and_python_agree_on_the_layout() {
        let python = include_str!("../../python/rootstock/layout.py");
        let value = |name: &str| -> usize {
            let assignment = format!("{name} = ");
            let mut lines = python.lines();
            let value = lines.find_map(|line| line.strip_prefix(&assignment));
            value.expect(name).parse().expect(name)
        };
        for (name, expected) in [
            ("CELL", CELL),
            ("HEAD", HEAD),
            ("STATE", STATE),
            ("TEXT_ROOM", TEXT_ROOM),
        ] {
            assert_eq!(value(name), expected, "{name}");
        }
        for (name, expected) in [
            ("STEP", kind::STEP),
            ("TEXT", kind::TEXT),
            ("STRESSES", kind::STRESSES),
            ("MEMORY", kind::MEMORY),
            ("ERROR", kind::ERROR),
            ("RESULTS", kind::RESULTS),
            ("EVERYTHING", kind::EVERYTHING),
        ] {
            assert_eq!(i32::try_from(value(name)), Ok(expected), "{name}");
        }
        assert_eq!(frame_size(2), 31);
    }
}
