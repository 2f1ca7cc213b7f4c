//! What must hold of every reader of untrusted bytes, whatever the bytes are: the bodies of the fuzz targets in `fuzz/`.
//! Compiled for tests, which replay the corpora, and with the feature `fuzzing`.
//!
//! A target panics if a property does not hold: what is written is read as it was written, nothing is written outside the
//! directory meant for it, and so on. What concerns the inside of a module stands in its own `fuzzing`.

mod ipi;
mod lock;
mod tar;

pub use crate::manifest::fuzzing::{manifest, script};
pub use crate::uv::fuzzing::pylock;
pub use crate::wheel::fuzzing::{entry_points, record, wheel};
pub use ipi::ipi;
pub use lock::lock;
pub use tar::tar;

/// Asserts what must hold, whatever the bytes are.
pub type Target = fn(&[u8]);

/// Every target by its name in `fuzz/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("entry_points", entry_points),
    ("ipi", ipi),
    ("lock", lock),
    ("manifest", manifest),
    ("pylock", pylock),
    ("record", record),
    ("script", script),
    ("tar", tar),
    ("wheel", wheel),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files;

    #[test]
    fn what_fuzzing_has_found_or_begun_with_holds() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(files::names(&corpora).unwrap(), names);
        for (name, target) in TARGETS {
            let corpus = corpora.join(name);
            let inputs = files::names(&corpus).unwrap();
            assert!(!inputs.is_empty(), "{name} has no corpus");
            for input in inputs {
                target(&files::read(&corpus.join(input)).unwrap());
            }
        }
    }
}
