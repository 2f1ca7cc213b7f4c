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
//! directories. Workers start from directories alone.
//!
//! Modules stand in reading order, and a module uses only what stands above it: `tests/it/tidy.rs` has the table and
//! checks it.

// Values, checked once.
/// Names of environments, models, packages and indexes.
pub mod name;
/// SHA-256, and the other digests that an address may give.
pub mod digest;
/// A machine type with its wheel tags and markers.
pub mod target;
/// Who may use a root.
pub mod access;
/// What a model is for, and what is known of its numbers.
pub mod about;
/// Recorded numbers of models: values, their file, how far others may be from them.
pub mod numbers;
/// Percent-encoding in addresses.
pub(crate) mod percent;
/// How reports are put into words.
pub(crate) mod report;

// The machine.
/// The only use of `std::fs`; every error names the action and the path.
pub mod files;
/// The only place that starts programs and threads.
pub(crate) mod process;
/// Interpreters of this machine, and what they report of themselves.
pub(crate) mod python;
/// Downloads, verified while they stream.
pub(crate) mod fetch;
/// The Hugging Face Hub: addresses, revisions, the layout of its library's cache.
pub(crate) mod hub;
/// Zip and tar archives from elsewhere, checked before anything of them is written.
pub(crate) mod archive;
/// Source trees: packed, unpacked, fetched by git, their build backends called.
pub(crate) mod project;

// From what is asked for to what is decided.
/// `rootstock.toml`, with every complaint in its place.
pub mod manifest;
/// Changes to what is declared: a new project, environments added and removed.
pub(crate) mod declare;
/// `rootstock.lock`: the model, its text, the question it answers, drift.
pub mod lock;
/// An environment of the lock in the formats of other tools.
pub mod export;
/// The resolver: found or fetched, started, its answers read.
pub(crate) mod uv;
/// From the manifest to the lock.
pub mod resolve;

// From the lock to the disk.
/// A root on disk: the only source of paths inside one.
pub mod store;
/// Wheels: read, verified, unpacked into the store.
pub(crate) mod wheel;
/// The difference between a lock and a root; no input, no output.
pub mod plan;
/// Carries out a plan: gathers files, compiles, assembles, publishes.
pub mod build;
/// What a root can do without: found, moved to the trash, removed.
pub mod gc;

// From the disk to forces.
/// Which environment a model or a command runs in, and the variables it gets.
pub(crate) mod runtime;
/// Warm Python processes of one environment: started, isolated, given messages, timed out, ended with their parent.
pub(crate) mod pool;
/// i-PI workers: the launcher, and the Python shim that computes.
pub(crate) mod worker;
/// Functions and classes in an environment's Python, called one request after another.
pub mod call;
/// Energies and forces of many structures, from a file to a file or through a pipe.
pub(crate) mod evaluate;
/// Diagnoses a root without manifest or lock.
pub mod doctor;
/// Models as users look for them: what they are for, whether their numbers were verified.
pub(crate) mod models;
/// An environment's packages under a Python that is not its own.
pub mod overlay;
/// Who asks for a package of an environment, and with which bound.
pub(crate) mod tree;
/// Looks at a model from outside: a smoke test, and where the time goes.
pub(crate) mod probe;
/// Everything that environments need on a node, in one file or directory.
pub(crate) mod image;
/// Roots on a node's own disk, made once from a root or an image.
pub(crate) mod stage;

/// The state of every environment and model.
pub mod status;
/// Makes a root match a lock: looks, plans, carries out; fills bundles, records trees.
pub mod sync;
/// A command under a Python that is not the environment's own, with its packages; builds them if they are missing.
pub(crate) mod foreign;

/// The environment of a project, locked and synced where it is not there yet.
pub(crate) mod project_env;

/// Arguments, environment variables, exit codes, and everything that is printed.
pub mod cli;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
