//! Promises, tested through the real binary. Each module is one promise.
mod worker_session;

mod drift;
mod errors;
mod tidy;
