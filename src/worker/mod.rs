//! Using what was built: a worker answers an i-PI server with a model's energies and forces. Starts from directories
//! alone; knows no manifest, no lock and no build.
//!
//! ```text
//! server ◀── socket, i-PI ──▶ launcher (this process) ◀── socket pair: whose turn it is ──▶ Python: setup(), calculate()
//!                                       ◀── shared file: positions, forces ──▶
//! ```
//!
//! Rust holds the server's socket, so that whatever happens to Python, the server sees an answer or an orderly end.
//! The model is loaded first and the server reached afterwards: i-PI stands still while a client that is connected
//! makes it wait.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::Serialize;

use crate::process::{
    self,
    threads::{self, NoThread},
};
use crate::runtime::{Selected, Variables, variables};
use crate::store::{Root, inside};

pub mod connect;
mod connection;
pub mod excuse;
mod handover;
pub mod import;
pub mod inherited;
pub mod measure;
mod memory;
mod model;
pub mod once;
mod origin;
mod output;
pub mod prewarm;
mod python;
pub mod setup;
pub mod signals;
mod wait;

use connect::Address;
use handover::{HandOver, Silence};
use ipi_client::{Exception, Failure, System};
use model::{Life, Model, Ready};
use origin::Origin;
use output::Tail;
use prewarm::Prewarm;
use python::Python;
use signals::{Signals, Told};
use wait::{Wake, wait};

/// What Python runs, in parts that use what stands above them.
const PROGRAM: &str = concat!(
    include_str!("../../python/rootstock/encoding.py"),
    "\n\n",
    include_str!("report.py"),
    "\n\n",
    include_str!("once.py"),
    "\n\n",
    include_str!("atoms.py"),
    "\n\n",
    include_str!("results.py"),
    "\n\n",
    include_str!("shim.py")
);

/// What a worker is to do.
#[derive(Debug)]
pub struct Options {
    /// Passed to `setup`; `auto` for what the environment sees.
    pub device: String,
    /// Which atoms.
    pub species: Species,
    /// `Atoms.info` where the template says nothing or something else.
    pub info: serde_json::Map<String, serde_json::Value>,
    /// Whether to compute stresses.
    pub stress: bool,
    /// Where the server is.
    pub server: connect::Address,
    /// Whether the server is an i-PI whose numbers lie in shared memory (`mode='shm'`).
    pub shared_memory: bool,
    /// How long to wait for it.
    pub connect_timeout: Duration,
    /// How long the model may take to load.
    pub startup_timeout: Duration,
    /// How often to say that it is still loading, or still computing a step.
    pub heartbeat: Duration,
    /// Whether to read ahead what Python loads.
    pub prewarm: Prewarm,
    /// How long a step may take; for ever if `None`.
    pub step_timeout: Option<Duration>,
    /// How often in a run a Python that died is started again.
    pub restarts: u32,
}

/// Where the species come from.
#[derive(Debug, Clone)]
pub enum Species {
    /// From a structure file, read by the environment's ASE.
    Template(PathBuf),
    /// From the command line.
    Given(System),
    /// From the server's INIT, which must be JSON.
    Server,
}

/// How a worker's life ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// How the server ended it.
    pub end: ipi_client::End,
    /// How many frames were computed.
    pub steps: u64,
}

/// A worker failed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// Python could not be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// What Python prints could not be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Threads(#[from] NoThread),
    /// The system gave no socket pair, pipe or memory.
    #[error("cannot prepare the hand-over to Python")]
    System(#[source] std::io::Error),
    /// The model could not be loaded.
    #[error("the model could not be loaded in environment `{environment}`: {}", raised.error)]
    Setup {
        /// Where.
        environment: String,
        /// What went wrong.
        raised: Exception,
    },
    /// It took too long.
    #[error("the model is not loaded after {0} s")]
    #[diagnostic(help(
        "give it more time with `--startup-timeout`, or look at what it printed above"
    ))]
    Startup(u64),
    /// No server.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Connect(#[from] connect::Error),
    /// Python is gone.
    #[error("{cause}")]
    #[diagnostic(help(
        "what it printed last stands above; the server was sent nothing for this step"
    ))]
    Died {
        /// How it ended.
        cause: String,
        /// What it printed last.
        output: String,
    },
    /// Somebody wants it to end.
    #[error("ended by {0}")]
    #[diagnostic(help("the server was told nothing more, and its connection was closed in order"))]
    Told(Told),
    /// The conversation failed.
    #[error(transparent)]
    #[diagnostic(help("{}", advice(.0)))]
    Session(ipi_client::Error),
}

impl Error {
    /// A traceback, or what Python printed last; none if the error says it all.
    pub fn details(&self) -> Option<&str> {
        let text = match self {
            Error::Setup { raised, .. }
            | Error::Session(ipi_client::Error::Failed(Failure::Raised(raised))) => {
                &raised.traceback
            }
            Error::Died { output, .. } => output,
            _ => return None,
        };
        Some(text.trim_end()).filter(|text| !text.is_empty())
    }
}

/// The first JSON that Python is sent.
#[derive(Debug, Serialize)]
struct Order<'a> {
    task: &'static str,
    launcher: u32,
    source: PathBuf,
    argument: &'a str,
    setup: &'a serde_json::Map<String, serde_json::Value>,
    weights: Option<&'a PathBuf>,
    device: &'a str,
    rank: u32,
    template: Option<&'a PathBuf>,
    system: Option<&'a System>,
    info: &'a serde_json::Map<String, serde_json::Value>,
    stress: bool,
}

/// Loads a model, connects to the server and answers it to the end. What Python prints, and what a person should know,
/// is said line by line.
pub fn serve(
    root: &Root,
    selected: &Selected,
    options: &Options,
    inherited: &Variables,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Served, Error> {
    connect::check(&options.server)?;
    if let Address::Tcp(address) = &options.server {
        say(&format!(
            "rootstock: warning: i-PI has no authentication and no encryption: whoever answers on {address} is believed"
        ));
    }
    let signals = Signals::listen().map_err(Error::System)?;
    let variables = variables::for_python(root, selected, inherited);
    let rank = variables::local_rank(inherited);
    let (stop, never_written) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::System(e.into()))?;
    let tail = Tail::default();
    let loaded = AtomicBool::new(false);
    // What the template says; another Python is given the same, whatever has become of the file.
    let described = RefCell::new(None);
    let served = std::thread::scope(|scope| {
        let (stop, tail, loaded) = (&stop, &tail, &loaded);
        if options.prewarm.is_for_environment(&selected.generation) {
            let files = || prewarm::read_ahead(&selected.generation, &selected.cached, loaded);
            let prewarm = move || match files() {
                0 => {}
                count => say(&format!("rootstock: {count} files are read ahead")),
            };
            // Without it the files are read when they are needed.
            let _ = threads::spawn(scope, prewarm);
        }
        let begin = || {
            let (hand_over, stdin) = HandOver::new().map_err(Error::System)?;
            let (python, stdout, stderr) =
                Python::start(selected, &variables, stdin, PROGRAM.len())?;
            threads::spawn(scope, move || {
                output::drain(stdout, stderr, stop, tail, say)
            })?;
            let known = described.borrow().clone();
            let species = known.map_or_else(|| options.species.clone(), Species::Given);
            let order = order(selected, options, &species, rank);
            let life = load(hand_over, python, &order, selected, options, &signals, say);
            if let Ok(life) = &life {
                described.borrow_mut().clone_from(&life.system);
            }
            loaded.store(true, Ordering::Relaxed);
            life
        };
        let origin = || Origin::of(root, selected);
        let served = live(&begin, &origin, options, &signals, say);
        // Python is gone by now; what it has printed is read to the end before anything is told about it.
        drop(never_written);
        served
    });
    // Whatever went wrong because we were told to end, that is why.
    if let (Some(told), true) = (signals.told(), served.is_err()) {
        return Err(Error::Told(told));
    }
    served.map_err(|error| match error {
        Error::Died { cause, .. } => Error::Died {
            cause,
            output: tail.text(),
        },
        error => error,
    })
}

/// From the order to Python's end.
fn live(
    begin: &dyn Fn() -> Result<Life, Error>,
    origin: &dyn Fn() -> crate::files::Result<Origin>,
    options: &Options,
    signals: &Signals,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Served, Error> {
    let started = Instant::now();
    let life = begin()?;
    let mut model = Model {
        system: life.system.clone(),
        life: Some(life),
        begin,
        restarts: options.restarts,
        patience: options.step_timeout,
        heartbeat: options.heartbeat,
        stress: options.stress,
        everything: false,
        origin,
        steps: 0,
        say,
        signals,
        peer: None,
        shared: None,
    };
    let seconds = started.elapsed().as_secs_f64();
    say(&format!(
        "rootstock: model loaded in {seconds:.1} s, connecting to {}",
        options.server
    ));
    let end = converse(&mut model, options);
    let steps = model.steps();
    // Who computes for nobody is not waited for.
    let is_idle = !matches!(end, Ok(ipi_client::End::Gone)) && !model.is_computing_in_memory();
    if let Some(life) = model.life
        && is_idle
        && !signals.is_told()
    {
        life.python.end(life.hand_over.socket());
    }
    Ok(Served { end: end?, steps })
}

/// What a Python is to load.
fn order<'a>(
    selected: &'a Selected,
    options: &'a Options,
    species: &'a Species,
    rank: u32,
) -> Order<'a> {
    Order {
        task: "serve",
        launcher: std::process::id(),
        source: selected.generation.join(inside::SOURCE),
        argument: &selected.argument,
        setup: &selected.setup,
        weights: selected.weights.as_ref(),
        device: &options.device,
        rank,
        template: match species {
            Species::Template(path) => Some(path),
            _ => None,
        },
        system: match species {
            Species::Given(system) => Some(system),
            _ => None,
        },
        info: &options.info,
        stress: options.stress,
    }
}

/// Has the model loaded.
fn load(
    mut hand_over: HandOver,
    python: Python,
    order: &Order<'_>,
    selected: &Selected,
    options: &Options,
    signals: &Signals,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Life, Error> {
    let rank = order.rank;
    // A Python that is gone before it has read its order is found out when it is asked for its answer.
    let _ = hand_over.begin(PROGRAM, order);
    let begun = Instant::now();
    let deadline = begun + options.startup_timeout;
    loop {
        let beat = deadline.min(Instant::now() + options.heartbeat);
        match wait(hand_over.socket(), PollFlags::IN, Some(beat), Some(signals)) {
            Wake::Ready | Wake::Second => break,
            Wake::Late if beat < deadline => say(&format!(
                "rootstock: still loading the model, for {:.0} s now",
                begun.elapsed().as_secs_f64()
            )),
            Wake::Late => return Err(Error::Startup(options.startup_timeout.as_secs())),
            Wake::Told => return Err(connect::Error::Told.into()),
        }
    }
    match hand_over.ready::<Ready>() {
        Ok(Ready { system, device }) => {
            if let Some(device) = device {
                say(&format!(
                    "rootstock: device {device} (local rank {rank} of this node)"
                ));
            }
            Ok(Life {
                hand_over,
                python,
                system,
            })
        }
        Err(Silence::Raised(raised)) => Err(Error::Setup {
            environment: selected.environment.to_string(),
            raised,
        }),
        Err(Silence::Gone(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(died(error.to_string()))
        }
        Err(_) => Err(died(python.cause())),
    }
}

/// Connects and answers.
fn converse(model: &mut Model<'_>, options: &Options) -> Result<ipi_client::End, Error> {
    let life = model.life.as_ref().expect("its model is loaded");
    let connected = connect::connect(
        &options.server,
        options.connect_timeout,
        life.hand_over.socket(),
        model.signals,
    );
    let connection = match connected {
        Err(connect::Error::Abandoned) => return Err(died(life.python.cause())),
        connected => connected?,
    };
    model.peer = Some(connection.peer());
    let mut session = ipi_client::Session::new(connection);
    if options.shared_memory {
        session = session.with_segments(&open_segment);
    }
    let end = session.serve(model);
    model.peer = None;
    if end.is_err() {
        if model.is_computing_in_memory() {
            // A client that waits for its bell hears of the end when nobody holds it any more.
            model.life = None;
            model.leave_memory();
        }
        session.into_stream().close();
    }
    end.map_err(|error| match error {
        ipi_client::Error::Failed(Failure::Died(cause)) => died(cause),
        error => Error::Session(error),
    })
}

/// A segment of shared memory of this user's.
fn open_segment(name: &str) -> std::io::Result<(OwnedFd, u64)> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(Path::new("/dev/shm").join(name), flags, Mode::empty())?;
    let found = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile
        || found.st_uid != rustix::process::geteuid().as_raw()
    {
        return Err(std::io::Error::other("it is no file of this user's"));
    }
    Ok((file, u64::try_from(found.st_size).unwrap_or(0)))
}

fn died(cause: String) -> Error {
    Error::Died {
        cause,
        output: String::new(),
    }
}

/// What to do about a conversation that failed.
fn advice(error: &ipi_client::Error) -> &'static str {
    match error {
        ipi_client::Error::Wire(_) | ipi_client::Error::Order => {
            "is there an i-PI server at the other end of this socket?"
        }
        ipi_client::Error::Init(ipi_client::dialect::Error::Batch(_)) => {
            "i-PI evaluates structures one by one without `batch_size`"
        }
        ipi_client::Error::Init(_) => "`rootstock worker --help` says what a server can send",
        ipi_client::Error::Segments(_) => {
            "`--shm` is for an i-PI with <ffsocket mode='shm'> on this machine, run by the same user"
        }
        ipi_client::Error::Write(_) => "the server, or the connection to it, has gone",
        ipi_client::Error::NoSpecies => {
            "name them with `--template FILE`, or with `--species` and `--pbc`"
        }
        ipi_client::Error::Atoms { .. } => {
            "give the worker the structure that the server simulates, atoms in the same order"
        }
        ipi_client::Error::NoStress => {
            "with `--no-stress` the virial is sent as zero: for runs that use neither stress nor pressure"
        }
        ipi_client::Error::Failed(_) => {
            "the server was sent nothing for this step, and the connection was closed"
        }
    }
}
