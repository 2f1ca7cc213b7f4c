//! `rootstock probe`: checks a model and measures its overhead.

use std::ffi::OsStr;
use std::path::PathBuf;

use serde_json::Value;

use super::exit::{Exit, Failure, OrExit};
use super::worker::Object;
use super::{Shared, context, given, root, show};
use crate::probe::{self, Refusal, Request, Structure, exchange};
use crate::process::{Command, find};
use crate::runtime::Selected;
use crate::runtime::{Variables, variables};
use crate::store::Root;

/// Arguments of `rootstock probe`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Starts a worker as a server would, over a socket of its own, and checks its numbers: all finite, forces that sum to zero, \
forces and stress equal to finite differences of the energy (this finds wrong units and signs, not wrong physics). If forces or \
stress are small, atoms are displaced and the cell is compressed until they are large enough to judge; a check for which that \
fails is marked `?`, and `null` in JSON. Then it measures steps that each compute a new structure, and splits their time:

  compute    in the calculator's own calculate(), as it would take in process
  hand-over  between launcher and calculator: messages, the shared file, copies and checks at both ends
  socket     the rest of the round trip: messages to the worker and back

The overhead is socket and hand-over in per cent of compute. `--ipc-only` needs no environment: it measures the messages of a \
step between a client and a worker without a model and, with the python3 on PATH, the hand-over to a Python that computes nothing.

Without `--structure` the model gets copper or, if it raises an exception for that, water; the report names both.

Exit codes: 0 ok · 1 the model failed, a check failed, or the overhead is larger than allowed · 2 usage · 4 environment \
missing or unusable here

Examples:
  rootstock probe mace-mp-0-medium
  rootstock probe mace-mp-0-medium --structure slab.xyz --device cuda:0
  rootstock probe chgnet --atoms 1000 --steps 200 --max-overhead 5 --json
  rootstock probe --ipc-only --atoms 1000 --steps 1000")]
pub(crate) struct Arguments {
    /// A model, or an environment of the root.
    #[arg(required_unless_present = "ipc_only")]
    model: Option<String>,
    /// Weights of your own, for MODEL `ENVIRONMENT:custom`.
    #[arg(long, value_name = "FILE", requires = "model")]
    weights: Option<PathBuf>,
    /// Keyword arguments of `setup()`, as a JSON object; they override those of the manifest.
    #[arg(long, value_name = "JSON", requires = "model", value_parser = super::worker::object)]
    setup: Option<Object>,
    /// The structure to compute, in any format that the environment's ASE reads.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["atoms", "ipc_only"])]
    structure: Option<PathBuf>,
    /// At least this many atoms of copper or water.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    atoms: u32,
    /// How many steps to measure.
    #[arg(long, value_name = "N", default_value_t = 50)]
    steps: u32,
    /// The device passed to `setup()`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// How long the model may take to load, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    startup_timeout: u64,
    /// Fail if the overhead is more than this many per cent of the computation.
    #[arg(long, value_name = "PERCENT", conflicts_with = "ipc_only")]
    max_overhead: Option<f64>,
    /// Measure the exchange alone, without a model.
    #[arg(long, conflicts_with = "model")]
    ipc_only: bool,
    /// Show the worker's output.
    #[arg(long, short)]
    verbose: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let Some(model) = arguments.model.as_deref().filter(|_| !arguments.ipc_only) else {
        return exchange(arguments);
    };
    let root = root::built(shared)?;
    let selected = super::worker::select(shared, &root, model, arguments.weights.as_deref())?;
    let inherited = context::variables();
    let structures = structures(&root, &selected, &inherited, arguments)?;
    let command = worker(&root, model, &selected, &inherited, arguments)?;
    let request = Request {
        model,
        selected,
        device: &arguments.device,
        structures,
        steps: arguments.steps,
        max_overhead: arguments.max_overhead,
    };
    let (report, output) = probe::probe(command, request).map_err(failure)?;
    if arguments.verbose {
        show::remarks(output.trim_end());
    }
    show::report(&report, arguments.json)?;
    Ok(match report.ok() {
        Some(false) => Exit::Failed,
        Some(true) | None => Exit::Ok,
    })
}

/// Prints the worker's output, then the error.
fn failure(error: probe::Error) -> Failure {
    match &error {
        probe::Error::Gone { output, .. } | probe::Error::Refused { traceback: output } => {
            show::remarks(output.trim_end());
        }
        probe::Error::NoStructure { refused, .. } => {
            for Refusal {
                structure,
                traceback,
            } in refused
            {
                show::remarks(&format!("{structure}:\n{}", traceback.trim_end()));
            }
        }
        _ => {}
    }
    Failure {
        report: error.into(),
        exit: Exit::Failed,
    }
}

/// The structures to try; the first that the model accepts is used.
fn structures(
    root: &Root,
    selected: &Selected,
    inherited: &Variables,
    arguments: &Arguments,
) -> Result<Vec<Structure>, Failure> {
    let Some(path) = &arguments.structure else {
        let atoms = arguments.atoms as usize;
        return Ok(vec![Structure::copper(atoms), Structure::water(atoms)]);
    };
    given::exists("structure", path)?;
    let variables = variables::for_python(root, selected, inherited);
    let structure = Structure::read(path, selected, &variables).or_exit(Exit::Usage)?;
    Ok(vec![structure])
}

/// This program as a worker.
fn worker(
    root: &Root,
    model: &str,
    selected: &Selected,
    inherited: &Variables,
    arguments: &Arguments,
) -> Result<Command, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure {
        report: miette::miette!("cannot find this program to start it as a worker: {error}"),
        exit: Exit::Failed,
    })?;
    let weights = selected.weights.iter();
    let weights = weights.flat_map(|path| [OsStr::new("--weights"), path.as_os_str()]);
    let setup = arguments.setup.iter();
    let setup = setup.map(|setup| Value::Object(setup.clone()).to_string());
    let setup = setup.flat_map(|setup| ["--setup".to_owned(), setup]);
    Ok(Command::new(program)
        .arguments(["worker", model, "--device", &arguments.device, "--root"])
        .argument(root.path())
        .arguments(["--startup-timeout", &arguments.startup_timeout.to_string()])
        .arguments(weights)
        .arguments(setup)
        .variables(inherited))
}

/// `--ipc-only`.
fn exchange(arguments: &Arguments) -> Result<Exit, Failure> {
    let structure = Structure::copper(arguments.atoms as usize);
    let variables = context::kept_environment();
    let python = find::find("python3", &context::search_path(), &variables);
    let report = exchange::measure(&structure, arguments.steps, python, &variables);
    show::report(&report.or_exit(Exit::Failed)?, arguments.json)?;
    Ok(Exit::Ok)
}
