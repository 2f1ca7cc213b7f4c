//! `rootstock worker`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, given, root, selection, show};
use crate::runtime::Selected;
use crate::store::Root;
use crate::worker::connect::{self, Address};
use crate::worker::prewarm::Prewarm;
use crate::worker::signals::StopSignal;
use ipi_client::{System, species};

use crate::runtime::select;
use crate::worker::startup_error::report_startup_error;
use crate::worker::{self, Options, Species, socket};

/// How often a Python is restarted in a run, by default.
pub(super) const RESTARTS: u32 = 10;

/// Arguments of `rootstock worker`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Most servers send positions, but no species: give the worker the structure that the server simulates (--template), or \
name the atoms (--species, --pbc). Servers that send species as JSON in INIT, as rootstock's own clients do, need neither \
(--species-from-server).

Examples:
  rootstock worker emt --unix md --template start.xyz
  rootstock worker mace-mp-0-medium --unix md --species Cu108 --pbc TTT --device cuda:0
  rootstock worker emt --tcp node7:31415 --template start.xyz --reconnect 600   an i-PI that may be requeued")]
pub(crate) struct Arguments {
    /// A model, or an environment of the root.
    model: String,
    #[command(flatten)]
    server: Server,
    /// The prefix of NAME; i-PI's `sockets_prefix`.
    #[arg(long, value_name = "PREFIX", default_value = "/tmp/ipi_")]
    unix_prefix: String,
    /// Weights of your own, for MODEL `ENVIRONMENT:custom`.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Keyword arguments of `setup()`, as a JSON object; they override those of the manifest.
    #[arg(long, value_name = "JSON", value_parser = object)]
    setup: Option<Object>,
    /// The server is an i-PI whose `ffsocket` has mode `shm`: numbers pass through shared memory.
    #[arg(long, requires = "unix")]
    shm: bool,
    /// The device passed to `setup()`. `auto` uses device number `local rank modulo devices` of those that the environment's
    /// torch sees, CUDA (AMD, too) or XPU; the local rank is `SLURM_LOCALID` or the equivalent of Open MPI, MPICH, PALS,
    /// MVAPICH, Flux or torchrun, otherwise 0. Without torch or devices: `cpu`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// A structure file with the server's atoms in its order, in any format that ASE reads. Its periodicity, `info` and arrays
    /// (initial charges, magnetic moments, tags, masses) are used, too.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["species", "species_from_server"])]
    template: Option<PathBuf>,
    /// The server's atoms in its order: `Cu108`, `OH2`, `O,H,H`, `8,1,1`.
    #[arg(
        long,
        value_name = "SPECIES",
        requires = "pbc",
        conflicts_with = "species_from_server"
    )]
    species: Option<String>,
    /// Which cell vectors are periodic, as in `TTF`.
    #[arg(long, value_name = "TTT", requires = "species")]
    pbc: Option<String>,
    /// Wait for the server to send the species; stock i-PI and ASE never do.
    #[arg(long)]
    species_from_server: bool,
    /// Total charge (`atoms.info["charge"]`).
    #[arg(long, allow_negative_numbers = true)]
    charge: Option<i64>,
    /// Spin multiplicity (`atoms.info["spin"]`).
    #[arg(long)]
    spin: Option<i64>,
    /// Compute no stress and send a virial of zero: for models without stress, or to save its cost.
    #[arg(long)]
    no_stress: bool,
    /// How long to wait for the server, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    connect_timeout: u64,
    /// How long to wait, after a server has ended, for the next one at the same address, in seconds: an i-PI that was preempted
    /// and starts again finds its workers with their models loaded. By default the worker ends with its server.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "fd")]
    reconnect: Option<Duration>,
    /// How long a connected server may send nothing, in seconds, before the worker ends with exit code 124; by default there is no
    /// limit.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "fd")]
    idle_timeout: Option<Duration>,
    /// How long the model may take to load, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    startup_timeout: u64,
    /// How often to report that the model is still loading, or still computing one step, in seconds; a server that sends
    /// nothing is reported after that time, twice it, four times it and so on.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    heartbeat: Duration,
    /// Whether to read ahead the environment's libraries and the model's weights while Python starts, if they are not in memory;
    /// with `auto` only on a network filesystem. Experimental: from a local disk a cold start takes longer with it, on a
    /// network filesystem it was not measured.
    #[arg(long, value_name = "WHEN", default_value = "never", value_parser = prewarm())]
    prewarm: Prewarm,
    /// How long a step may take, in seconds, before Python is restarted; by default there is no limit.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    step_timeout: Option<Duration>,
    /// How often in a run a Python that was killed, crashed or hangs is restarted, and its step repeated.
    #[arg(long, value_name = "N", default_value_t = RESTARTS)]
    restarts: u32,
}

/// The server's address.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Server {
    /// The server's socket: a NAME stands for `/tmp/ipi_NAME`, as in i-PI and ASE; with a `/` it is a path.
    #[arg(long, value_name = "NAME|PATH")]
    unix: Option<PathBuf>,
    /// The server's TCP port, as in i-PI's `inet` mode. i-PI has no authentication: use it only in trusted networks.
    #[arg(long, value_name = "HOST:PORT", value_parser = tcp)]
    tcp: Option<String>,
    /// The number of a connected stream socket that this process has inherited: for programs that start their own worker.
    #[arg(long, value_name = "N")]
    fd: Option<u32>,
}

/// A host and a port: `node7:31415`, `[::1]:31415`.
fn tcp(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port))
            if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("not a HOST:PORT".to_owned()),
    }
}

/// A JSON object.
pub(super) type Object = serde_json::Map<String, serde_json::Value>;

pub(super) fn object(text: &str) -> Result<Object, String> {
    strict_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}

fn prewarm() -> impl TypedValueParser<Value = Prewarm> {
    PossibleValuesParser::new(["never", "auto", "always"]).map(|text| match text.as_str() {
        "never" => Prewarm::Never,
        "always" => Prewarm::Always,
        _ => Prewarm::Auto,
    })
}

/// A positive number of seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("not a positive number of seconds".to_owned()),
    }
}

/// A wrong command line.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
enum Usage {
    #[error("no species given: the server sends only positions")]
    #[diagnostic(help(
        "give the structure with `--template FILE`, or name the atoms with `--species` and `--pbc`; \
         `--species-from-server` is for servers that send them as JSON"
    ))]
    Species,
    #[error("`--species {text}`: {source}")]
    #[diagnostic(help(
        "write a composition such as `Cu108` or `OH2`, or a list such as `O,H,H` or `8,1,1`"
    ))]
    Composition {
        text: String,
        source: species::Error,
    },
    #[error("`--pbc {0}`: expected three letters, one for each cell vector")]
    #[diagnostic(help("write T (periodic) or F for each, as in `TTF`"))]
    Periodicity(String),
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    // First of all, before anything is opened that could get the descriptor's number.
    let address = address(arguments)?;
    let starter = match &address {
        Address::Inherited(socket) => socket.try_clone().ok(),
        _ => None,
    };
    let served = serve_at(shared, arguments, address);
    if let (Err(failure), Some(starter)) = (&served, starter)
        && matches!(failure.exit, Exit::Failed | Exit::Usage | Exit::Environment)
    {
        // A client that got the error before has closed its end.
        report_startup_error(&starter, &failure.report.to_string());
    }
    served
}

fn serve_at(shared: &Shared, arguments: &Arguments, address: Address) -> Result<Exit, Failure> {
    if let Some(template) = &arguments.template {
        given::exists("template", template)?;
    }
    let options = options(arguments, address).or_exit(Exit::Usage)?;
    let chosen = Chosen {
        model: &arguments.model,
        weights: arguments.weights.as_deref(),
        setup: arguments.setup.clone().unwrap_or_default(),
    };
    serve(shared, chosen, &options)
}

/// A model as a user chooses it.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    pub(super) model: &'a str,
    /// Weights of the user's own.
    pub(super) weights: Option<&'a Path>,
    /// Arguments of `setup()`, which override the manifest's.
    pub(super) setup: Object,
}

/// Serves a model until the server ends.
pub(super) fn serve(
    shared: &Shared,
    chosen: Chosen<'_>,
    options: &Options,
) -> Result<Exit, Failure> {
    let root = root::built(shared)?;
    root::warn_of_open(&root);
    let mut selected = select(shared, &root, chosen.model, chosen.weights)?;
    selected.setup.extend(chosen.setup);
    let variables = context::variables();
    match worker::serve(&root, &selected, options, &variables, &show::remark) {
        Ok(served) => {
            show::remark(&format!("rootstock: the server {served}"));
            Ok(Exit::Ok)
        }
        Err(error) => Err(failure(error)),
    }
}

/// Selects a model, with weights of the user's own if there are any.
pub(crate) fn select(
    shared: &Shared,
    root: &Root,
    model: &str,
    weights: Option<&Path>,
) -> Result<Selected, Failure> {
    let selected = match weights {
        None => select::model(root, model),
        Some(weights) => select::custom(root, model, weights),
    };
    let selected = selected.map_err(|error| selection::failure(error, model, shared))?;
    root::warn_of_exposed_python(&selected);
    context::check_own_cache()?;
    Ok(selected)
}

fn failure(error: worker::Error) -> Failure {
    if let Some(details) = error.details() {
        show::remarks(details);
    }
    let exit = match error {
        worker::Error::Connect(connect::Error::TooLong(_)) => Exit::Usage,
        worker::Error::Idle(_) => Exit::TimedOut,
        worker::Error::Stopped(StopSignal::HangUp) => Exit::HungUp,
        worker::Error::Stopped(StopSignal::Interrupt) => Exit::Interrupted,
        worker::Error::Stopped(StopSignal::Terminate) => Exit::Terminated,
        _ => Exit::Failed,
    };
    Failure {
        report: error.into(),
        exit,
    }
}

fn options(arguments: &Arguments, server: Address) -> Result<Options, Usage> {
    let info = [("charge", arguments.charge), ("spin", arguments.spin)];
    let info = info
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
        .collect();
    Ok(Options {
        device: arguments.device.clone(),
        species: species(arguments)?,
        info,
        stress: !arguments.no_stress,
        shared_memory: arguments.shm,
        server,
        connect_timeout: Duration::from_secs(arguments.connect_timeout),
        reconnect: arguments.reconnect,
        idle_timeout: arguments.idle_timeout,
        startup_timeout: Duration::from_secs(arguments.startup_timeout),
        heartbeat: arguments.heartbeat,
        prewarm: arguments.prewarm,
        step_timeout: arguments.step_timeout,
        restarts: arguments.restarts,
    })
}

fn species(arguments: &Arguments) -> Result<Species, Usage> {
    if let Some(path) = &arguments.template {
        return Ok(Species::Template(path.clone()));
    }
    if let (Some(text), Some(pbc)) = (&arguments.species, &arguments.pbc) {
        let numbers = species::parse(text).map_err(|source| Usage::Composition {
            text: text.clone(),
            source,
        })?;
        return Ok(Species::Given(System {
            numbers,
            pbc: species::parse_pbc(pbc).ok_or_else(|| Usage::Periodicity(pbc.clone()))?,
            info: serde_json::Map::new(),
            arrays: serde_json::Map::new(),
            inputs: String::new(),
            everything: false,
            timings: false,
        }));
    }
    if arguments.species_from_server {
        return Ok(Species::Server);
    }
    Err(Usage::Species)
}

fn address(arguments: &Arguments) -> Result<Address, Failure> {
    let address = match &arguments.server {
        Server {
            fd: Some(number), ..
        } => Address::Inherited(socket::from_fd(*number).or_exit(Exit::Usage)?),
        Server {
            unix: Some(name), ..
        } => Address::Unix(socket_path(name, &arguments.unix_prefix)),
        Server {
            tcp: Some(address), ..
        } => Address::Tcp(address.clone()),
        Server { .. } => unreachable!("clap wants one of them"),
    };
    Ok(address)
}

fn socket_path(name: &Path, prefix: &str) -> PathBuf {
    let text = name.to_string_lossy();
    if text.contains('/') {
        name.to_owned()
    } else {
        format!("{prefix}{text}").into()
    }
}
