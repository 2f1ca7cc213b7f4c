//! rootstock: from `rootstock.toml` to forces.
//!
//! ```text
//! rootstock.toml ──▶ Manifest ──resolve──▶ Lock ──▶ rootstock.lock
//!                                           │
//!                  root on disk ──▶ Stamps ─┤
//!                                           ▼
//!                                         Plan ──build──▶ generations on disk
//!                                                              │
//!                                              worker ◀────────┘
//! ```
//!
//! Text becomes a model; a model becomes an answer; the answer and the disk become a plan; the plan becomes
//! directories. Workers start from directories alone. Modules stand in reading order; which may use which is tested
//! (`tests/it/tidy.rs`) and explained in `ARCHITECTURE.md`.

pub mod name;
pub mod digest;
pub mod target;
pub mod access;
pub mod files;
pub mod process;
pub mod python;
pub mod fetch;
pub mod hub;
pub mod archive;
pub mod project;

pub mod manifest;
pub mod lock;
pub mod export;
pub mod uv;
pub mod resolve;
pub mod store;
pub mod plan;
pub mod build;
pub mod gc;
pub mod runtime;
pub mod worker;
pub mod doctor;
pub mod probe;
pub mod prefetch;

pub mod cli;
