//! What the headers of a response say of its body (RFC 9110, RFC 9112).

use ureq::Body;
use ureq::http::Response;

use super::Error;
use super::address::Address;

/// Which bytes of a file a response with status 206 has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl Range {
    /// From `Content-Range`.
    pub(super) fn of(response: &Response<Body>) -> Option<Self> {
        Self::parse(header(response, "content-range")?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total = match total {
            "*" => None,
            total => Some(total.parse().ok()?),
        };
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last && total.is_none_or(|total| last < total)).then_some(Self {
            first,
            last,
            total,
        })
    }

    /// Whether it is all from this byte to the end of a file of this size.
    pub(super) fn completes(&self, from: u64, size: Option<u64>) -> bool {
        let end = self.last.checked_add(1);
        let is_last = |total: Option<u64>| total.is_none_or(|total| end == Some(total));
        let known = self.total.is_some() || size.is_some();
        self.first == from && known && is_last(self.total) && is_last(size)
    }

    /// How many bytes it has.
    pub(super) fn length(&self) -> u64 {
        self.end() - self.first
    }

    /// How many bytes the file has up to its end.
    pub(super) fn end(&self) -> u64 {
        self.last + 1
    }
}

/// What identifies the contents, byte for byte: a strong entity tag.
pub(super) fn etag(response: &Response<Body>) -> Option<String> {
    let tag = header(response, "etag")?.trim();
    tag.starts_with('"').then(|| tag.to_owned())
}

/// How many bytes the body has.
pub(super) fn length(response: &Response<Body>) -> Option<u64> {
    if is_chunked(response) {
        return None;
    }
    header(response, "content-length")?.trim().parse().ok()
}

/// Whether a body that is cut short is seen to be: it has a length or a mark at its end.
pub(super) fn has_end(response: &Response<Body>) -> bool {
    is_chunked(response) || length(response).is_some()
}

fn is_chunked(response: &Response<Body>) -> bool {
    let encoding = header(response, "transfer-encoding");
    encoding.is_some_and(|encoding| encoding.to_ascii_lowercase().contains("chunked"))
}

/// How the body is encoded, unless it is not: `gzip`.
pub(super) fn encoding(response: &Response<Body>) -> Option<String> {
    let encoding = header(response, "content-encoding")?.trim();
    let encoding = encoding.to_ascii_lowercase();
    let encoding = encoding.strip_prefix("x-").unwrap_or(&encoding);
    (!matches!(encoding, "" | "identity")).then(|| encoding.to_owned())
}

/// Refuses an encoded body. Servers that call a compressed archive an encoded one send the file as it is.
pub(super) fn check_encoding(response: &Response<Body>, address: &Address) -> Result<(), Error> {
    let compressed = ["gz", "tgz", "zst", "bz2", "xz"];
    let extension = address.file.rsplit('.').next().unwrap_or_default();
    match encoding(response) {
        Some(encoding) if !compressed.contains(&extension) => Err(Error::Encoding {
            address: address.shown.clone(),
            encoding,
        }),
        _ => Ok(()),
    }
}

/// Its media type, in small letters and without parameters.
pub(super) fn media_type(response: &Response<Body>) -> String {
    let value = header(response, "content-type").unwrap_or_default();
    let value = value.split(';').next().unwrap_or_default();
    value.trim().to_ascii_lowercase()
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_completes_a_file_or_is_of_no_use() {
        let completes =
            |text: &str, size| Range::parse(text).is_some_and(|range| range.completes(300, size));
        assert!(completes("bytes 300-999/1000", Some(1000)));
        assert!(completes("bytes 300-999/1000", None));
        assert!(completes("bytes 300-999/*", Some(1000)));
        for wrong in [
            "bytes 300-999/*",
            "bytes 300-998/1000",
            "bytes 301-999/1000",
            "bytes 300-999/2000",
            "bytes 300-1000/1000",
            "bytes 300-18446744073709551615/18446744073709551615",
            "bytes 300-18446744073709551615/*",
            "bytes 300-299/300",
            "bytes */1000",
            "300-999/1000",
            "bytes 300-/1000",
            "",
        ] {
            assert!(!completes(wrong, None), "{wrong}");
        }
        assert!(!completes("bytes 300-999/1000", Some(1001)));
    }
}
