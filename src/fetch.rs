//! Downloads, verified while they stream: a file gets its name only when its size and its sha256 are right.
//!
//! What breaks off is left as `<destination>.part` and continued next time. Together with uv and pip this is the only
//! place that reaches the network. Which address a package file has is not known here (see `uv`), and nothing here
//! reads the environment: proxies come in as values.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use crate::digest::Digest;
use crate::files;

mod address;
mod client;
mod credentials;
mod mirror;
mod page;
mod part;

#[cfg(test)]
mod tests;

pub use address::file_name;
pub use client::{Client, NETWORK};
pub use credentials::Credentials;
pub use mirror::{Mirror, file_address};
pub use page::{Page, page};

use address::{Address, Scheme};
use part::Part;

/// A file could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not one that can be fetched.
    #[error("`{address}` cannot be downloaded: {reason}")]
    Address {
        /// The address, without credentials.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A proxy's address is not one that can be used.
    #[error("the value of the variable `{variable}` is not the address of a proxy")]
    Proxy {
        /// The variable it was taken from.
        variable: String,
    },
    /// The server cannot be reached, or does not speak as it should.
    #[error("cannot reach `{host}` to download `{file}`")]
    Unreachable {
        /// The file's name.
        file: String,
        /// The server.
        host: String,
        /// What went wrong.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server answers something else than the file.
    #[error("the server answers with status {status} for `{address}`")]
    Status {
        /// The address, without credentials.
        address: String,
        /// The HTTP status.
        status: u16,
    },
    /// The connection ended before the file did.
    #[error("the download of `{file}` from `{host}` broke off after {bytes} bytes")]
    BrokenOff {
        /// The file's name.
        file: String,
        /// The server.
        host: String,
        /// How much of the file is there.
        bytes: u64,
        /// What went wrong, if the connection did not just end.
        #[source]
        source: Option<std::io::Error>,
    },
    /// What came has another size than the locked file.
    #[error("`{address}` has {got} bytes, but {expected} are expected")]
    Size {
        /// The address, without credentials.
        address: String,
        /// The size by the lock.
        expected: u64,
        /// How many bytes the server has, as far as was read.
        got: u64,
    },
    /// What came is not the locked file.
    #[error("`{address}` has the sha256 {got}, but {expected} is expected")]
    Digest {
        /// The address, without credentials.
        address: String,
        /// The digest by the lock.
        expected: Digest,
        /// The digest of what came.
        got: Digest,
    },
    /// A file operation failed.
    #[error(transparent)]
    Files(#[from] files::Error),
}

impl Error {
    /// What a person can do about it.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Error::Address { .. } => None,
            Error::Proxy { .. } => Some("write it as `http://host:port`"),
            Error::Unreachable { .. } => Some(
                "check the network and the variables HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE, or run the command \
                 on a node that has access",
            ),
            Error::Status {
                status: 401 | 403 | 407,
                ..
            } => Some("the server wants credentials, or others than it got"),
            Error::Status {
                status: 404 | 410, ..
            } => Some(
                "nothing is at this address: correct it where it is written, or put the file back",
            ),
            Error::Status { .. } => Some("try again later"),
            Error::BrokenOff { .. } => {
                Some("run the command again: the download goes on where it broke off")
            }
            Error::Size { .. } | Error::Digest { .. } => Some(
                "the download was removed and nothing of it is installed. A mirror or a proxy may serve another \
                 file; if the publisher replaced it, `rootstock lock --upgrade` decides anew",
            ),
            Error::Files(error) => error.advice(),
        }
    }

    /// Whether there is no such file: not that it could not be reached.
    pub fn is_absent(&self) -> bool {
        match self {
            Error::Status { status, .. } => matches!(status, 404 | 410),
            Error::Files(error) => error.is_missing(),
            _ => false,
        }
    }

    /// Whether the same may well succeed a moment later.
    fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { source, .. } => matches!(
                **source,
                ureq::Error::Io(_)
                    | ureq::Error::Timeout(_)
                    | ureq::Error::ConnectionFailed
                    | ureq::Error::HostNotFound
                    | ureq::Error::Protocol(_)
            ),
            Error::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            Error::BrokenOff { .. } => true,
            _ => false,
        }
    }
}

/// How long to wait before the second and the third try. One that got further than those before counts as the first.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];

/// Downloads a file that has this digest and, if known, this size. `heard` is told, again and again, how many bytes of
/// it are there; that number goes down when the download must begin anew.
///
/// Besides `http` and `https`, `file` addresses are understood. Credentials in the address (`https://user:word@host/`)
/// are sent to that host only, and never shown.
pub fn download(
    client: &Client,
    url: &str,
    destination: &Path,
    sha256: &Digest,
    size: Option<u64>,
    heard: &(dyn Fn(u64) + Sync),
) -> Result<(), Error> {
    let address = Address::parse(url)?;
    let mut part = Part::claim(destination)?;
    let resumed = part.bytes() > 0;
    complete(client, &address, &mut part, size, heard)?;
    let mut got = part.digest();
    if got != *sha256 && resumed {
        // What an earlier run left may have been damaged since.
        part.restart()?;
        complete(client, &address, &mut part, size, heard)?;
        got = part.digest();
    }
    if got != *sha256 {
        part.discard()?;
        return Err(Error::Digest {
            address: address.shown,
            expected: *sha256,
            got,
        });
    }
    Ok(part.finish(destination)?)
}

/// Downloads a file of which nothing is known; the answer is its digest and its size.
pub fn discover(
    client: &Client,
    url: &str,
    destination: &Path,
    heard: &(dyn Fn(u64) + Sync),
) -> Result<(Digest, u64), Error> {
    let address = Address::parse(url)?;
    let mut part = Part::claim(destination)?;
    // Nothing could tell whether an earlier run's part is of the same file.
    part.restart()?;
    complete(client, &address, &mut part, None, heard)?;
    let size = part.bytes();
    let digest = part.digest();
    part.finish(destination)?;
    Ok((digest, size))
}

/// Reads a short answer whole; one that is longer than this is none.
pub fn read(client: &Client, url: &str, longest: u64) -> Result<Vec<u8>, Error> {
    let address = Address::parse(url)?;
    patiently(client, || read_once(client, &address, longest))
}

/// Tries again, after a pause, what may well succeed then.
fn patiently<T>(client: &Client, once: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    let mut pauses = client.pauses.iter();
    loop {
        let error = match once() {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match pauses.next().filter(|_| error.is_transient()) {
            Some(pause) => std::thread::sleep(*pause),
            None => return Err(error),
        }
    }
}

fn read_once(client: &Client, address: &Address, longest: u64) -> Result<Vec<u8>, Error> {
    let mut response = client.get(address, 0)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(Error::Status {
            address: address.shown.clone(),
            status,
        });
    }
    whole(&mut response.body_mut().as_reader(), address, longest)
}

/// All that comes, unless it is longer than this.
fn whole(from: &mut dyn Read, address: &Address, longest: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = from.take(longest + 1).read_to_end(&mut bytes);
    read.map_err(|source| Error::BrokenOff {
        file: address.file.clone(),
        host: address.host.clone(),
        bytes: 0,
        source: Some(source),
    })?;
    match u64::try_from(bytes.len()) {
        Ok(got) if got > longest => Err(Error::Size {
            address: address.shown.clone(),
            expected: longest,
            got,
        }),
        _ => Ok(bytes),
    }
}

/// Fetches what is missing of the part, with further tries where that may help.
fn complete(
    client: &Client,
    address: &Address,
    part: &mut Part,
    size: Option<u64>,
    heard: &(dyn Fn(u64) + Sync),
) -> Result<(), Error> {
    let mut pauses = client.pauses.iter();
    loop {
        let before = part.bytes();
        let error = match get(client, address, part, size, heard) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if matches!(error, Error::Size { .. }) {
            part.discard()?;
        }
        if !error.is_transient() {
            return Err(error);
        }
        if part.bytes() > before {
            pauses = client.pauses.iter();
        }
        match pauses.next() {
            Some(pause) => std::thread::sleep(*pause),
            None => return Err(error),
        }
    }
}

/// One try.
fn get(
    client: &Client,
    address: &Address,
    part: &mut Part,
    size: Option<u64>,
    heard: &(dyn Fn(u64) + Sync),
) -> Result<(), Error> {
    if size.is_some_and(|size| part.bytes() > size) {
        part.restart()?;
    }
    heard(part.bytes());
    if size.is_some_and(|size| part.bytes() == size) {
        return Ok(());
    }
    match &address.scheme {
        Scheme::File(path) => {
            part.restart()?;
            append(address, &mut files::open(path)?, part, size, heard)
        }
        Scheme::Http | Scheme::Https => {
            let mut response = client.get(address, part.bytes())?;
            if response.status().as_u16() == 206 && !continues(&response, part.bytes()) {
                part.restart()?;
                response = client.get(address, 0)?;
            }
            match response.status().as_u16() {
                206 => {}
                // The server has no such thing as ranges.
                200 => part.restart()?,
                // What we have is longer than what the server has.
                416 if part.bytes() > 0 => {
                    part.restart()?;
                    return get(client, address, part, size, heard);
                }
                status => {
                    return Err(Error::Status {
                        address: address.shown.clone(),
                        status,
                    });
                }
            }
            append(
                address,
                &mut response.body_mut().as_reader(),
                part,
                size,
                heard,
            )
        }
    }
}

/// Whether the server sends what we asked for: everything from this byte on.
fn continues(response: &ureq::http::Response<ureq::Body>, from: u64) -> bool {
    response
        .headers()
        .get("content-range")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

/// Adds all that comes to the part.
fn append(
    address: &Address,
    from: &mut dyn Read,
    part: &mut Part,
    size: Option<u64>,
    heard: &(dyn Fn(u64) + Sync),
) -> Result<(), Error> {
    let broken_off = |bytes, source| Error::BrokenOff {
        file: address.file.clone(),
        host: address.host.clone(),
        bytes,
        source,
    };
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken_off(part.bytes(), Some(error))),
        };
        part.append(&buffer[..n])?;
        heard(part.bytes());
        // A server that sends without end must not fill the disk.
        if let Some(expected) = size.filter(|size| part.bytes() > *size) {
            return Err(Error::Size {
                address: address.shown.clone(),
                expected,
                got: part.bytes(),
            });
        }
    }
    match size {
        Some(expected) if part.bytes() < expected => match address.scheme {
            // A file that is too short stays so; a connection may have ended early without saying so.
            Scheme::File(_) => Err(Error::Size {
                address: address.shown.clone(),
                expected,
                got: part.bytes(),
            }),
            Scheme::Http | Scheme::Https => Err(broken_off(part.bytes(), None)),
        },
        _ => Ok(()),
    }
}
