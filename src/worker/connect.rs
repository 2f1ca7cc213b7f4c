//! Reaching the server: it may come later than its workers do, and with i-PI it usually does. Creates no socket file.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::python::wait_until;

/// How often a server that is not there yet is looked for.
const AGAIN: Duration = Duration::from_millis(20);
/// The longest path the system takes for a socket (`sun_path`, less the final NUL).
const LONGEST_PATH: usize = 107;

/// No server was reached.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// Nobody listens.
    #[error("no server listens on `{}` (waited {seconds} s)", path.display())]
    #[diagnostic(help(
        "start the server, or wait longer with `--connect-timeout`; the name must be that of i-PI's <address> or ASE's \
         `unixsocket`, which live in /tmp/ipi_NAME (`--unix-prefix` where i-PI has another prefix)"
    ))]
    Nobody {
        /// Where.
        path: PathBuf,
        /// For how long.
        seconds: u64,
        /// What the system said last.
        source: io::Error,
    },
    /// The path does not fit into the system's structure.
    #[error("`{}` is too long for a socket: {} bytes, {LONGEST_PATH} at most", .0.display(), .0.as_os_str().len())]
    TooLong(PathBuf),
    /// Not allowed, or no socket.
    #[error("cannot connect to `{}`", path.display())]
    Refused {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nobody left to connect for.
    #[error("Python ended while waiting for the server")]
    Abandoned,
}

/// Makes sure that a path can be that of a socket.
pub fn check(path: &Path) -> Result<(), Error> {
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(Error::TooLong(path.to_owned()));
    }
    Ok(())
}

/// Connects as soon as the server is there, unless `python` closes its end before.
pub(super) fn connect(
    path: &Path,
    timeout: Duration,
    python: &UnixStream,
) -> Result<UnixStream, Error> {
    let deadline = Instant::now() + timeout;
    loop {
        let source = match UnixStream::connect(path) {
            Ok(connection) => return Ok(connection),
            // Not there yet; or left by a server that has gone, to be replaced by the next one.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                ) =>
            {
                error
            }
            Err(source) => {
                return Err(Error::Refused {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let now = Instant::now();
        if now >= deadline {
            return Err(Error::Nobody {
                path: path.to_owned(),
                seconds: timeout.as_secs(),
                source,
            });
        }
        if wait_until(python, deadline.min(now + AGAIN)) {
            return Err(Error::Abandoned);
        }
    }
}
