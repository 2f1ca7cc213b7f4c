//! Changes to what is declared: a new project, environments that are added and removed. The manifest keeps its comments, its
//! order and its format; every file is written beside its place and renamed. Resolves and builds nothing.

mod addition;
pub(crate) mod adopt;
pub(crate) mod carried;
pub(crate) mod change;
mod document;
pub(crate) mod init;

pub(crate) use addition::Addition;
