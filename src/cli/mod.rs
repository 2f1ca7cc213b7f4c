//! The command line: arguments, the table of commands, exit codes. The only place that reads environment variables and the
//! current directory; [`show`] does all printing.

use std::process::ExitCode;

use clap::{FromArgMatches as _, Parser, Subcommand};

mod add;
mod bundle;
mod call;
mod call_list;
mod context;
mod completions;
mod doctor;
mod escape;
mod examined;
mod evaluate;
mod exit;
mod export;
mod foreign;
mod gc;
mod given;
mod help;
mod image;
mod init;
mod interrupt;
mod limits;
mod locate;
mod lock;
mod models;
mod numbers;
mod lock_diff;
mod root;
mod probe;
mod progress;
mod pythons;
mod remove;
mod resolve;
mod run;
mod selection;
mod serve;
mod shared;
mod show;
mod stage;
mod status;
mod sync;
mod tree;
mod width;
mod worker;

use exit::{Exit, Failure};

use crate::process;
pub(crate) use shared::Shared;

const EXAMPLES: &str =
    "Exit codes: 0 ok · 1 failed or findings · 2 usage or unreadable input · 3 drift · \
    4 environment missing, stale or unusable here · 124 time limit · 128+N: terminated by signal N

Examples:
  rootstock lock && rootstock sync     resolve, then build
  rootstock lock --check               for CI: exit 3 if the lock has drifted from the manifest
  rootstock worker emt --unix name     serve forces to an i-PI server
  rootstock run emt -- python x.py     run a command in an environment";

const VARIABLES: &str = "Environment variables (an empty one counts as unset):
  ROOTSTOCK_ROOT            the root, if `--root` is not given
  ROOTSTOCK_CLUSTER         the cluster, if neither a root nor `--cluster` is given
  ROOTSTOCK_CONFIG          a configuration, read before ~/.config/rootstock/config.toml and /etc/rootstock/config.toml
  ROOTSTOCK_GENERATION      generations to run instead of the current ones, for all tasks of a job: `mace@ID`, `mace@ID,orb@ID`
  ROOTSTOCK_UV              the uv to resolve with
  ROOTSTOCK_PYTHON_MIRROR   where managed interpreters are fetched: an address or a directory
  UV_DEFAULT_INDEX          the package index, if not uv's default
  UV_INDEX_<NAME>_USERNAME, UV_INDEX_<NAME>_PASSWORD, NETRC, UV_KEYRING_PROVIDER
                            credentials for an index
  HF_ENDPOINT, HF_TOKEN     a mirror of the Hugging Face Hub, and credentials for it
  ROOTSTOCK_TRUST           users beside root whose programs may be run: `easybuild`, `alice,bob`, `*`
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY, SSL_CERT_FILE, SSL_CERT_DIR
                            network access
  ROOTSTOCK_HTTP_TIMEOUT    seconds that a server may send nothing, 30; it has twice that for a response
  ROOTSTOCK_HTTP_MIN_RATE   bytes per second that a server has to send on average over that time, 1024; 0: no limit
  ROOTSTOCK_HTTP_MAX_SIZE   bytes of a file whose size is not locked, 17179869184 (16 GiB)
  ROOTSTOCK_NETWORK_TIMEOUT seconds for one run of uv, pip or git, 3600
  ROOTSTOCK_RUNTIME_INSTALL `skip`: `run --python` builds nothing that is missing; `auto`: it does
  XDG_CACHE_HOME            the user's caches (compiled code, uv), ~/.cache if not set; where that cannot be written, those of this
                            job are below SLURM_TMPDIR, TMPDIR or /tmp
  OMP_NUM_THREADS           threads of a worker; if not set, what the scheduler says of this task: SLURM_CPUS_PER_TASK, PALS_DEPTH,
                            ALPS_APP_DEPTH, or its share of NCPUS (PBS), PBS_NUM_PPN (Torque), NSLOTS, LSB_MCPU_HOSTS (LSF)
  NO_COLOR                  no colours";

/// Reproducible Python environments and i-PI workers for machine-learning interatomic potentials.
#[derive(Debug, Parser)]
#[command(
    name = "rootstock",
    version,
    max_term_width = 100,
    propagate_version = true
)]
#[command(after_help = EXAMPLES, after_long_help = format!("{VARIABLES}\n\n{EXAMPLES}"))]
struct Arguments {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Begin a project: a manifest with one small environment.
    Init(init::Arguments),
    /// Add environments of the catalogue, or of Python files, to the manifest.
    Add(add::Arguments),
    /// Remove environments from the manifest.
    Remove(remove::Arguments),
    /// Resolve every environment and write `rootstock.lock`.
    Lock(lock::Arguments),
    /// Make the root match the lock: build what is missing, switch what has changed.
    #[command(visible_alias = "build")]
    Sync(sync::Arguments),
    /// Collect everything that a sync downloads in one directory, for machines without a network.
    Bundle(bundle::Arguments),
    /// Pack environments into one file with everything that a node needs.
    Image(image::Arguments),
    /// Copy environments to the node's own disk, once for all its tasks, and print the root there.
    Stage(stage::Arguments),
    /// Export an environment of the lock to a format of other tools.
    Export(export::Arguments),
    /// Show the state of every environment and model.
    #[command(visible_alias = "list")]
    Status(status::Arguments),
    /// Show what the models of the root are for, and whether their numbers were verified.
    Models(models::Arguments),
    /// Show what an environment's packages require of each other.
    Tree(tree::Arguments),
    /// Print a script that completes commands and names in a shell.
    Completions(completions::Arguments),
    /// Print names for completion.
    #[command(hide = true)]
    Names(completions::Names),
    /// Write the manual.
    #[command(hide = true)]
    Man(completions::Man),
    /// Print where the root is, and what a model is there, for other programs.
    #[command(hide = true)]
    Resolve(resolve::Arguments),
    /// Diagnose a root and print the fix of each problem.
    Doctor(doctor::Arguments),
    /// Remove what the root no longer needs: old generations, unused wheels, leftovers.
    Gc(gc::Arguments),
    /// Check a model's numbers and measure its overhead, as a server sees them.
    #[command(visible_alias = "test")]
    Probe(probe::Arguments),
    /// Run a command in an environment.
    Run(run::Arguments),
    /// Call a function in an environment; one line of JSON says what it returned.
    Call(Box<call::Arguments>),
    /// Compute energies, forces and stress of many structures, or call a function with each.
    Evaluate(Box<evaluate::Arguments>),
    /// Serve a model's energies and forces to an i-PI server.
    Worker(Box<worker::Arguments>),
    /// Serve a model to LAMMPS' `fix rootstock` or `pair_style rootstock`, which start this themselves.
    Serve(serve::Arguments),
}

/// Runs the program; the exit code is that of the command.
pub fn main() -> ExitCode {
    if let Some(interrupted) = interrupt::Arguments::of_this_process() {
        return interrupt::run(&interrupted).into();
    }
    let matches = help::command().get_matches();
    let mut arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    // The command of `run` keeps the signal handling of its caller.
    if !matches!(arguments.command, Command::Run(_)) {
        process::ignore_file_size_signal();
    }
    show::set_up(arguments.shared.color, arguments.shared.quiet);
    if let Err(failure) = arguments.shared.complete() {
        show::failure(&failure);
        return failure.exit.into();
    }
    if let Command::Call(call) = &arguments.command {
        return call::run(&arguments.shared, call);
    }
    let result: Result<Exit, Failure> =
        context::check_trust().and_then(|()| match arguments.command {
            Command::Init(init) => init::run(&init),
            Command::Add(add) => add::run(&arguments.shared, &add),
            Command::Remove(remove) => remove::run(&arguments.shared, &remove),
            Command::Lock(lock) => lock::run(&arguments.shared, &lock),
            Command::Bundle(bundle) => bundle::run(&arguments.shared, &bundle),
            Command::Image(image) => image::run(&arguments.shared, &image),
            Command::Stage(stage) => stage::run(&arguments.shared, &stage),
            Command::Sync(sync) => sync::run(&arguments.shared, &sync),
            Command::Export(export) => export::run(&arguments.shared, &export),
            Command::Status(status) => status::run(&arguments.shared, &status),
            Command::Models(models) => models::run(&arguments.shared, &models),
            Command::Tree(tree) => tree::run(&arguments.shared, &tree),
            Command::Completions(shell) => Ok(completions::run(&shell)),
            Command::Names(names) => Ok(completions::names(&arguments.shared, &names)),
            Command::Man(man) => completions::man(&man),
            Command::Resolve(resolve) => resolve::run(&arguments.shared, &resolve),
            Command::Doctor(doctor) => doctor::run(&arguments.shared, &doctor),
            Command::Gc(gc) => gc::run(&arguments.shared, &gc),
            Command::Probe(probe) => probe::run(&arguments.shared, &probe),
            Command::Run(run) => run::run(&arguments.shared, &run),
            Command::Evaluate(evaluate) => evaluate::run(&arguments.shared, &evaluate),
            Command::Call(_) => unreachable!("it chooses its exit code itself"),
            Command::Worker(worker) => worker::run(&arguments.shared, &worker),
            Command::Serve(serve) => serve::run(&arguments.shared, &serve),
        });
    let result = match (result, show::unwritten()) {
        (Ok(Exit::Ok), Some(unwritten)) => Err(unwritten),
        (result, _) => result,
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            show::failure(&failure);
            failure.exit.into()
        }
    }
}
