//! `rootstock probe`.

use std::ffi::OsStr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::exit::{Exit, Failure, OrExit};
use super::worker::Object;
use super::{Shared, context, given, place, show};
use crate::files;
use crate::probe::latency::{self, Latency};
use crate::probe::smoke::{self, Smoke, Verdict};
use crate::probe::{self, AskError, Structure, exchange};
use crate::process::Command;
use crate::runtime::Selected;
use crate::runtime::{Variables, variables};
use crate::store::Root;
use crate::worker::measure;
use ipi_client::Frame;

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

/// The structure that was computed, and its results.
struct Report {
    /// Structures that the model could not compute, with the exception.
    refused: Vec<(String, String)>,
    structure: Structure,
    smoke: Smoke,
    latency: Option<Latency>,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let Some(model) = arguments.model.as_deref().filter(|_| !arguments.ipc_only) else {
        return exchange(arguments);
    };
    let root = place::built(shared)?;
    let selected = super::worker::select(shared, &root, model, arguments.weights.as_deref())?;
    let inherited = context::variables();
    let structures = structures(&root, &selected, &inherited, arguments)?;
    let command = worker(&root, model, &selected, &inherited, arguments)?;
    let asked = probe::with_worker(command, |server| {
        let mut refusals = Vec::new();
        for structure in structures {
            match smoke::test(server, &structure) {
                Err(AskError::Refused(error)) => refusals.push((structure.name, error)),
                Err(error) => return Err(error),
                Ok(smoke) => {
                    let latency = match arguments.steps {
                        0 => None,
                        steps => latency::measure(server, &structure, steps)?,
                    };
                    return Ok(Ok(Report {
                        refused: refusals,
                        structure,
                        smoke,
                        latency,
                    }));
                }
            }
        }
        Ok(Err(refusals))
    });
    let (result, output) = match asked {
        Ok(asked) => asked,
        Err(error) => {
            if let probe::Error::Gone { output, .. } | probe::Error::Refused { traceback: output } =
                &error
            {
                show::remarks(output.trim_end());
            }
            return Err(error).or_exit(Exit::Failed);
        }
    };
    if arguments.verbose {
        show::remarks(output.trim_end());
    }
    match result {
        Ok(report) => Ok(print(model, &selected, &report, arguments)),
        Err(refusals) => {
            for (structure, error) in &refusals {
                show::remarks(&format!("{structure}:\n{}", error.trim_end()));
            }
            let names: Vec<String> = refusals.into_iter().map(|(name, _)| name).collect();
            Err(Failure {
                report: miette::miette!(
                    help = "try a structure that the model is made for: `--structure FILE`",
                    "`{model}` could not compute {}",
                    names.join(", nor ")
                ),
                exit: Exit::Failed,
            })
        }
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

/// Prints the report and decides on the exit code.
fn print(model: &str, selected: &Selected, report: &Report, arguments: &Arguments) -> Exit {
    let failed = report.smoke.has(Verdict::Failed);
    let limit = arguments.max_overhead;
    let exceeded = limit.is_some_and(|limit| {
        // An overhead that was not measured, or is not finite, exceeds any limit.
        report
            .latency
            .is_none_or(|latency| !latency.overhead.is_finite() || latency.overhead > limit)
    });
    if arguments.json {
        show::json(&as_json(
            model,
            selected,
            report,
            arguments,
            match (failed || exceeded, report.smoke.has(Verdict::NotJudged)) {
                (true, _) => Some(false),
                (false, true) => None,
                (false, false) => Some(true),
            },
        ));
    } else {
        for line in lines(model, selected, report, arguments) {
            show::line(&line);
        }
        if let Some(limit) = limit {
            let verdict = if exceeded { "FAIL" } else { "ok" };
            show::line(&format!("{verdict:4} overhead of at most {limit} %"));
        }
    }
    if failed || exceeded {
        Exit::Failed
    } else {
        Exit::Ok
    }
}

fn lines(model: &str, selected: &Selected, report: &Report, arguments: &Arguments) -> Vec<String> {
    let Report {
        refused,
        structure,
        smoke,
        latency,
    } = report;
    let answer = &smoke.answer;
    let largest = answer.forces.iter().map(f64::abs).fold(0.0, f64::max);
    let [xx, xy, xz, _, yy, yz, _, _, zz] = answer.stress;
    let mut lines = vec![
        format!(
            "model      {model}, environment {}, device {}",
            selected.environment, arguments.device
        ),
        format!("structure  {}, {} atoms", structure.name, structure.atoms()),
        format!("energy     {:.6} eV", answer.energy),
        format!("forces     largest component {largest:.6} eV/Å"),
        if xx.is_finite() {
            format!(
                "stress     {xx:.6} {yy:.6} {zz:.6} {yz:.6} {xz:.6} {xy:.6} eV/Å³ (xx yy zz yz xz xy)"
            )
        } else {
            "stress     none".to_owned()
        },
    ];
    let refusals = refused
        .iter()
        .map(|(name, error)| format!("refused    {name}: {}", last_line(error)));
    lines.splice(1..1, refusals);
    for check in &smoke.checks {
        let verdict = match check.ok {
            Verdict::Ok => "ok",
            Verdict::Failed => "FAIL",
            Verdict::NotJudged => "?",
        };
        lines.push(format!("{verdict:4} {}: {}", check.name, check.found));
    }
    if let Some(latency) = latency {
        lines.push(format!(
            "latency    {:.1} µs a step: socket {:.1}, hand-over {:.1}, compute {:.1} (medians of {} steps)",
            latency.round_trip, latency.socket, latency.hand_over, latency.compute, latency.steps
        ));
        lines.push(format!(
            "overhead   {:.2} % of the computation",
            latency.overhead
        ));
    }
    lines
}

fn as_json(
    model: &str,
    selected: &Selected,
    report: &Report,
    arguments: &Arguments,
    ok: Option<bool>,
) -> Value {
    let Report {
        refused,
        structure,
        smoke,
        latency,
    } = report;
    let stress = smoke.answer.stress.iter().all(|number| number.is_finite());
    json!({
        "ok": ok,
        "model": model,
        "environment": selected.environment,
        "generation": selected.generation,
        "device": arguments.device,
        "refused": refused.iter().map(|(name, error)| json!({ "name": name, "error": last_line(error) })).collect::<Vec<_>>(),
        "structure": { "name": structure.name, "atoms": structure.atoms() },
        "energy_ev": smoke.answer.energy,
        "forces_ev_per_angstrom": smoke.answer.forces.iter().collect::<Vec<_>>(),
        "stress_ev_per_angstrom3": stress.then_some(smoke.answer.stress),
        "checks": smoke.checks,
        "latency_us": latency,
        "overhead_percent": latency.map(|latency| latency.overhead),
        "max_overhead_percent": arguments.max_overhead,
    })
}

/// The last line of a traceback: the exception itself.
fn last_line(traceback: &str) -> &str {
    traceback.trim_end().lines().last().unwrap_or_default()
}

/// `--ipc-only`.
fn exchange(arguments: &Arguments) -> Result<Exit, Failure> {
    let structure = Structure::copper(arguments.atoms as usize);
    let steps = arguments.steps.max(1);
    let socket = exchange::measure(&structure, steps).or_exit(Exit::Failed)?;
    let python = files::program("python3", &context::search_path());
    let frame = Frame {
        cell: structure.cell,
        positions: structure.positions.iter().copied().collect(),
    };
    let hand_over = match &python {
        None => None,
        Some(python) => {
            let took = measure::hand_over(python, &context::kept_environment(), &frame, steps);
            let took = took.map_err(|error| Failure {
                report: miette::miette!("cannot measure with `{}`: {error}", python.display()),
                exit: Exit::Failed,
            })?;
            Some(latency::median(
                took.iter().map(|took| 1e6 * took.as_secs_f64()).collect(),
            ))
        }
    };
    let atoms = structure.atoms();
    if arguments.json {
        show::json(&json!({
            "atoms": atoms,
            "steps": steps,
            "exchange_us": socket,
            "hand_over_us": hand_over,
            "python": python,
        }));
        return Ok(Exit::Ok);
    }
    show::line(&format!(
        "medians of {steps} steps of {atoms} atoms, nothing computed"
    ));
    show::line(&format!(
        "exchange   {socket:.1} µs: the messages of a step over a socket pair, without a model"
    ));
    show::line(&match (hand_over, &python) {
        (Some(took), Some(python)) => format!(
            "hand-over  {took:.1} µs: to a Python that computes nothing and back, through a shared file ({})",
            python.display()
        ),
        _ => "hand-over  not measured: there is no python3 on PATH".to_owned(),
    });
    Ok(Exit::Ok)
}
