//! The address of a file, taken apart so that its credentials can be used and never shown.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::Error;

/// Where a file is.
#[derive(Debug)]
pub(super) struct Address {
    /// How it is reached.
    pub(super) scheme: Scheme,
    /// The server; empty for a file.
    pub(super) host: String,
    /// The file's name.
    pub(super) file: String,
    /// For people: without credentials and without a query, which may hold a token.
    pub(super) shown: String,
    /// What to ask for: without credentials and fragment.
    pub(super) request: String,
    /// Name and password, decoded.
    pub(super) credentials: Option<(String, String)>,
}

/// How an address is reached.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Without encryption.
    Http,
    /// With encryption.
    Https,
    /// On a disk of this machine, at this path.
    File(PathBuf),
}

impl Address {
    /// Takes an address apart.
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let refused = |reason: &str| Error::Address {
            address: shown(url),
            reason: reason.to_owned(),
        };
        let url = url.split('#').next().unwrap_or(url);
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| refused("it has no scheme such as `https://`"))?;
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority),
        };
        let plain = path.split('?').next().unwrap_or(path);
        let decoded = decode(plain).ok_or_else(|| refused("its path is not UTF-8"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "file" if matches!(host, "" | "localhost") => Scheme::File(PathBuf::from(&decoded)),
            "file" => return Err(refused("a file address names no other machine")),
            _ => return Err(refused("only http, https and file are understood")),
        };
        if host.is_empty() && !matches!(scheme, Scheme::File(_)) {
            return Err(refused("it names no server"));
        }
        let credentials = credentials.map(|text| {
            let (name, password) = text.split_once(':').unwrap_or((text, ""));
            decode(name).zip(decode(password))
        });
        let word = url.split("://").next().unwrap_or_default();
        Ok(Self {
            scheme,
            host: host.to_owned(),
            file: decoded.rsplit('/').next().unwrap_or(&decoded).to_owned(),
            shown: shown(url),
            request: format!("{word}://{host}{path}"),
            credentials: match credentials {
                Some(None) => return Err(refused("its credentials are not UTF-8")),
                Some(some) => some,
                None => None,
            },
        })
    }
}

/// The address as people may see it.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}{path}")
}

/// The name of the file at an address, absolute or relative, without query and fragment.
pub fn file_name(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    decode(path.rsplit('/').next().unwrap_or(path)).filter(|name| !name.is_empty())
}

/// The text with its percent escapes (RFC 3986) replaced; `None` if that is not UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => hexadecimal(*high).zip(hexadecimal(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            bytes.push(high << 4 | low);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The text as part of a path of an address: everything escaped but what has no meaning there.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_queries_are_used_and_not_shown() {
        let address =
            Address::parse("https://me%40home:p%3Aw@host:8443/a%20b/c-1.whl?token=secret#sha256=1")
                .unwrap();
        assert_eq!(address.shown, "https://host:8443/a%20b/c-1.whl");
        assert_eq!(
            address.request,
            "https://host:8443/a%20b/c-1.whl?token=secret"
        );
        assert_eq!(address.file, "c-1.whl");
        assert_eq!(address.host, "host:8443");
        assert_eq!(
            address.credentials,
            Some(("me@home".to_owned(), "p:w".to_owned()))
        );
    }

    #[test]
    fn file_addresses_are_paths() {
        let scheme = |url: &str| Address::parse(url).map(|a| a.scheme);
        let path = Scheme::File("/a b/c.whl".into());
        assert_eq!(scheme("file:///a%20b/c.whl").unwrap(), path);
        assert_eq!(scheme("file://localhost/a%20b/c.whl").unwrap(), path);
        assert!(scheme("file://elsewhere/a").is_err());
    }

    #[test]
    fn what_cannot_be_fetched_is_refused_without_its_credentials() {
        for (url, message) in [
            (
                "/a/b",
                "`/a/b` cannot be downloaded: it has no scheme such as `https://`",
            ),
            (
                "ftp://me:pw@host/a?t=1",
                "`ftp://host/a` cannot be downloaded: only http, https and file are understood",
            ),
            (
                "https:///a",
                "`https:///a` cannot be downloaded: it names no server",
            ),
        ] {
            assert_eq!(Address::parse(url).unwrap_err().to_string(), message);
        }
    }
}
