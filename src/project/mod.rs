//! Projects: source trees that a build backend makes wheels of. Taken as archives, unpacked, fetched from repositories,
//! and their backends asked (PEP 517, PEP 518). What is locked of them, and where a wheel goes, is not known here.

pub mod backend;
pub mod git;
pub mod pack;
pub mod unpack;

pub use backend::{Backend, Hook};
pub use pack::Packed;
