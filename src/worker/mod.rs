//! Using what was built: a worker answers an i-PI server with a model's energies and forces. Knows no manifest, no lock.

pub mod floats;
pub mod ipi;
pub mod step;
