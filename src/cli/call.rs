//! `rootstock call`: arguments, the streams, and the exit code. What fails is a response too, on standard output.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::value::RawValue;

use super::exit::Failure as Report;
use super::run::keep;
use super::worker::seconds;
use super::{Shared, call_list, context, root, selection, show};
use crate::call::{self, Context, Ends, Failure, Kind, Model, Options, Source, Summary, project};
use crate::files::{self, Context as _};
use crate::report::help;
use crate::runtime::command::{Keep, for_call};
use crate::runtime::{Selected, Unusable, select, variables};
use crate::store::stamp::Found;
use crate::store::{Root, Stamp, Verifier, installed, layout};

/// Arguments of `rootstock call`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
FUNCTION is `module:name`, `file.py:name`, or `env_source:name` for one of the environment's own source. With a MODEL the \
function gets the loaded calculator as `calculator`, if it has an argument of this name. Arguments and results are JSON; \
NumPy arrays, ASE Atoms, bytes and paths are objects with a tag, as in {\"$ndarray\": {\"dtype\", \"shape\", \"data\"}}.

What the function prints goes to standard error and into the response. Without FUNCTION a request is read from standard \
input: {\"function\", \"args\", \"kwargs\"}, or {\"class\", \"constructor_args\", \"method_name\", \"args\", \"instance_id\"}; with \
`id`, `timeout`, `workdir`, `want`, `dependencies`.

Exit codes: 0 ok · 1 raised, not found, no result · 2 bad request · 4 environment unusable here · 124 timeout · 128+N killed; \
with --stream 1 if any request failed

Examples:
  rootstock call emt env_source:add 2 3
  rootstock call mace-mp-0-small relax.py:relax --kwargs '{\"fmax\": 0.01}' --device cuda:0
  echo '{\"function\": \"math:sqrt\", \"args\": [2]}' | rootstock call emt
  rootstock call emt --stream -j 4 <requests.jsonl >responses.jsonl")]
pub(crate) struct Arguments {
    /// An environment or a model of the root.
    #[arg(value_name = "ENV|MODEL")]
    pub(super) target: String,
    /// The function.
    #[arg(conflicts_with_all = ["stream", "request"])]
    pub(super) function: Option<String>,
    /// Its arguments.
    #[arg(value_name = "JSON-ARG", allow_negative_numbers = true)]
    pub(super) arguments: Vec<String>,
    /// Its keyword arguments, as an object.
    #[arg(long, value_name = "JSON", requires = "function")]
    kwargs: Option<String>,
    /// Call nothing: show FUNCTIONs with their signatures, or what the manifest lists, or all that is public in the
    /// environment's source and in files of `--path`. Sources are read, and nothing is imported.
    #[arg(long, conflicts_with_all = ["stream", "request", "kwargs"])]
    pub(super) list: bool,
    /// With `--list`: print the result as JSON.
    #[arg(long, requires = "list")]
    pub(super) json: bool,
    /// Read the request from this file.
    #[arg(long, value_name = "FILE", conflicts_with = "stream")]
    request: Option<PathBuf>,
    /// Read a request from each line of standard input, and keep processes from one to the next; responses come as they are
    /// ready.
    #[arg(long)]
    stream: bool,
    /// With `--stream`: how many processes.
    #[arg(
        short,
        long,
        value_name = "N",
        default_value = "1",
        requires = "stream"
    )]
    jobs: std::num::NonZeroUsize,
    /// Put a directory of your own code, and its `src`, at the front of `sys.path`; may be repeated.
    #[arg(long = "path", value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// How long a request may take, in seconds; by default there is no limit.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// How long Python may take to start, and to load the model, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    startup_timeout: Duration,
    /// Where the function works; by default in a private empty directory that is removed afterwards.
    #[arg(long, value_name = "DIR", conflicts_with = "keep")]
    workdir: Option<PathBuf>,
    /// Keep the private directory, and print its path.
    #[arg(long)]
    keep: bool,
    /// Verify every file of the environment first, give each request a new process, and begin with empty caches of compiled code.
    #[arg(long)]
    fresh: bool,
    /// The longest result.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    max_output: usize,
    /// How much of standard output and of standard error a response has: their ends.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = size)]
    capture: usize,
    /// Accept only aggregations: `{"target_entrypoint", "sim_returns", "target_data"}`.
    #[arg(long, alias = "aggregation", conflicts_with_all = ["function", "list"])]
    aggregate: bool,
    /// Print only `task_id` and `outputs`, `loss` and its companions, or `_fatal_error`.
    #[arg(long, conflicts_with_all = ["function", "list"])]
    bare: bool,
    /// Write the outputs of tasks into files in this directory, named by their sha256.
    #[arg(long, value_name = "DIR")]
    spill: Option<PathBuf>,
    /// Accept and return pickles, as base64. Unpickling runs code: only for requests that you trust.
    #[arg(long)]
    pickle: bool,
    /// Accept source text in requests (`function_code`, `class_code`).
    #[arg(long)]
    allow_code: bool,
    /// Pass on this variable as well, all that begin with PREFIX, or set one to VALUE.
    #[arg(
        long = "keep-variable",
        alias = "env",
        value_name = "NAME[=VALUE]|PREFIX*",
        value_parser = keep
    )]
    keep_variables: Vec<Keep>,
    /// The device passed to `setup()` of a model; `auto` as for `rootstock worker`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// With `--stream`: end processes without instances that have had no request for so long, in seconds.
    #[arg(long, value_name = "SECONDS", requires = "stream", value_parser = seconds)]
    idle_timeout: Option<Duration>,
    /// With `--stream`: how many processes that died are replaced; by default all.
    #[arg(long, value_name = "N", requires = "stream")]
    restarts: Option<u32>,
    /// Add a line of JSON to this file for each process: environment, generation, and what its Python says of itself.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// A size in bytes: `4096`, `256MiB`, `1 GB`.
fn size(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
        ("", 1),
    ];
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let factor = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let number: Option<u64> = digits.trim_end().parse().ok();
    let bytes = number
        .zip(factor)
        .and_then(|(number, (_, factor))| number.checked_mul(*factor));
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| "not a size: write a number of bytes, or as in `256MiB`".to_owned())
}

/// Why nothing was called: a failure with its response.
struct Refused {
    failure: Failure,
    /// The request, for its `id`.
    request: Vec<u8>,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> ExitCode {
    if arguments.list {
        return call_list::run(shared, arguments);
    }
    match try_run(shared, arguments) {
        Ok(summary) => exit(arguments, &summary),
        Err(refused) => {
            let response = call::refused(
                &arguments.target,
                &refused.request,
                arguments.bare,
                &refused.failure,
            );
            show::document(&response);
            explain(&refused.failure);
            refused.failure.exit().into()
        }
    }
}

fn exit(arguments: &Arguments, summary: &Summary) -> ExitCode {
    if let Some(error) = &summary.unwritten {
        show::remark(&format!(
            "rootstock: cannot write to standard output: {error}"
        ));
        return 1.into();
    }
    if let Some(signal) = summary.stopped {
        return signal.exit().into();
    }
    match &summary.last {
        None => 0.into(),
        Some(_) if arguments.stream => 1.into(),
        Some(failure) => {
            explain(failure);
            failure.exit().into()
        }
    }
}

/// Prints a failure for people.
pub(super) fn explain(failure: &Failure) {
    if !failure.traceback.is_empty() {
        show::remarks(failure.traceback.trim_end());
    }
    show::remark(&format!(
        "rootstock: {}: {}",
        failure.kind.name(),
        failure.message
    ));
    if !failure.hint.is_empty() {
        show::remark(&format!("  help: {}", failure.hint));
    }
}

fn try_run(shared: &Shared, arguments: &Arguments) -> Result<Summary, Refused> {
    let request = request(arguments);
    let refused = |request: &Option<Vec<u8>>| {
        let request = request.clone().unwrap_or_default();
        move |failure| Refused { failure, request }
    };
    let request = request.map_err(refused(&None))?;
    let prepared = prepare(shared, arguments).map_err(refused(&request))?;
    prepared
        .call(arguments, request)
        .map_err(|failure| Refused {
            failure,
            request: Vec::new(),
        })
}

/// The request, unless they are to be read from a stream.
fn request(arguments: &Arguments) -> Result<Option<Vec<u8>>, Failure> {
    if arguments.stream {
        return Ok(None);
    }
    if let Some(function) = &arguments.function {
        return of_arguments(function, arguments).map(Some);
    }
    if let Some(path) = &arguments.request {
        let bytes = std::io::Result::and_then(
            files::open(path).map_err(|error| io::Error::other(error.text())),
            read_all,
        );
        return bytes.map(Some).map_err(|error| {
            Failure::new(
                Kind::BadRequest,
                format!("cannot read the request: {error}"),
                "name a file with one JSON object",
            )
        });
    }
    read_all(io::stdin().lock()).map(Some).map_err(|error| {
        Failure::new(
            Kind::BadRequest,
            format!("cannot read the request from standard input: {error}"),
            "",
        )
    })
}

fn read_all(mut from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The request that the command line makes.
fn of_arguments(function: &str, arguments: &Arguments) -> Result<Vec<u8>, Failure> {
    let json = |text: &String, what: &str| {
        serde_json::from_str::<Box<RawValue>>(text).map_err(|_| {
            let quoted = serde_json::Value::from(text.as_str()).to_string();
            Failure::new(
                Kind::BadRequest,
                format!("{what} `{text}` is not JSON"),
                format!("text needs quotes of its own: '{quoted}'"),
            )
        })
    };
    let values = arguments
        .arguments
        .iter()
        .map(|text| json(text, "the argument"));
    let values: Vec<Box<RawValue>> = values.collect::<Result<_, _>>()?;
    let kwargs = arguments
        .kwargs
        .as_ref()
        .map(|text| json(text, "`--kwargs`"))
        .transpose()?;
    let request = serde_json::to_vec(&Request {
        function,
        args: values,
        kwargs,
    });
    Ok(request.expect("JSON can be written"))
}

#[derive(serde::Serialize)]
struct Request<'a> {
    function: &'a str,
    args: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kwargs: Option<Box<RawValue>>,
}

/// All that a call needs beside its requests.
pub(super) struct Prepared {
    pub(super) root: Root,
    pub(super) selected: Selected,
    pub(super) stamp: Stamp,
    is_model: bool,
    pub(super) directory: PathBuf,
}

pub(super) fn prepare(shared: &Shared, arguments: &Arguments) -> Result<Prepared, Failure> {
    let reported = |kind| move |report: Report| of_report(kind, &report);
    context::check_trust().map_err(reported(Kind::BadRequest))?;
    let root = root::built(shared).map_err(reported(Kind::BadRequest))?;
    root::warn_of_open(&root);
    let (selected, is_model) = select(&root, &arguments.target, shared)?;
    root::warn_of_exposed_python(&selected);
    context::check_own_cache().map_err(reported(Kind::EnvironmentBroken))?;
    let stamp = match Stamp::read(&selected.generation) {
        Ok(Found::Stamp(stamp)) => *stamp,
        _ => {
            return Err(Failure::new(
                Kind::EnvironmentBroken,
                format!("the stamp of `{}` is gone", selected.generation.display()),
                format!("build it again: `rootstock sync {}`", selected.environment),
            ));
        }
    };
    let directory = files::absolute(Path::new(".")).map_err(|error| of_files(&error))?;
    let prepared = Prepared {
        root,
        selected,
        stamp,
        is_model,
        directory,
    };
    if arguments.fresh {
        prepared.verify()?;
    }
    Ok(prepared)
}

/// An environment, or a model of one; and which of them.
fn select(root: &Root, name: &str, shared: &Shared) -> Result<(Selected, bool), Failure> {
    let selected = match select::environment(root, name) {
        Err(Unusable::Model { .. }) => select::model(root, name).map(|selected| (selected, true)),
        Err(Unusable::UnknownEnvironment { .. }) => {
            select::model(root, name).map(|selected| (selected, true))
        }
        selected => selected.map(|selected| (selected, false)),
    };
    selected.map_err(|error| {
        let kind = match &error {
            Unusable::Foreign { .. } | Unusable::Newer { .. } | Unusable::Layout(_) => {
                Kind::EnvironmentForeign
            }
            Unusable::Python { .. }
            | Unusable::Interpreter { .. }
            | Unusable::Closed { .. }
            | Unusable::Catalogue(_)
            | Unusable::Files(_) => Kind::EnvironmentBroken,
            _ => Kind::EnvironmentMissing,
        };
        of_report(kind, &selection::failure(error, name, shared))
    })
}

/// A failure from the report of another command.
fn of_report(kind: Kind, report: &Report) -> Failure {
    let help = report.report.help().map(|help| help.to_string());
    Failure::new(kind, report.report.to_string(), help.unwrap_or_default())
}

fn of_files(error: &files::Error) -> Failure {
    Failure::new(
        Kind::BadRequest,
        error.text(),
        help(error).unwrap_or_default(),
    )
}

impl Prepared {
    /// Reads every byte of the environment.
    fn verify(&self) -> Result<(), Failure> {
        let Self {
            selected, stamp, ..
        } = self;
        let broken = |message: String| {
            let repair = format!(
                "repair it: `rootstock sync --repair {}`",
                selected.environment
            );
            Failure::new(Kind::EnvironmentBroken, message, repair)
        };
        let access = layout::access(&self.root).map_err(|error| broken(error.to_string()))?;
        let root = root::under(self.root.clone(), access);
        let root = root.map_err(|report| of_report(Kind::EnvironmentBroken, &report))?;
        let verifier = Verifier::default();
        match installed::is_intact(&root, &selected.generation, stamp, &verifier) {
            Ok(true) => Ok(()),
            Ok(false) => Err(broken(format!(
                "environment `{}` has changed since it was built",
                selected.environment
            ))),
            Err(error) => Err(broken(error.text())),
        }
    }

    fn call(&self, arguments: &Arguments, request: Option<Vec<u8>>) -> Result<Summary, Failure> {
        let temporary =
            context::variable("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let options = options(arguments, &self.directory)?;
        let mut inherited = context::variables();
        // Removed at the end.
        let cache = arguments
            .fresh
            .then(|| {
                tempfile::Builder::new()
                    .prefix("rootstock-call-cache-")
                    .tempdir_in(&temporary)
            })
            .transpose()
            .context("create a directory in", &temporary)
            .map_err(|error| of_files(&error))?;
        if let Some(cache) = &cache {
            inherited.insert("XDG_CACHE_HOME".into(), OsString::from(cache.path()));
        }
        let variables = for_call(
            &self.root,
            &self.selected,
            &inherited,
            &arguments.keep_variables,
        );
        let context = Context {
            selected: &self.selected,
            stamp: &self.stamp,
            model: Model {
                device: arguments.device.clone(),
                is_named: self.is_model,
                rank: variables::local_rank(&inherited),
            },
            variables: &variables,
            directory: self.directory.clone(),
            temporary,
            options: &options,
        };
        let record = arguments
            .record
            .as_ref()
            .map(|path| files::append(path))
            .transpose()
            .map_err(|error| of_files(&error))?;
        let write = record.as_ref().map(|file| {
            move |line: &str| {
                let mut file = file;
                if let Err(error) = io::Write::write_all(&mut file, format!("{line}\n").as_bytes())
                {
                    show::remark(&format!(
                        "rootstock: warning: cannot write the record: {error}"
                    ));
                }
            }
        });
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let ends = Ends {
            source: request.map_or_else(|| Source::Stream(stdin.as_fd()), Source::One),
            responses: stdout.as_fd(),
            messages: stderr.as_fd(),
            escape: &show::passed_on,
            warn: &show::remark,
            record: write.as_ref().map(|write| write as &dyn Fn(&str)),
        };
        call::serve(&context, ends).map_err(|error| {
            Failure::new(
                Kind::NoResult,
                format!("cannot serve requests: {error}"),
                "",
            )
        })
    }
}

pub(super) fn options(arguments: &Arguments, here: &Path) -> Result<Options, Failure> {
    let directory = |path: &PathBuf, option: &str| {
        let absolute = here.join(path);
        if files::is_directory(&absolute) {
            return Ok(absolute);
        }
        let message = format!("`{option} {}` is no directory", path.display());
        Err(Failure::new(
            Kind::BadRequest,
            message,
            super::given::advice(path),
        ))
    };
    let paths = arguments.paths.iter().map(|path| directory(path, "--path"));
    let workdir = arguments
        .workdir
        .as_ref()
        .map(|path| directory(path, "--workdir"));
    let paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    let entry_points = project::entry_points_in(&paths).map_err(|error| {
        Failure::new(
            Kind::BadRequest,
            error.to_string(),
            "correct the project file",
        )
    })?;
    Ok(Options {
        aggregate: arguments.aggregate,
        bare: arguments.bare,
        spill: arguments.spill.as_ref().map(|path| here.join(path)),
        entry_points,
        jobs: arguments.jobs.get(),
        timeout: arguments.timeout,
        startup_timeout: arguments.startup_timeout,
        workdir: workdir.transpose()?,
        keep: arguments.keep,
        fresh: arguments.fresh,
        max_output: arguments.max_output,
        capture: arguments.capture,
        pickle: arguments.pickle,
        allow_code: arguments.allow_code,
        paths,
        idle_timeout: arguments.idle_timeout,
        restarts: arguments.restarts,
    })
}
