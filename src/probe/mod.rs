//! Examines a model from outside, as a server sees it: starts `rootstock worker`, has it compute, checks its numbers and
//! measures where the time goes. Uses the dialect of rootstock's clients (`ipi_client::dialect`) over a socket pair that no
//! other process can reach. Prints nothing.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::process::Child;

use crate::process::{
    self, Command, Exit,
    threads::{self, NoThread},
};
use crate::runtime::Selected;
use latency::Latency;
use smoke::Smoke;

pub(crate) mod exchange;
pub(crate) mod latency;
pub(crate) mod numbers;
mod numbers_report;
mod report;
mod server;
pub(crate) mod smoke;
pub(crate) mod structure;

pub(crate) use numbers_report::NumbersReport;
pub(crate) use report::{Refusal, Report};
pub(crate) use server::{AskError, Server};
pub(crate) use structure::Structure;

/// A worker cannot be probed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// The worker cannot be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// No thread to read its output.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Threads(#[from] NoThread),
    /// No socket pair.
    #[error("cannot make a socket for the worker")]
    Socket(#[source] std::io::Error),
    /// The worker ended.
    #[error("the worker {exit}")]
    #[diagnostic(help("its output is above"))]
    Gone {
        /// How it ended.
        exit: Exit,
        /// Its output.
        output: String,
    },
    /// The turn to a Python cannot be measured.
    #[error("cannot measure with `{}`: {}", .0.display(), .1)]
    Measure(std::path::PathBuf, std::io::Error),
    /// Its answer is invalid.
    #[error("the worker's answer cannot be read")]
    Answer(#[source] std::io::Error),
    /// A later step failed.
    #[error("the model failed at a step after others that it computed")]
    #[diagnostic(help("its traceback is above"))]
    Refused {
        /// The traceback.
        traceback: String,
    },
    /// It can compute none of the structures.
    #[error("`{model}` could not compute {}", names(.refused))]
    #[diagnostic(help("try a structure that the model is made for: `--structure FILE`"))]
    NoStructure {
        /// The model.
        model: String,
        /// The structures.
        refused: Vec<Refusal>,
    },
    /// The structure cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Structure(#[from] structure::Error),
}

impl From<AskError> for Error {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Invalid(error) => Error::Answer(error),
            AskError::Refused(traceback) => Error::Refused { traceback },
            AskError::Gone => Error::Answer(ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// What to probe, and how.
pub(crate) struct Request<'a> {
    /// The model.
    pub model: &'a str,
    /// Where it runs.
    pub selected: Selected,
    /// The device that `setup()` is given.
    pub device: &'a str,
    /// The first that the model accepts is computed.
    pub structures: Vec<Structure>,
    /// The number of steps to measure; 0 measures none.
    pub steps: u32,
    /// The largest overhead that passes, in per cent of the computation.
    pub max_overhead: Option<f64>,
}

/// Probes a model. The command is `rootstock worker MODEL …` without the server's address; its output comes back beside the
/// report.
pub(crate) fn probe(command: Command, request: Request) -> Result<(Report, String), Error> {
    let Request {
        model, structures, ..
    } = request;
    let conservative = request.selected.about.conservative;
    let asked = with_worker(command, |server| {
        measure(server, structures, request.steps, conservative)
    })?;
    let (Measured { refused, computed }, output) = asked;
    let model = model.to_owned();
    let Some((structure, smoke, latency)) = computed else {
        return Err(Error::NoStructure { model, refused });
    };
    let report = Report {
        model,
        selected: request.selected,
        device: request.device.to_owned(),
        refused,
        structure,
        smoke,
        latency,
        max_overhead: request.max_overhead,
    };
    Ok((report, output))
}

/// The structures that a model refused, and the first that it computed.
struct Measured {
    refused: Vec<Refusal>,
    computed: Option<(Structure, Smoke, Option<Latency>)>,
}

fn measure(
    server: &mut Server<UnixStream>,
    structures: Vec<Structure>,
    steps: u32,
    conservative: bool,
) -> Result<Measured, AskError> {
    let mut refused = Vec::new();
    for structure in structures {
        match smoke::test(server, &structure, conservative) {
            Err(AskError::Refused(traceback)) => refused.push(Refusal {
                structure: structure.name,
                traceback,
            }),
            Err(error) => return Err(error),
            Ok(smoke) => {
                let latency = match steps {
                    0 => None,
                    steps => latency::measure(server, &structure, steps)?,
                };
                let computed = Some((structure, smoke, latency));
                return Ok(Measured { refused, computed });
            }
        }
    }
    let computed = None;
    Ok(Measured { refused, computed })
}

fn names(refused: &[Refusal]) -> String {
    let names: Vec<&str> = refused
        .iter()
        .map(|refusal| refusal.structure.as_str())
        .collect();
    names.join(", nor ")
}

/// Starts a worker and calls `with` to ask it. The worker's output is returned beside the result.
fn with_worker<T>(
    command: Command,
    with: impl FnOnce(&mut Server<UnixStream>) -> Result<T, AskError>,
) -> Result<(T, String), Error> {
    let (ours, theirs) = UnixStream::pair().map_err(Error::Socket)?;
    let mut child = command
        .arguments(["--fd", "0", "--species-from-server"])
        .spawn(theirs.into())?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (result, exit, output) = std::thread::scope(|scope| {
        let reading = threads::spawn(scope, move || text(stdout)).and_then(|stdout| {
            let stderr = threads::spawn(scope, move || text(stderr))?;
            Ok([stdout, stderr])
        });
        let reading = match reading {
            Ok(reading) => reading,
            Err(error) => {
                // How it ends is of no interest.
                let _ = child.kill();
                end(&mut child);
                return Err(error);
            }
        };
        let mut server = Server::new(ours);
        let result = with(&mut server);
        // Closing the socket ends the worker.
        drop(server);
        let exit = end(&mut child);
        let output = reading.map(|thread| thread.join().unwrap_or_default());
        Ok((result, exit, output.concat()))
    })?;
    match result {
        Ok(value) => Ok((value, output)),
        Err(AskError::Gone) => Err(Error::Gone { exit, output }),
        Err(error) => Err(error.into()),
    }
}

fn end(child: &mut Child) -> Exit {
    child.wait().map_or(Exit::Code(1), Exit::from)
}

fn text(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What was read before a pipe broke is returned.
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
