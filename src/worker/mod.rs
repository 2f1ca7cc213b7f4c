//! Serves a model: a worker answers an i-PI server with energies and forces. Starts from a root's directories alone;
//! knows no manifest, no lock and no build.
//!
//! ```text
//! server ◀── socket, i-PI ──▶ launcher (this process) ◀── socket pair: the turn ──▶ Python: setup(), calculate()
//!                                       ◀── shared file: positions, forces ──▶
//! ```
//!
//! The launcher owns the server's socket, so that the server sees an answer or a clean end, whatever happens to Python.
//! The model is loaded before the server is connected: i-PI stops while a connected client makes it wait.
//! It stays loaded for the next server at the same address, if one is awaited (`servers`).

use std::cell::RefCell;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ipi_client::End;
use rustix::pipe::{PipeFlags, pipe_with};

pub(crate) use crate::pool::signals;
use crate::pool::{polling, python, wait};
use crate::process::threads;
use crate::runtime::{Selected, Variables, job, variables};
use crate::store::Root;

mod answer;
pub(crate) mod connect;
mod connection;
mod distances;
mod handover;
pub(crate) mod import;
mod layout;
mod loading;
pub(crate) mod measure;
mod memory;
mod model;
mod options;
pub(crate) mod origin;
mod outcome;
mod output;
pub(crate) mod prewarm;
mod restarts;
mod servers;
pub(crate) mod setup;
mod shared_steps;
pub(crate) mod socket;
pub(crate) mod startup_error;
pub(crate) mod task;
mod virial;

use answer::{Heartbeat, Waiting};
use connect::Address;
use loading::{Loader, PythonProcess};
use model::Model;
pub(crate) use options::{Options, Species};
use origin::Origin;
pub(crate) use outcome::{Error, Served};
use output::Tail;
use signals::Signals;

/// The program that Python runs; later parts use earlier ones.
const PROGRAM: &str = concat!(
    include_str!("../../python/rootstock/encoding.py"),
    "\n\n",
    include_str!("../../python/rootstock/layout.py"),
    "\n\n",
    include_str!("shim/launcher.py"),
    "\n\n",
    include_str!("shim/report.py"),
    "\n\n",
    include_str!("shim/loading.py"),
    "\n\n",
    include_str!("shim/task.py"),
    "\n\n",
    include_str!("shim/atoms.py"),
    "\n\n",
    include_str!("shim/results.py"),
    "\n\n",
    include_str!("shim/conditions.py"),
    "\n\n",
    include_str!("shim/memory.py"),
    "\n\n",
    include_str!("shim/model.py"),
    "\n\n",
    include_str!("shim/main.py"),
);

/// Loads a model, connects to the server and answers it until the end, and those that follow it. `print` gets Python's output and messages for the
/// user, line by line.
pub(crate) fn serve(
    root: &Root,
    selected: &Selected,
    options: &Options,
    inherited: &Variables,
    print: &(dyn Fn(&str) + Sync),
) -> Result<Served, Error> {
    connect::check(&options.server)?;
    if let Address::Tcp(address) = &options.server {
        print(&format!(
            "rootstock: warning: i-PI has no authentication and no encryption: any server that answers on {address} is trusted"
        ));
    }
    let signals = Signals::listen().map_err(Error::System)?;
    let is_loaded = AtomicBool::new(false);
    let loader = Loader {
        selected,
        options,
        variables: &variables::for_python(root, selected, inherited),
        rank: job::local_rank(inherited),
        signals: &signals,
        print,
        is_loaded: &is_loaded,
        template: RefCell::default(),
    };
    let origin = || Origin::of(root, selected);
    let served = run(&loader, &origin);
    // LAMMPS sends SIGTERM as soon as it sees the end of the connection, the Python rootstock 1.x right behind EXIT.
    signals.stay_blocked();
    served
}

/// Serves with threads that read Python's output and prewarm its files; they end before this returns.
fn run(
    loader: &Loader<'_>,
    origin: &dyn Fn() -> crate::files::Result<Origin>,
) -> Result<Served, Error> {
    let Loader {
        selected,
        options,
        print,
        is_loaded,
        ..
    } = *loader;
    let (stop, open) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::System(e.into()))?;
    let tail = Tail::default();
    let served = std::thread::scope(|scope| {
        if options.prewarm.is_for_environment(&selected.generation) {
            let read_ahead = || {
                let count = prewarm::read_ahead(&selected.generation, &selected.cached, is_loaded);
                if count > 0 {
                    print(&format!("rootstock: reading {count} files ahead"));
                }
            };
            // Without a thread the files are read when they are needed.
            let _ = threads::spawn(scope, read_ahead);
        }
        let (stop, tail) = (&stop, &tail);
        let start = || {
            let (hand_over, child, stdout, stderr) = loader.start()?;
            threads::spawn(scope, move || {
                output::drain(stdout, stderr, stop, tail, print)
            })?;
            loader.load(hand_over, child)
        };
        let served = load_and_converse(&start, origin, loader);
        // Python has ended by now; the threads read its output to the end before an error is reported.
        drop(open);
        served
    });
    served.map_err(|error| match error {
        Error::Died { cause, .. } => Error::Died {
            cause,
            output: tail.text(),
        },
        error => error,
    })
}

fn load_and_converse(
    start: &dyn Fn() -> Result<PythonProcess, Error>,
    origin: &dyn Fn() -> crate::files::Result<Origin>,
    loader: &Loader<'_>,
) -> Result<Served, Error> {
    let Loader {
        options,
        signals,
        print,
        ..
    } = *loader;
    let begin = Instant::now();
    let python = start().map_err(|error| error.unless_stopped(signals))?;
    let mut model = Model {
        system: python.system.clone(),
        python: Some(python),
        start,
        restarts: options.restarts,
        waiting: Waiting {
            timeout: options.step_timeout,
            heartbeat: Some(Heartbeat {
                interval: options.heartbeat,
                print,
            }),
            signals,
            server: None,
        },
        stress: options.stress,
        everything: false,
        origin,
        steps: 0,
        print,
        peer: None,
        shared: None,
        is_abandoned: false,
    };
    let seconds = begin.elapsed().as_secs_f64();
    print(&format!(
        "rootstock: model loaded in {seconds:.1} s, connecting to {}",
        options.server
    ));
    let end = servers::answer(&mut model, options);
    let steps = model.steps();
    // A Python that still computes is not waited for.
    let is_idle = !matches!(end, Ok(End::Gone)) && !model.is_computing_in_memory();
    if let Some(python) = model.python
        && is_idle
        && !signals.is_stopped()
    {
        python.child.end(python.hand_over.socket());
    }
    Ok(Served { end: end?, steps })
}
