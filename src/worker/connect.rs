//! Connects to the server, which may start later than its workers, and with i-PI usually does. Creates no socket file and
//! sends nothing.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::connection::Connection;
use super::signals::Signals;
use super::wait::{Wake, wait};
use crate::files::trust::{Exposed, Trust};

/// How often to try again.
const INTERVAL: Duration = Duration::from_millis(20);
/// How long one attempt may take; a stop signal is noticed only after it.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(2);
/// The longest path of a socket (`sun_path`, less the final NUL).
const LONGEST_PATH: usize = 107;

/// The server's address.
#[derive(Debug)]
pub(crate) enum Address {
    /// A socket file.
    Unix(PathBuf),
    /// A TCP port: `HOST:PORT`.
    Tcp(String),
    /// A connected socket, inherited from the process that started this one.
    Inherited(OwnedFd),
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => path.display().fmt(out),
            Address::Tcp(address) => out.write_str(address),
            Address::Inherited(_) => out.write_str("the program that started this worker"),
        }
    }
}

/// No server was reached.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// No server listens.
    #[error("no server listens on `{address}` (waited {seconds} s)")]
    #[diagnostic(help("start the server, or wait longer with `--connect-timeout`; {advice}"))]
    NoServer {
        /// The address.
        address: String,
        /// How long this waited.
        seconds: u64,
        /// What to check about the address.
        advice: &'static str,
        /// Why the last attempt failed.
        source: io::Error,
    },
    /// The path is too long for the system.
    #[error("`{}` is too long for a socket: {} bytes, {LONGEST_PATH} at most", .0.display(), .0.as_os_str().len())]
    TooLong(PathBuf),
    /// The socket is another user's, or can be replaced by one, who could have us compute anything.
    #[error("the server at `{address}` cannot be trusted: {exposed}")]
    #[diagnostic(help(
        "a worker obeys a server of its own user, or of root. Give your server another name, with i-PI's <address> or ASE's \
         `unixsocket`, and give it to the worker with `--unix`; or have the socket's owner start the worker"
    ))]
    Foreign {
        /// The address, as it was given.
        address: String,
        /// Whose it is, or who can replace it.
        exposed: Exposed,
    },
    /// No permission, not a socket, no such host.
    #[error("cannot connect to `{address}`")]
    Refused {
        /// The address.
        address: String,
        /// The cause.
        source: io::Error,
    },
    /// Python ended meanwhile.
    #[error("Python ended while waiting for the server")]
    Abandoned,
    /// A stop signal was received.
    #[error("stopped while waiting for the server")]
    Stopped,
}

const UNIX_ADVICE: &str = "the name must be that of i-PI's <address> or ASE's `unixsocket`, which live in /tmp/ipi_NAME \
    (`--unix-prefix` where i-PI has another prefix)";
const TCP_ADVICE: &str =
    "host and port must be those of i-PI's <address> and <port>, or of ASE's `port`";

/// Checks the address, before the model is loaded.
pub(super) fn check(address: &Address) -> Result<(), Error> {
    match address {
        Address::Unix(path) if path.as_os_str().len() > LONGEST_PATH => {
            Err(Error::TooLong(path.clone()))
        }
        Address::Unix(path) => match trusted(path) {
            Err(AttemptError::Foreign(exposed)) => Err(foreign(address, exposed)),
            // It may come.
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Why one try failed.
enum AttemptError {
    /// Who else can answer there.
    Foreign(Exposed),
    /// The system's error.
    System(io::Error),
}

impl From<io::Error> for AttemptError {
    fn from(error: io::Error) -> Self {
        AttemptError::System(error)
    }
}

/// Makes sure that a socket is there, and that it is ours or root's. No other user can take the place of such a one in
/// `/tmp`, so that it is looked at before the connection is made.
fn trusted(path: &Path) -> Result<(), AttemptError> {
    match Trust::default().check(path) {
        Err(Exposed::Unknown(error)) => Err(error.into()),
        Err(exposed) => Err(AttemptError::Foreign(exposed)),
        Ok(()) => Ok(()),
    }
}

fn foreign(address: &Address, exposed: Exposed) -> Error {
    Error::Foreign {
        address: address.to_string(),
        exposed,
    }
}

/// Connects as soon as the server listens, unless `python` closes its end first.
pub(super) fn connect<'a>(
    address: &Address,
    timeout: Duration,
    python: &UnixStream,
    signals: &'a Signals,
) -> Result<Connection<'a>, Error> {
    let pause = |until| wait(python, PollFlags::IN, Some(until), Some(signals));
    try_until(address, Instant::now() + timeout, timeout, &pause, signals)
}

/// Connects to a server that listens, if there is one that may be trusted.
pub(super) fn once(path: &Path) -> Option<OwnedFd> {
    attempt(&Address::Unix(path.to_owned()), INTERVAL).ok()
}

/// Connects to the next server at this address, after the one before has ended. Before the first attempt it waits for a
/// moment, because the old one may still listen. A Python that ends meanwhile is started again at the next step.
pub(super) fn again<'a>(
    address: &Address,
    deadline: Instant,
    signals: &'a Signals,
) -> Result<Connection<'a>, Error> {
    let pause = |until| wait(signals, PollFlags::IN, Some(until), Some(signals));
    let now = Instant::now();
    let timeout = deadline.saturating_duration_since(now);
    match pause(deadline.min(now + INTERVAL)) {
        Wake::Stopped => Err(Error::Stopped),
        _ => try_until(address, deadline, timeout, &pause, signals),
    }
}

/// Tries to connect until a deadline, `pause` between two attempts.
fn try_until<'a>(
    address: &Address,
    deadline: Instant,
    timeout: Duration,
    pause: &dyn Fn(Instant) -> Wake,
    signals: &'a Signals,
) -> Result<Connection<'a>, Error> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let source = match attempt(address, left.clamp(INTERVAL, LONGEST_ATTEMPT)) {
            Ok(socket) => return Ok(Connection::new(socket, signals)),
            Err(AttemptError::System(error)) if may_be_temporary(&error) => error,
            Err(AttemptError::Foreign(exposed)) => return Err(foreign(address, exposed)),
            Err(AttemptError::System(source)) => {
                return Err(Error::Refused {
                    address: address.to_string(),
                    source,
                });
            }
        };
        let now = Instant::now();
        if now >= deadline {
            return Err(Error::NoServer {
                address: address.to_string(),
                seconds: timeout.as_secs(),
                advice: match address {
                    Address::Tcp(_) => TCP_ADVICE,
                    _ => UNIX_ADVICE,
                },
                source,
            });
        }
        match pause(deadline.min(now + INTERVAL)) {
            Wake::Ready | Wake::Other => return Err(Error::Abandoned),
            Wake::Stopped => return Err(Error::Stopped),
            Wake::TimedOut => {}
        }
    }
}

/// Whether a server may listen later: there is no socket yet, or one left behind by a server that has ended.
fn may_be_temporary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::TimedOut
    )
}

fn attempt(address: &Address, timeout: Duration) -> Result<OwnedFd, AttemptError> {
    match address {
        Address::Unix(path) => {
            trusted(path)?;
            Ok(UnixStream::connect(path)?.into())
        }
        Address::Inherited(socket) => Ok(socket.try_clone()?),
        Address::Tcp(address) => {
            let mut last = io::Error::new(ErrorKind::AddrNotAvailable, "the host has no address");
            for address in address.to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, timeout) {
                    Ok(stream) => return Ok(stream.into()),
                    Err(error) => last = error,
                }
            }
            Err(last.into())
        }
    }
}
