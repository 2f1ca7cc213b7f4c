//! What a worker is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use ipi_client::System;

use super::connect::Address;
use super::prewarm::Prewarm;

/// What a worker does.
#[derive(Debug)]
pub(crate) struct Options {
    /// The argument of `setup`; `auto` lets Python choose.
    pub device: String,
    /// Which atoms there are.
    pub species: Species,
    /// `Atoms.info`, in addition to the template's and before it.
    pub info: serde_json::Map<String, serde_json::Value>,
    /// Whether to compute stresses.
    pub stress: bool,
    /// The server's address.
    pub server: Address,
    /// Whether the server is an i-PI in `shm` mode.
    pub shared_memory: bool,
    /// How long to wait for the server.
    pub connect_timeout: Duration,
    /// How long to wait for the next server after one has ended; `None` for not at all.
    pub reconnect: Option<Duration>,
    /// How long the server may send nothing; `None` for no limit.
    pub idle_timeout: Option<Duration>,
    /// How long the model may take to load.
    pub startup_timeout: Duration,
    /// How often to report that the model is still loading or computing.
    pub heartbeat: Duration,
    /// Whether to read ahead the files that Python loads.
    pub prewarm: Prewarm,
    /// How long a step may take; `None` for no limit.
    pub step_timeout: Option<Duration>,
    /// How often Python may be restarted in a run.
    pub restarts: u32,
}

/// Where the species come from.
#[derive(Debug, Clone)]
pub(crate) enum Species {
    /// From a structure file, read by the environment's ASE.
    Template(PathBuf),
    /// From the command line.
    Given(System),
    /// From the server's INIT, which must be JSON.
    Server,
}
