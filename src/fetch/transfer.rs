//! One file on its way here: tries, continued where the last one broke off as far as that is known to be the same file.

use std::io::Read;

use super::address::Address;
use super::client::Client;
use super::limits::{Deadline, Metered, broken_off};
use super::part::Part;
use super::response::{self, Range};
use super::{Error, OnProgress};
use crate::files;

type Response = ureq::http::Response<ureq::Body>;

/// What a server sends when the rest of a file is requested.
enum Reply {
    /// The rest of a file that has so many bytes.
    Rest(Response, u64),
    /// All of the file.
    Whole(Response),
    /// Neither.
    Useless,
}

/// Lets the connection of a response that was read be used again: the HTTP library does so when a read meets the end.
fn keep_connection(mut response: Response) {
    if response::length(&response).is_some() {
        let _ = response.body_mut().as_reader().read(&mut [0]);
    }
}

/// A download.
pub(super) struct Transfer<'a> {
    client: &'a Client,
    address: &'a Address,
    /// The size that the file must have, if that is known.
    size: Option<u64>,
    /// Whether its digest is known, so that wrong bytes are found whatever the server states.
    is_verified: bool,
    on_progress: OnProgress<'a>,
    deadline: Deadline,
    /// What identifies the file's contents by the response that began it.
    etag: Option<String>,
    /// Whether what is here comes from more than one response.
    pub(super) resumed: bool,
}

impl<'a> Transfer<'a> {
    /// The download of a file from this address.
    pub(super) fn new(
        client: &'a Client,
        address: &'a Address,
        size: Option<u64>,
        is_verified: bool,
        on_progress: OnProgress<'a>,
    ) -> Self {
        Self {
            client,
            address,
            size,
            is_verified,
            on_progress,
            deadline: Deadline::after(client.limits.file()),
            etag: None,
            resumed: false,
        }
    }

    /// Downloads what is missing of the part. A few tries in a row may fail; one that brought enough begins a new row.
    pub(super) fn complete(&mut self, part: &mut Part) -> Result<(), Error> {
        let limits = &self.client.limits;
        let mut pauses = limits.pauses.iter();
        loop {
            let before = part.bytes();
            let error = match self.attempt(part) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if matches!(error, Error::Size { .. } | Error::TooLarge { .. }) {
                part.discard()?;
            }
            if !error.is_transient() {
                return Err(error);
            }
            if part.bytes() >= before.saturating_add(limits.progress()) {
                pauses = limits.pauses.iter();
            }
            if self.deadline.is_over() {
                return Err(self.deadline.error(self.address));
            }
            match pauses.next() {
                Some(pause) => std::thread::sleep(*pause),
                None => return Err(error),
            }
        }
    }

    fn attempt(&mut self, part: &mut Part) -> Result<(), Error> {
        if self.size.is_some_and(|size| part.bytes() > size) {
            part.restart()?;
        }
        (self.on_progress)(part.bytes());
        if self.size.is_some_and(|size| part.bytes() == size) {
            return Ok(());
        }
        if let Some(path) = &self.address.local {
            part.restart()?;
            let mut file = files::open(path)?;
            self.check_announced(Some(files::size(path)?))?;
            return self.append(&mut file, part, self.size);
        }
        let may_continue = self.is_verified || self.etag.is_some();
        let reply = if part.bytes() > 0 && may_continue {
            self.request_rest(part.bytes())?
        } else {
            Reply::Useless
        };
        match reply {
            Reply::Rest(response, end) => self.continue_with(response, part, end),
            Reply::Whole(response) => self.begin_with(response, part),
            Reply::Useless => {
                let response = self.request(&[])?;
                self.begin_with(response, part)
            }
        }
    }

    /// Requests what is missing from this byte on.
    fn request_rest(&self, from: u64) -> Result<Reply, Error> {
        let range = format!("bytes={from}-");
        let mut headers = vec![("range", range.as_str())];
        headers.extend(self.etag.as_deref().map(|etag| ("if-range", etag)));
        let response = self.request(&headers)?;
        match response.status().as_u16() {
            206 => {}
            // The file is another one now, or the server does not know ranges.
            200 => return Ok(Reply::Whole(response)),
            // The file is shorter now.
            412 | 416 => return Ok(Reply::Useless),
            status => return Err(self.status(status)),
        }
        let etag = response::etag(&response);
        let same = self.etag.is_none() || etag.is_none() || self.etag == etag;
        let length = response::length(&response);
        let range = Range::of(&response).filter(|range| {
            range.completes(from, self.size) && length.is_none_or(|length| length == range.length())
        });
        match range {
            Some(range) if same => Ok(Reply::Rest(response, range.end())),
            _ => Ok(Reply::Useless),
        }
    }

    /// Adds the rest of a file that has so many bytes.
    fn continue_with(
        &mut self,
        mut response: Response,
        part: &mut Part,
        end: u64,
    ) -> Result<(), Error> {
        response::check_encoding(&response, self.address)?;
        self.check_size(end)?;
        self.resumed = true;
        self.append(&mut response.body_mut().as_reader(), part, Some(end))?;
        keep_connection(response);
        Ok(())
    }

    /// Begins the file with a response that has all of it.
    fn begin_with(&mut self, mut response: Response, part: &mut Part) -> Result<(), Error> {
        part.restart()?;
        self.resumed = false;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(self.status(status));
        }
        response::check_encoding(&response, self.address)?;
        let length = response::length(&response);
        self.check_announced(length)?;
        if !self.is_verified && self.size.is_none() && !response::has_end(&response) {
            let address = self.address.shown.clone();
            return Err(Error::NoLength { address });
        }
        self.etag = response::etag(&response);
        let complete = self.size.or(length);
        self.append(&mut response.body_mut().as_reader(), part, complete)?;
        keep_connection(response);
        Ok(())
    }

    fn request(&self, headers: &[(&str, &str)]) -> Result<ureq::http::Response<ureq::Body>, Error> {
        // Encoded on the way, neither ranges nor digests would be those of the file.
        let headers = [headers, &[("accept-encoding", "identity")]].concat();
        self.client.get(self.address, &headers, self.deadline)
    }

    fn status(&self, status: u16) -> Error {
        Error::Status {
            address: self.address.shown.clone(),
            status,
        }
    }

    /// Adds what comes to the part until that is complete at this size; if none is known, until the end.
    fn append(
        &self,
        from: &mut dyn Read,
        part: &mut Part,
        complete: Option<u64>,
    ) -> Result<(), Error> {
        let mut from = Metered::new(from, &self.client.limits, self.deadline);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            // What a server sends after the end, if anything, is not waited for.
            let missing = complete.map_or(u64::MAX, |complete| complete - part.bytes());
            let most = usize::try_from(missing).map_or(buffer.len(), |n| n.min(buffer.len()));
            if most == 0 {
                break;
            }
            let read = match from.read(&mut buffer[..most]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.broken_off(error, part)),
            };
            part.append(&buffer[..read])?;
            (self.on_progress)(part.bytes());
            // A server that sends without end must not fill the disk.
            self.check_size(part.bytes())?;
        }
        match complete {
            Some(complete) if part.bytes() < complete => Err(self.incomplete(complete, part)),
            _ => Ok(()),
        }
    }

    fn broken_off(&self, error: std::io::Error, part: &Part) -> Error {
        let limits = &self.client.limits;
        broken_off(error, self.address, limits, self.deadline, part.bytes())
    }

    /// Refuses another size than the file's, which the server announces.
    fn check_announced(&self, got: Option<u64>) -> Result<(), Error> {
        match (self.size, got) {
            (Some(expected), Some(got)) if got != expected => Err(Error::Size {
                address: self.address.shown.clone(),
                expected,
                got,
            }),
            (None, Some(got)) => self.check_size(got),
            _ => Ok(()),
        }
    }

    /// Refuses more bytes than a file may have whose size is not known beforehand.
    fn check_size(&self, got: u64) -> Result<(), Error> {
        let limit = self.client.limits.max_size;
        if self.size.is_none() && got > limit {
            return Err(Error::TooLarge {
                address: self.address.shown.clone(),
                limit,
                variable: Some(super::limits::MAX_SIZE),
            });
        }
        Ok(())
    }

    /// A file that is too short stays so; a connection may have ended early without saying so.
    fn incomplete(&self, expected: u64, part: &Part) -> Error {
        let bytes = part.bytes();
        if self.address.local.is_some() {
            return Error::Size {
                address: self.address.shown.clone(),
                expected,
                got: bytes,
            };
        }
        Error::BrokenOff {
            file: self.address.file.clone(),
            host: self.address.host.clone(),
            bytes,
            source: None,
        }
    }
}
