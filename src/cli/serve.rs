//! `rootstock serve`: a worker with the arguments that LAMMPS' `fix rootstock` and `pair_style rootstock` start it with.

use std::path::PathBuf;
use std::time::Duration;

use super::exit::{Exit, Failure};
use super::{Shared, given, show, worker};
use crate::worker::connect::Address;
use crate::worker::prewarm::Prewarm;
use crate::worker::{Options, Species, startup_error};

/// How long LAMMPS, which listens before it starts this, is looked for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// LAMMPS has a time limit of its own, `timeout`, after which it ends this.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Arguments of `rootstock serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The styles come with the Python rootstock, and are compiled into LAMMPS or loaded as a plugin; with this program on PATH \
they need no Python of their own. They look up the root with `rootstock resolve`, listen on a socket and start this command, \
which ends with LAMMPS. The server sends species with every step. An exception in the model is printed here, and LAMMPS gets \
NaN for energy, forces and virial, never zeros. A Python that is killed is started again: the step only takes longer. If the \
model cannot be loaded, LAMMPS sees the end of the connection at once. For other servers there is `rootstock worker`.

In a LAMMPS script (any cluster name will do where ROOTSTOCK_ROOT is set):
  pair_style rootstock cluster here checkpoint mace-mp-0-medium device cuda
  pair_coeff * * Cu

Examples:
  rootstock serve mace-mp-0-medium --root /shared/rootstock --socket /tmp/rootstock.x/ipi_lmp.sock --device cuda
  rootstock serve uma-s-1 --root /shared/rootstock --socket S --device cuda --kwarg task=omat --kwarg charge=-1")]
pub(crate) struct Arguments {
    /// A model, or an environment of the root.
    model: String,
    /// The socket that the server listens on.
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// The device passed to `setup()`; `auto` as in `rootstock worker`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// A keyword argument of `setup()`; VALUE is JSON, or a text where it is not. It overrides that of the manifest.
    #[arg(long = "kwarg", value_name = "NAME=VALUE", value_parser = keyword)]
    keywords: Vec<Keyword>,
    /// Weights of your own, for MODEL `ENVIRONMENT:custom`.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

/// A name and its value.
type Keyword = (String, serde_json::Value);

fn keyword(text: &str) -> Result<Keyword, String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    let is_name = |name: &str| {
        let mut letters = name.chars();
        let begins = letters
            .next()
            .is_some_and(|c| c == '_' || c.is_alphabetic());
        begins && letters.all(|c| c == '_' || c.is_alphanumeric())
    };
    if !is_name(name) {
        return Err(format!("`{name}` is not the name of a Python argument"));
    }
    let value = strict_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut setup = worker::Object::new();
    for (name, value) in &arguments.keywords {
        if setup.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::usage(
                &format!("`--kwarg {name}` is given twice"),
                "give each argument once",
            ));
        }
    }
    if let Some(weights) = &arguments.weights {
        given::exists("weights file", weights)?;
    }
    let chosen = worker::Chosen {
        model: &arguments.model,
        weights: arguments.weights.as_deref(),
        setup,
    };
    match worker::serve(shared, chosen, &options(arguments)) {
        Err(failure) => {
            // LAMMPS ends this process when it sees the end of the connection.
            show::failure(&failure);
            startup_error::end_waiting(&arguments.socket);
            Ok(failure.exit)
        }
        served => served,
    }
}

fn options(arguments: &Arguments) -> Options {
    Options {
        device: arguments.device.clone(),
        species: Species::Server,
        info: serde_json::Map::new(),
        stress: true,
        shared_memory: false,
        server: Address::Unix(arguments.socket.clone()),
        connect_timeout: CONNECT_TIMEOUT,
        reconnect: None,
        idle_timeout: None,
        startup_timeout: STARTUP_TIMEOUT,
        heartbeat: HEARTBEAT,
        prewarm: Prewarm::Never,
        step_timeout: None,
        restarts: worker::RESTARTS,
    }
}
