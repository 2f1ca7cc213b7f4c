//! Projects: source trees that a build backend makes wheels of. Taken as archives, unpacked, fetched from repositories,
//! and their backends asked (PEP 517, PEP 518). What is locked of them, and where a wheel goes, is not known here.

pub(crate) mod backend;
pub(crate) mod git;
pub(crate) mod pack;
pub(crate) mod unpack;

pub(crate) use backend::{Backend, Hook};
pub(crate) use pack::Packed;
