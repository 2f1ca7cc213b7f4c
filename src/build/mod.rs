//! Carrying out a plan: wheels go onto the shelf in installed form, environments are linked together from there.

pub mod shelf;
pub mod wheel;
