//! `rootstock evaluate`: arguments, progress, and the exit code.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::{Exit, Failure, OrExit};
use super::worker::{object, seconds};
use super::{Shared, context, given, root, show, worker};
use crate::digest::Digest;
use crate::evaluate::{
    self, Context, Error, Function, Input, Options, Summary, Target, report::Report, shard, workers,
};
use crate::files;
use crate::pool::signals::StopSignal;
use crate::runtime::{Variables, job, variables};
use crate::store::Root;
use crate::worker::origin::Origin;

mod progress;

/// Arguments of `rootstock evaluate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
IN is any file that ASE reads, or `FILE@INDEX` with an index of ASE, such as `md.traj@::10`. OUT is extended XYZ, in the order of \
IN, with energy (eV), forces (eV/Å) and stress (eV/Å³), and with model, generation and the number in IN of each structure. What \
extended XYZ cannot carry is an error of that structure. Results that IN has already are replaced.

While it runs, results are added to OUT.partial as they are computed. If the run is ended, `--resume` computes what is missing. A \
structure that fails is listed, and the others are written.

Exit codes: 0 ok · 1 a structure failed · 2 usage or unreadable input · 4 environment unusable here · 130, 143 ended by a signal

Examples:
  rootstock evaluate mace-mp-0-small structures.xyz -o energies.xyz
  rootstock evaluate mace-mp-0-small md.traj@::10 -o md.xyz --device cuda:0,cuda:1 --batch 32
  rootstock evaluate mace-mp-0-small in.db -o relaxed.xyz --with relax.py:relax --workers 8
  rootstock evaluate mace-mp-0-small in.xyz -o out.xyz --resume
  sbatch --array=0-3 ... rootstock evaluate MODEL in.xyz -o 'out.{shard}.xyz' --shard auto")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one flag of the command line"
)]
pub(crate) struct Arguments {
    /// A model of the root, one of its environments, or `ENV:custom` with `--weights`.
    model: String,
    /// The structures.
    #[arg(value_name = "IN", required_unless_present = "stream")]
    input: Option<PathBuf>,
    /// The file for results; `{shard}` in its name becomes the number of the shard.
    #[arg(short, long, value_name = "OUT", required_unless_present = "stream")]
    output: Option<PathBuf>,
    /// Call this function with each structure, an `Atoms` that carries the calculator, inside the environment: a relaxation, elastic
    /// constants, phonons. It returns `Atoms`, a list of them, or a dictionary for `info`.
    #[arg(long = "with", value_name = "FILE.py:NAME")]
    function: Option<String>,
    /// How many processes compute; by default one for each device or, on processors, for each of this task.
    #[arg(long, value_name = "N")]
    workers: Option<std::num::NonZeroUsize>,
    /// The devices, separated by commas; the workers get them in turn. `auto`: all that torch sees in the environment or, if
    /// a launcher has started several tasks, the one of this task's rank.
    #[arg(long, default_value = "auto")]
    device: String,
    /// How many structures are computed at once, where the environment has `setup_batch`; `auto`: as many as pay. Numbers may differ
    /// in their last digits with the size.
    #[arg(long, value_name = "N", default_value = "auto", value_parser = batch)]
    batch: Batch,
    /// The results to write, separated by commas, by ASE's names; by default energy, forces and, where there is one, stress.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    properties: Option<Vec<String>>,
    /// Evaluate only this part of the structures: `I/N` with I from 0 to N-1, or `auto` for a task of a Slurm array, or one of the
    /// ranks of srun or MPI.
    #[arg(long, value_name = "I/N|auto")]
    shard: Option<String>,
    /// Compute only what OUT and OUT.partial lack.
    #[arg(long)]
    resume: bool,
    /// Replace OUT, and what an unfinished run has left.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// How long a structure may take, in seconds; by default there is no limit.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    step_timeout: Option<Duration>,
    /// How long the model may take to load, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    startup_timeout: Duration,
    /// More keyword arguments of `setup()`, as a JSON object.
    #[arg(long, value_name = "JSON", value_parser = object)]
    setup: Option<serde_json::Map<String, serde_json::Value>>,
    /// Weights of your own, for `ENV:custom`.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Put a directory of your own code, and its `src`, at the front of `sys.path`; may be repeated.
    #[arg(long = "path", value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// Print a report as JSON.
    #[arg(long)]
    json: bool,
    /// Take structures from standard input and write results to standard output, as the Python package does.
    #[arg(long, hide = true, conflicts_with_all = ["input", "output", "function", "json", "shard", "resume", "overwrite"])]
    stream: bool,
}

/// The size of batches; `None` for as many as pay.
#[derive(Debug, Clone, Copy)]
struct Batch(Option<usize>);

fn batch(text: &str) -> Result<Batch, String> {
    if text == "auto" {
        return Ok(Batch(None));
    }
    let size: Result<std::num::NonZeroUsize, _> = text.parse();
    let size = size.map_err(|_| "write a number from 1 on, or `auto`".to_owned())?;
    Ok(Batch(Some(size.get())))
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let inherited = context::variables();
    let files = arguments.files(&inherited)?;
    let root = root::built(shared)?;
    root::warn_of_open(&root);
    let weights = arguments.weights.as_deref();
    let mut selected = worker::select(shared, &root, &arguments.model, weights)?;
    selected
        .setup
        .extend(arguments.setup.clone().unwrap_or_default());
    let options = arguments.options(&inherited)?;
    let mut variables = variables::for_several(&root, &selected, &inherited);
    let processors = workers::processors(context::processors(), &inherited);
    let devices = options.devices.as_ref().map_or(0, Vec::len);
    let is_on_devices = options
        .devices
        .iter()
        .flatten()
        .any(|device| device != "cpu");
    let count = options
        .workers
        .unwrap_or(if is_on_devices { devices } else { options.most });
    let threads = workers::divide(&mut variables, processors, count);
    let directory = files::absolute(Path::new(".")).or_exit(Exit::Usage)?;
    let context = Context {
        selected: &selected,
        variables: &variables,
        directory: &directory,
        options: &options,
        print: &show::remark,
        escape: &show::passed_on,
    };
    match files {
        None => stream(&context, &root),
        Some((input, target)) => evaluate(&context, &input, &target, threads, arguments.json),
    }
}

/// Structures and results of the Python package.
fn stream(context: &Context<'_>, root: &Root) -> Result<Exit, Failure> {
    let origin = Origin::of(root, context.selected).or_exit(Exit::Failed)?;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let ends = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let summary = evaluate::serve(context, origin, ends).map_err(failure)?;
    Ok(summary.stopped.map_or(Exit::Ok, of_signal))
}

fn evaluate(
    context: &Context<'_>,
    input: &Input,
    target: &Target,
    threads: Option<usize>,
    json: bool,
) -> Result<Exit, Failure> {
    let bar = progress::Watcher::new();
    let stderr = io::stderr();
    let written = evaluate::evaluate(context, input, target, stderr.as_fd(), &|progress| {
        bar.update(progress);
    });
    bar.finish();
    let written = written.map_err(failure)?;
    let Summary {
        stopped, failed, ..
    } = written.summary;
    let output = if written.is_there {
        Some(target.out.as_path())
    } else {
        written.partial.as_deref()
    };
    for line in written.summary.failure_lines() {
        show::remark(&format!("rootstock: {line}"));
    }
    show::remark(&format!("rootstock: {}", written.summary.line()));
    if let Some(signal) = stopped {
        show::remark(&match &written.partial {
            Some(partial) => format!(
                "rootstock: ended by {signal}; what was computed is in `{}`: run the same with `--resume` to compute the rest",
                partial.display()
            ),
            None => format!("rootstock: ended by {signal} before anything was computed"),
        });
    }
    if json {
        show::value(&report(context, &written.summary, output, threads))?;
    }
    Ok(match stopped {
        Some(signal) => of_signal(signal),
        None if failed > 0 => Exit::Failed,
        None => Exit::Ok,
    })
}

fn report<'a>(
    context: &'a Context<'_>,
    summary: &'a Summary,
    output: Option<&'a Path>,
    threads: Option<usize>,
) -> Report<'a> {
    let selected = context.selected;
    Report {
        schema: 1,
        model: &context.options.model,
        environment: selected.environment.as_str(),
        generation: selected
            .generation
            .file_name()
            .and_then(|id| id.to_str())
            .unwrap_or_default(),
        output,
        complete: summary.stopped.is_none(),
        structures: summary.structures,
        done: summary.done,
        already: summary.already,
        failed: summary.failed(),
        atoms: summary.atoms,
        seconds: summary.seconds,
        structures_per_second: summary.rate(),
        workers: summary.workers,
        devices: &summary.devices,
        threads,
        batch: summary.batch,
    }
}

fn of_signal(signal: StopSignal) -> Exit {
    match signal {
        StopSignal::HangUp => Exit::HungUp,
        StopSignal::Interrupt => Exit::Interrupted,
        StopSignal::Terminate => Exit::Terminated,
    }
}

fn failure(error: Error) -> Failure {
    if let Some(details) = error.details() {
        show::remarks(details);
    }
    let exit = match &error {
        Error::Input { .. } | Error::Usage { .. } => Exit::Usage,
        Error::Start { .. } => Exit::Environment,
        _ => Exit::Failed,
    };
    Failure {
        report: error.into(),
        exit,
    }
}

impl Arguments {
    /// The input and the output, if these are files.
    fn files(&self, inherited: &Variables) -> Result<Option<(Input, Target)>, Failure> {
        let (Some(input), Some(output)) = (&self.input, &self.output) else {
            return Ok(None);
        };
        let (path, index) = split(input);
        given::exists("file", &path)?;
        let shard = match &self.shard {
            None => (0, 1),
            Some(text) => shard::parse(text, inherited)
                .map_err(|message| Failure::usage(&message, "see `rootstock evaluate --help`"))?,
        };
        let name = output
            .to_string_lossy()
            .replace("{shard}", &shard.0.to_string());
        let out = if name.contains('\u{fffd}') {
            output.clone()
        } else {
            PathBuf::from(name)
        };
        Ok(Some((
            Input {
                path: files::absolute(&path).or_exit(Exit::Usage)?,
                index,
                shard,
            },
            Target {
                out: files::absolute(&out).or_exit(Exit::Usage)?,
                resume: self.resume,
                overwrite: self.overwrite,
            },
        )))
    }

    fn options(&self, inherited: &Variables) -> Result<Options, Failure> {
        let processors = workers::processors(context::processors(), inherited);
        let devices: Vec<String> = self
            .device
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        if devices.iter().any(String::is_empty)
            || devices.len() > 1 && devices.iter().any(|name| name == "auto")
        {
            return Err(Failure::usage(
                &format!("`--device {}` names no devices", self.device),
                "write `auto`, `cpu`, `cuda`, or a list such as `cuda:0,cuda:1`",
            ));
        }
        let properties = self.properties.clone();
        if properties.iter().flatten().any(|name| {
            name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        }) {
            return Err(Failure::usage(
                "`--properties` names something that is no property",
                "write ASE's names, separated by commas: `--properties energy,forces,magmoms`",
            ));
        }
        let paths = self.paths.iter().map(|path| {
            given::exists("directory", path)?;
            files::absolute(path).or_exit(Exit::Usage)
        });
        Ok(Options {
            model: self.model.clone(),
            devices: (self.device != "auto").then_some(devices),
            workers: self.workers.map(std::num::NonZeroUsize::get),
            most: workers::most(processors, files::proc::available_memory()),
            rank: shard::is_one_of_several(inherited).then(|| job::local_rank(inherited)),
            batch: self.batch.0,
            properties,
            function: self.function.as_deref().map(function).transpose()?,
            paths: paths.collect::<Result<_, _>>()?,
            step_timeout: self.step_timeout,
            startup_timeout: self.startup_timeout,
        })
    }
}

/// A path and the index behind its last `@`, unless there is a file of the whole name.
fn split(input: &Path) -> (PathBuf, Option<String>) {
    if files::exists(input) {
        return (input.to_owned(), None);
    }
    let name = input.file_name().and_then(|name| name.to_str());
    match name.and_then(|name| name.rsplit_once('@')) {
        Some((name, index)) if !name.is_empty() && !index.is_empty() => {
            (input.with_file_name(name), Some(index.to_owned()))
        }
        _ => (input.to_owned(), None),
    }
}

/// The function of a reference, `FILE.py:NAME` or `module:NAME`.
fn function(text: &str) -> Result<Function, Failure> {
    let wrong = || {
        Failure::usage(
            &format!("`--with {text}` does not say which function of which file"),
            "write `--with FILE.py:NAME`, or `module:NAME` for one of the environment",
        )
    };
    let (module, name) = text.rsplit_once(':').ok_or_else(wrong)?;
    if module.is_empty() || name.is_empty() {
        return Err(wrong());
    }
    let is_file =
        module.contains('/') || Path::new(module).extension().is_some_and(|end| end == "py");
    if !is_file {
        return Ok(Function {
            module: module.to_owned(),
            name: name.to_owned(),
            digest: None,
        });
    }
    let path = Path::new(module);
    given::exists("file", path)?;
    let content = files::read(path).or_exit(Exit::Usage)?;
    let path = files::absolute(path).or_exit(Exit::Usage)?;
    let module = path.into_os_string().into_string().map_err(|path| {
        Failure::usage(
            &format!("the path `{}` is not UTF-8", path.display()),
            "rename the file or its directory",
        )
    })?;
    Ok(Function {
        module,
        name: name.to_owned(),
        digest: Some(Digest::of(content).short(16)),
    })
}
