//! A page that is read once and not kept, such as an index's list of files: compressed on the way where the server can.

use std::io::Read;

use super::address::{Address, Scheme};
use super::client::Client;
use super::{Error, patiently, whole};
use crate::files;

/// What a server has at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its media type, in small letters and without parameters.
    pub kind: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Reads a page in one of the media types of `accept` (RFC 9110); one that is longer than this is none. A directory has
/// the page `index.html`, or an empty one.
pub fn page(client: &Client, url: &str, accept: &str, longest: u64) -> Result<Page, Error> {
    let address = Address::parse(url)?;
    if let Scheme::File(path) = &address.scheme {
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
    patiently(client, || {
        let mut response = client.get_with(&address, &headers)?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(Error::Status {
                address: address.shown.clone(),
                status,
            });
        }
        let header = |name: &str| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.split(';').next()?.trim().to_ascii_lowercase())
        };
        let kind = header("content-type").unwrap_or_default();
        let compressed = header("content-encoding").is_some_and(|encoding| encoding == "gzip");
        let body = response.body_mut().as_reader();
        let mut body: Box<dyn Read> = if compressed {
            Box::new(flate2::read::MultiGzDecoder::new(body))
        } else {
            Box::new(body)
        };
        let bytes = whole(&mut *body, &address, longest)?;
        Ok(Page { kind, bytes })
    })
}
