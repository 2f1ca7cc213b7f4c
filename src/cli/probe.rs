//! `rootstock probe`: checks a model and measures its overhead.

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::Value;

use super::examined::{failure, worker};
use super::exit::{Exit, Failure, OrExit};
use super::numbers::{self, Checks};
use super::worker::Object;
use super::{Shared, context, given, root, show};
use crate::files;
use crate::probe::{self, Request, Structure, exchange};
use crate::process::{find, threads};
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

A model with `conservative = false` predicts its forces directly: they are not compared with the energy.

`--record` writes the model's numbers into the file that the manifest names as `reference`; `--check` computes them again \
and compares: exit 3, with each difference beside the allowed one, if they are others (docs/numbers.md).

Exit codes: 0 ok · 1 the model failed, a check failed, or the overhead is larger than allowed · 2 usage · 3 other numbers than \
recorded · 4 environment missing or unusable here

Examples:
  rootstock probe mace-mp-0-medium
  rootstock probe mace-mp-0-medium --structure slab.xyz --device cuda:0
  rootstock probe chgnet --atoms 1000 --steps 200 --max-overhead 5 --json
  rootstock probe mace-mp-0-medium --record
  OMP_NUM_THREADS=8 rootstock probe mace-mp-0-medium --check --device cuda
  rootstock probe --all --check
  rootstock probe --ipc-only --atoms 1000 --steps 1000")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one flag of the command line"
)]
pub(crate) struct Arguments {
    /// A model, or an environment of the root.
    #[arg(required_unless_present_any = ["ipc_only", "all"])]
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
    /// Compute the model's recorded numbers again, with the threads, instructions and device of this run, and compare: exit 3 if
    /// they are others.
    #[arg(long, conflicts_with_all = ["weights", "setup", "structure", "ipc_only", "max_overhead"])]
    check: bool,
    /// Compute numbers on a processor in one thread, and write them into the file that the manifest names as `reference`, and
    /// to what they belong into the lock.
    #[arg(long, conflicts_with_all = ["check", "device", "weights", "setup", "structure", "ipc_only", "max_overhead"])]
    record: bool,
    /// With `--check` or `--record`: every model that has recorded numbers, or is to have some, and is built.
    #[arg(long, conflicts_with = "model")]
    all: bool,
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
    if arguments.check || arguments.record {
        let checks = Checks {
            model: arguments.model.as_deref(),
            device: &arguments.device,
            startup_timeout: arguments.startup_timeout,
            verbose: arguments.verbose,
            json: arguments.json,
        };
        return threads::in_pool(context::processors(), || {
            if arguments.record {
                numbers::recording::record(shared, &checks)
            } else {
                numbers::check(shared, &checks)
            }
        });
    }
    if arguments.all {
        return Err(Failure::usage(
            "`--all` needs `--check` or `--record`",
            "compare all recorded numbers: `rootstock probe --all --check`",
        ));
    }
    let Some(model) = arguments.model.as_deref().filter(|_| !arguments.ipc_only) else {
        return exchange(arguments);
    };
    let root = root::built(shared)?;
    let selected = super::worker::select(shared, &root, model, arguments.weights.as_deref())?;
    let inherited = context::variables();
    let structures = structures(&root, &selected, &inherited, arguments)?;
    let command = worker(&root, model, &arguments.device, arguments.startup_timeout)?
        .arguments(of_the_user(&selected, arguments))
        .variables(&inherited);
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
    if !show::is_quiet()
        && report.ok() == Some(true)
        && !arguments.json
        && arguments.structure.is_none()
    {
        show_next(shared, &report);
    }
    Ok(match report.ok() {
        Some(false) => Exit::Failed,
        Some(true) | None => Exit::Ok,
    })
}

/// Prints the lines with which a shell computes forces with this model, from nothing but this program and the root.
fn show_next(shared: &Shared, report: &probe::Report) {
    let Selected {
        environment,
        argument,
        setup,
        weights: None,
        ..
    } = &report.selected
    else {
        return;
    };
    if !setup.is_empty() {
        return;
    }
    let root = shared.root.as_ref().filter(|_| shared.root_is_option);
    let root = root.map_or(String::new(), |root| {
        format!("--root {} ", files::quoted(root))
    });
    let (made_by, made) = if report.structure.name.contains("water") {
        ("molecule", "molecule(\"H2O\")")
    } else {
        ("bulk", "bulk(\"Cu\", cubic=True)")
    };
    let device = &report.device;
    show::remark("next: forces from a shell, in three lines:");
    // They are copied: no terminal's width may break them.
    show::remarks(&format!(
        "rootstock {root}run {environment} -- python -c 'from ase.build import {made_by}\n\
         from env_source import setup; atoms = {made}\n\
         atoms.calc = setup({argument:?}, {device:?}); print(atoms.get_forces())'"
    ));
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
        let mut structures = declared(root, selected, inherited)?;
        structures.extend([Structure::copper(atoms), Structure::water(atoms)]);
        return Ok(structures);
    };
    given::exists("structure", path)?;
    let variables = variables::for_python(root, selected, inherited);
    let structure = Structure::read(path, selected, &variables).or_exit(Exit::Usage)?;
    Ok(vec![structure])
}

/// The structures that the model declares, without those in files, which are not in the root.
fn declared(
    root: &Root,
    selected: &Selected,
    inherited: &Variables,
) -> Result<Vec<Structure>, Failure> {
    let declared = selected.about.probe.iter();
    let declared: Vec<_> = declared.filter(|s| s.file().is_none()).cloned().collect();
    if declared.is_empty() {
        return Ok(Vec::new());
    }
    let variables = variables::for_python(root, selected, inherited);
    let built = Structure::build(&declared, selected, &variables).or_exit(Exit::Failed)?;
    Ok((1..)
        .zip(&built)
        .map(|(seed, structure)| structure.rattled(&structure.name, seed))
        .collect())
}

/// Weights and arguments of the user's own.
fn of_the_user(selected: &Selected, arguments: &Arguments) -> Vec<OsString> {
    let weights = selected.weights.iter();
    let weights = weights.flat_map(|path| [OsString::from("--weights"), path.into()]);
    let setup = arguments.setup.iter();
    let setup = setup.map(|setup| Value::Object(setup.clone()).to_string());
    let setup = setup.flat_map(|setup| ["--setup".into(), setup.into()]);
    weights.chain(setup).collect()
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
