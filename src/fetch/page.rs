//! A document that is read once and not kept, such as an index's list of files: compressed on the way where the server can.

use std::io::Read;

use super::address::Address;
use super::client::Client;
use super::limits::{Metered, broken_off};
use super::{Error, check_document, read_to_limit, response, with_retries};
use crate::files;

/// What a server has at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Its media type, in small letters and without parameters.
    pub kind: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Reads a page in one of the media types of `accept` (RFC 9110); one that is longer than this is refused. A directory has
/// the page `index.html`, or an empty one.
pub(crate) fn page(client: &Client, url: &str, accept: &str, limit: u64) -> Result<Page, Error> {
    let address = Address::parse(url)?;
    if let Some(path) = &address.local {
        let inside = path.join("index.html");
        let bytes = if !files::is_directory(path) {
            files::read(path)?
        } else if files::exists(&inside) {
            files::read(&inside)?
        } else {
            Vec::new()
        };
        let kind = "text/html".to_owned();
        return Ok(Page { kind, bytes });
    }
    let headers = [("accept", accept), ("accept-encoding", "gzip")];
    with_retries(client, &address, |deadline| {
        let mut response = client.get(&address, &headers, deadline)?;
        check_document(&response, &address)?;
        let kind = response::media_type(&response);
        let encoding = response::encoding(&response);
        let body = response.body_mut().as_reader();
        let body = Metered::new(body, &client.limits, deadline);
        let mut body: Box<dyn Read> = match encoding.as_deref() {
            None => Box::new(body),
            Some("gzip") => Box::new(flate2::read::MultiGzDecoder::new(body)),
            Some(other) => {
                return Err(Error::Encoding {
                    address: address.shown.clone(),
                    encoding: other.to_owned(),
                });
            }
        };
        let failed = |error| broken_off(error, &address, &client.limits, deadline, 0);
        let bytes = read_to_limit(&mut *body, &address, limit, failed)?;
        Ok(Page { kind, bytes })
    })
}
