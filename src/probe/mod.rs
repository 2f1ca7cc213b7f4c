//! Looking at a model from outside, as a server sees it: starts `rootstock worker`, has it compute, and says whether its
//! numbers make sense and where the time goes. Speaks our own clients' dialect of i-PI (`ipi_client::dialect`) over a
//! socket pair that nobody else can reach. Prints nothing.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::Child;

use crate::process::{
    self, Command, Exit,
    threads::{self, NoThread},
};
use ipi_client::dialect;

pub mod exchange;
pub mod latency;
mod server;
pub mod smoke;
pub mod structure;

pub use server::{Answer, Error as Silence, Server};
pub use structure::Structure;

/// A worker could not be asked.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It could not be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// No thread to read what it prints.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Threads(#[from] NoThread),
    /// No socket pair.
    #[error("cannot make a socket for the worker")]
    Socket(#[source] std::io::Error),
    /// It has gone.
    #[error("the worker {exit}")]
    #[diagnostic(help("what it said stands above"))]
    Gone {
        /// How it ended.
        exit: Exit,
        /// What it said.
        said: String,
    },
    /// It said something that is no answer.
    #[error("the worker's answer cannot be read")]
    Answer(#[source] std::io::Error),
    /// It cannot compute what it could before.
    #[error("the model failed at a step after others that it computed")]
    #[diagnostic(help("what it said stands above"))]
    Refused {
        /// The traceback.
        said: String,
    },
    /// The structure could not be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Structure(#[from] structure::Error),
}

/// Starts a worker and lets `with` ask it. The command is `rootstock worker MODEL …` without the server's address; what the
/// worker says comes back beside the result.
pub fn with_worker<T>(
    command: Command,
    with: impl FnOnce(&mut Server<UnixStream>) -> Result<T, server::Error>,
) -> Result<(T, String), Error> {
    let (ours, theirs) = UnixStream::pair().map_err(Error::Socket)?;
    let mut child = command
        .arguments(["--fd", "0", "--species-from-server"])
        .spawn(theirs.into())?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (result, exit, said) = std::thread::scope(|scope| {
        let reading = threads::spawn(scope, move || text(stdout)).and_then(|stdout| {
            let stderr = threads::spawn(scope, move || text(stderr))?;
            Ok([stdout, stderr])
        });
        let reading = match reading {
            Ok(reading) => reading,
            Err(error) => {
                // Its end is all there is to know of it.
                let _ = child.kill();
                end(&mut child);
                return Err(error);
            }
        };
        let mut server = Server::new(ours);
        let result = with(&mut server);
        // The closed socket is an order to end.
        drop(server);
        let exit = end(&mut child);
        let said = reading.map(|thread| thread.join().unwrap_or_default());
        Ok((result, exit, said.concat()))
    })?;
    match result {
        Ok(value) => Ok((value, said)),
        Err(server::Error::Nonsense(error)) => Err(Error::Answer(error)),
        Err(server::Error::Refused(said)) => Err(Error::Refused { said }),
        Err(server::Error::Gone) => Err(Error::Gone { exit, said }),
    }
}

fn end(child: &mut Child) -> Exit {
    child.wait().map_or(Exit::Code(1), Exit::from)
}

fn text(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What was read before a pipe broke is what there is to tell.
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the INIT of our dialect is told by.
const VERSION: u32 = dialect::VERSION;
