//! Where the server is, and reaching it: it may come later than its workers do, and with i-PI it usually does. Creates
//! no socket file, and says nothing to the server.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::python::wait_until;

/// How often a server that is not there yet is looked for.
const AGAIN: Duration = Duration::from_millis(20);
/// The longest path the system takes for a socket (`sun_path`, less the final NUL).
const LONGEST_PATH: usize = 107;

/// Where the server is.
#[derive(Debug)]
pub enum Address {
    /// It listens on a socket of this path.
    Unix(PathBuf),
    /// It is at the other end of this socket, which is connected.
    Inherited(OwnedFd),
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => path.display().fmt(out),
            Address::Inherited(_) => out.write_str("whoever started this worker"),
        }
    }
}

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
    /// The socket that we were given.
    #[error("the socket of `--fd` cannot be used")]
    Inherited(#[source] io::Error),
    /// There is nobody left to connect for.
    #[error("Python ended while waiting for the server")]
    Abandoned,
}

/// Makes sure that there can be a server at this address.
pub(super) fn check(address: &Address) -> Result<(), Error> {
    match address {
        Address::Unix(path) if path.as_os_str().len() > LONGEST_PATH => {
            Err(Error::TooLong(path.clone()))
        }
        _ => Ok(()),
    }
}

/// Connects as soon as the server is there, unless `python` closes its end before.
pub(super) fn connect(
    address: &Address,
    timeout: Duration,
    python: &UnixStream,
) -> Result<Connection, Error> {
    match address {
        Address::Inherited(socket) => socket
            .try_clone()
            .map(Connection::new)
            .map_err(Error::Inherited),
        Address::Unix(path) => retry(path, timeout, python),
    }
}

fn retry(path: &Path, timeout: Duration, python: &UnixStream) -> Result<Connection, Error> {
    let deadline = Instant::now() + timeout;
    loop {
        let source = match UnixStream::connect(path) {
            Ok(connection) => return Ok(Connection::new(connection.into())),
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
