//! Downloads, verified while they stream: a file gets its name only when its size and its sha256 are right.
//!
//! What breaks off is left as `<destination>.part` and continued next time. Together with uv, pip and git this is the only
//! place that reaches the network. Which address a package file has is not known here (see `uv`), and nothing here
//! reads the environment: proxies and limits come in as values. Every download ends in a stated time (see [`limits`]).

use std::io::Read;
use std::path::Path;

use crate::digest::Digest;
use crate::files;

mod address;
mod client;
mod credentials;
mod failure;
mod limits;
mod mirror;
mod page;
mod part;
mod response;
mod transfer;
mod resolver;
mod watch;

#[cfg(test)]
mod tests;

pub(crate) use address::{file_address, file_name, has_credentials};
pub(crate) use client::{Client, NETWORK};
pub use credentials::Credentials;
pub(crate) use failure::Error;
pub(crate) use limits::LIMITS;
pub use mirror::Mirror;
pub(crate) use page::{Page, page};

use address::Address;
use limits::{Deadline, Metered, broken_off};
use part::Part;
use transfer::Transfer;

/// Called again and again with the number of bytes that are here; it goes down when a download begins anew.
pub(crate) type OnProgress<'a> = &'a (dyn Fn(u64) + Sync);

/// Downloads a file that has this digest and, if known, this size.
///
/// Besides `http` and `https`, `file` addresses are supported. Credentials in the address (`https://user:word@host/`)
/// are sent to that server only, and never shown.
pub(crate) fn download(
    client: &Client,
    url: &str,
    destination: &Path,
    sha256: &Digest,
    size: Option<u64>,
    on_progress: OnProgress,
) -> Result<(), Error> {
    let address = Address::parse(url)?;
    let mut part = Part::claim(destination)?;
    let was_there = part.bytes() > 0;
    let mut transfer = Transfer::new(client, &address, size, true, on_progress);
    transfer.complete(&mut part)?;
    let mut got = part.digest();
    if got != *sha256 && (was_there || transfer.resumed) {
        // What an earlier try left may have been damaged since, or the file has changed between two tries.
        part.restart()?;
        transfer.complete(&mut part)?;
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

/// Downloads a file of which nothing is known; returns its digest and its size.
pub(crate) fn discover(
    client: &Client,
    url: &str,
    destination: &Path,
    on_progress: OnProgress,
) -> Result<(Digest, u64), Error> {
    let address = Address::parse(url)?;
    let mut part = Part::claim(destination)?;
    // An earlier run's part may be of another file.
    part.restart()?;
    Transfer::new(client, &address, None, false, on_progress).complete(&mut part)?;
    let size = part.bytes();
    let digest = part.digest();
    part.finish(destination)?;
    Ok((digest, size))
}

/// Reads a document whole; one that is longer than this is refused.
pub(crate) fn read(client: &Client, url: &str, limit: u64) -> Result<Vec<u8>, Error> {
    let address = Address::parse(url)?;
    if let Some(path) = &address.local {
        let failed = |source| {
            let (action, path) = ("read", path.clone());
            Error::Files(files::Error {
                action,
                path,
                source,
            })
        };
        return read_to_limit(&mut files::open(path)?, &address, limit, failed);
    }
    with_retries(client, &address, |deadline| {
        let headers = [("accept-encoding", "identity")];
        let mut response = client.get(&address, &headers, deadline)?;
        check_document(&response, &address)?;
        response::check_encoding(&response, &address)?;
        let body = response.body_mut().as_reader();
        let mut body = Metered::new(body, &client.limits, deadline);
        let failed = |error| broken_off(error, &address, &client.limits, deadline, 0);
        read_to_limit(&mut body, &address, limit, failed)
    })
}

/// Tries again, after a pause, what may well succeed then; all tries together until a deadline.
fn with_retries<T>(
    client: &Client,
    address: &Address,
    once: impl Fn(Deadline) -> Result<T, Error>,
) -> Result<T, Error> {
    let deadline = Deadline::after(client.limits.document());
    let mut pauses = client.limits.pauses.iter();
    loop {
        let error = match once(deadline) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if deadline.is_over() {
            return Err(deadline.error(address));
        }
        match pauses.next().filter(|_| error.is_transient()) {
            Some(pause) => std::thread::sleep(*pause),
            None => return Err(error),
        }
    }
}

/// Refuses what is no document, or one of which a part could be taken for the whole.
fn check_document(
    response: &ureq::http::Response<ureq::Body>,
    address: &Address,
) -> Result<(), Error> {
    let status = response.status().as_u16();
    let address = address.shown.clone();
    if status != 200 {
        return Err(Error::Status { address, status });
    }
    if !response::has_end(response) {
        return Err(Error::NoLength { address });
    }
    Ok(())
}

/// All that comes, unless it is longer than this.
fn read_to_limit(
    from: &mut dyn Read,
    address: &Address,
    limit: u64,
    failed: impl FnOnce(std::io::Error) -> Error,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = from.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|got| got <= limit) {
        return Ok(bytes);
    }
    Err(Error::TooLarge {
        address: address.shown.clone(),
        limit,
        variable: None,
    })
}
