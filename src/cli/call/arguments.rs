//! The arguments of `rootstock call`.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::run::keep;
use crate::cli::worker::seconds;
use crate::runtime::command::Keep;

/// Arguments of `rootstock call`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
FUNCTION is `module:name`, `file.py:name`, or `env_source:name` for one of the environment's own source. With a MODEL the \
function gets the loaded calculator as `calculator`, if it has an argument of this name. Arguments and results are JSON; \
NumPy arrays, ASE Atoms, bytes and paths are objects with a tag, as in {\"$ndarray\": {\"dtype\", \"shape\", \"data\"}}.

What the function prints goes to standard error and into the response. Without FUNCTION a request is read from standard \
input: {\"function\", \"args\", \"kwargs\"}, or {\"class\", \"constructor_args\", \"method_name\", \"args\", \"instance_id\"}; with \
`id`, `timeout`, `workdir`, `want`, `dependencies`. {\"entrypoint\", \"params\", \"seed\"} runs a task, \
{\"target_entrypoint\", \"sim_returns\"} an aggregation.

Exit codes: 0 ok · 1 raised, not found, no result · 2 bad request · 4 environment unusable here · 124 timeout · 128+N killed; \
with --stream 1 if any request failed

Examples:
  rootstock call emt env_source:add 2 3
  rootstock call mace-mp-0-small relax.py:relax --kwargs '{\"fmax\": 0.01}' --device cuda:0
  echo '{\"function\": \"math:sqrt\", \"args\": [2]}' | rootstock call emt
  rootstock call emt --stream -j 4 <requests.jsonl >responses.jsonl
  rootstock call emt --list --path .          what can be called, with signatures
  echo '{\"entrypoint\": \"main\", \"params\": {}, \"seed\": 7}' | rootstock call --bundle project")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct Arguments {
    /// An environment or a model of the root.
    #[arg(
        value_name = "ENV|MODEL",
        required_unless_present = "bundle",
        default_value = "",
        hide_default_value = true
    )]
    pub(in crate::cli) target: String,
    /// The function.
    #[arg(conflicts_with_all = ["stream", "request"])]
    pub(in crate::cli) function: Option<String>,
    /// Its arguments.
    #[arg(value_name = "JSON-ARG", allow_negative_numbers = true)]
    pub(in crate::cli) values: Vec<String>,
    /// Its keyword arguments, as an object.
    #[arg(
        long,
        value_name = "JSON",
        requires = "target",
        conflicts_with = "stream"
    )]
    pub(in crate::cli) kwargs: Option<String>,
    /// Call nothing: show FUNCTIONs with their signatures, or what the manifest lists, or all that is public in the
    /// environment's source and in files of `--path`. Sources are read, and nothing is imported.
    #[arg(long, conflicts_with_all = ["stream", "request", "kwargs"])]
    pub(in crate::cli) list: bool,
    /// With `--list`: print the result as JSON.
    #[arg(long, requires = "list")]
    pub(in crate::cli) json: bool,
    /// Make the environment of this project first, and put its code at the front of `sys.path`: of `rootstock.toml` and its
    /// lock, or of the requirements in `pyproject.toml`. ENV is needed if the project has several. Without a root the
    /// environment is removed at the end, unless `PRESERVE_TMP=1`; `REUSE=1` keeps one for the next call.
    #[arg(long, value_name = "DIR", conflicts_with = "list")]
    pub(in crate::cli) bundle: Option<PathBuf>,
    /// Read the request from this file.
    #[arg(long, value_name = "FILE", conflicts_with = "stream")]
    pub(in crate::cli) request: Option<PathBuf>,
    /// Read a request from each line of standard input, and keep processes from one to the next; responses come as they are
    /// ready.
    #[arg(long)]
    pub(in crate::cli) stream: bool,
    /// With `--stream`: how many processes.
    #[arg(
        short,
        long,
        value_name = "N",
        default_value = "1",
        requires = "stream"
    )]
    pub(in crate::cli) jobs: std::num::NonZeroUsize,
    /// Put a directory of your own code, and its `src`, at the front of `sys.path`; may be repeated.
    #[arg(long = "path", value_name = "DIR")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// How long a request may take, in seconds; by default there is no limit.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(in crate::cli) timeout: Option<Duration>,
    /// How long Python may take to start, and to load the model, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub(in crate::cli) startup_timeout: Duration,
    /// Where the function works; by default in a private empty directory that is removed afterwards.
    #[arg(long, value_name = "DIR", conflicts_with = "keep")]
    pub(in crate::cli) workdir: Option<PathBuf>,
    /// Keep the private directory, and print its path.
    #[arg(long)]
    pub(in crate::cli) keep: bool,
    /// Verify every file of the environment first, give each request a new process, and begin with empty caches of compiled code.
    #[arg(long)]
    pub(in crate::cli) fresh: bool,
    /// The longest result.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub(in crate::cli) max_output: usize,
    /// How much of standard output and of standard error a response has: their ends.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = size)]
    pub(in crate::cli) capture: usize,
    /// Accept only aggregations: `{"target_entrypoint", "sim_returns", "target_data"}`.
    #[arg(long, alias = "aggregation", conflicts_with_all = ["function", "list"])]
    pub(in crate::cli) aggregate: bool,
    /// Print only `task_id` and `outputs`, `loss` and its companions, or `_fatal_error`.
    #[arg(long, conflicts_with_all = ["function", "list"])]
    pub(in crate::cli) bare: bool,
    /// Write the outputs of tasks into files in this directory, named by their sha256.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) spill: Option<PathBuf>,
    /// Accept and return pickles, as base64. Unpickling runs code: only for requests that you trust.
    #[arg(long)]
    pub(in crate::cli) pickle: bool,
    /// Accept source text in requests (`function_code`, `class_code`).
    #[arg(long)]
    pub(in crate::cli) allow_code: bool,
    /// Pass on this variable as well, all that begin with PREFIX, or set one to VALUE.
    #[arg(
        long = "keep-variable",
        alias = "env",
        value_name = "NAME[=VALUE]|PREFIX*",
        value_parser = keep
    )]
    pub(in crate::cli) keep_variables: Vec<Keep>,
    /// The device passed to `setup()` of a model; `auto` as for `rootstock worker`.
    #[arg(long, default_value = "cpu")]
    pub(in crate::cli) device: String,
    /// With `--stream`: end processes without instances that have had no request for so long, in seconds.
    #[arg(long, value_name = "SECONDS", requires = "stream", value_parser = seconds)]
    pub(in crate::cli) idle_timeout: Option<Duration>,
    /// With `--stream`: how many processes that died are replaced; by default all.
    #[arg(long, value_name = "N", requires = "stream")]
    pub(in crate::cli) restarts: Option<u32>,
    /// Add a line of JSON to this file for each process: environment, generation, and what its Python says of itself.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) record: Option<PathBuf>,
}

/// A size in bytes: `4096`, `256MiB`, `1 GB`.
pub(super) fn size(text: &str) -> Result<usize, String> {
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

impl Arguments {
    /// The same with the words in their order: with `--bundle` the first may be the function.
    pub(super) fn ordered(mut self) -> Self {
        if self.bundle.is_some() && self.target.contains(':') {
            if let Some(value) = self.function.take() {
                self.values.insert(0, value);
            }
            self.function = Some(std::mem::take(&mut self.target));
        }
        self
    }
}
