//! Carrying out a plan: wheels go onto the shelf in installed form, environments are linked together from there.

pub mod assemble;
pub mod bytecode;
pub mod choose;
mod environment;
pub mod progress;
pub mod publish;
pub mod shelf;
pub mod wheel;
