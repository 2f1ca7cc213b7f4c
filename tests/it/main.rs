//! Promises, tested through the real binary. Each module is one promise.
mod sandbox;

mod worker;
mod worker_session;
mod worker_fuzz;

mod access;
mod bundle;
mod ci;
mod codes;
mod doctor;
mod conformance;
mod crash;
mod credentials;
mod direct;
mod drift;
mod errors;
mod export;
mod hub;
mod lock;
mod models;
mod faults;
mod parallel;
mod python_client;
mod pythons;
mod probe;
mod prefetch;
mod record;
mod run;
mod soak;
mod status;
mod sdists;
mod sync;
mod targets;
mod tidy;
mod upgrade;
mod weights;
