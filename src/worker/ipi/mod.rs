//! The i-PI protocol as a client speaks it, over any `Read + Write`. Opens nothing, starts nothing, knows no Python.
//!
//! [`wire`] says what messages look like, [`segments`] where the numbers are in shared memory, [`dialect`] which kind of
//! server sends them, [`session`] whose turn it is.

pub mod dialect;
pub mod segments;
pub mod session;
pub mod wire;

pub use dialect::Dialect;
pub use session::{Calculator, End, Error, Session};
