//! The address of a file, parsed so that its credentials can be used and are never shown.

use std::path::{Path, PathBuf};

use url::{ParseError, SyntaxViolation, Url};

use super::Error;
use crate::percent::{decode, encode_path};

/// Where a file is.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// What to request: without credentials and fragment.
    pub(super) url: Url,
    /// The path, if it is a file of this machine.
    pub(super) local: Option<PathBuf>,
    /// The server, with its port if that is not the usual one; empty for a local file.
    pub(super) host: String,
    /// The file's name.
    pub(super) file: String,
    /// For messages: without credentials and without a query, which may hold a token.
    pub(super) shown: String,
    /// User name and password, decoded.
    pub(super) credentials: Option<(String, String)>,
}

impl Address {
    /// Parses an address.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| Error::Address {
            address: shown(text),
            reason: reason.to_owned(),
        };
        let mut url = strict(text).map_err(|reason| refuse(&reason))?;
        let local = match url.scheme() {
            "http" | "https" => None,
            "file" => {
                let path = url.to_file_path();
                Some(path.map_err(|()| refuse("a file address cannot name another machine"))?)
            }
            _ => return Err(refuse("only http, https and file are supported")),
        };
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        let credentials = credentials(&url).filter(|_| has_credentials);
        if has_credentials && credentials.is_none() {
            return Err(refuse("its user name or password is not UTF-8"));
        }
        remove_secrets(&mut url);
        let file = file_name(url.as_str()).unwrap_or_default();
        Ok(Self {
            host: host(&url),
            shown: shown(url.as_str()),
            url,
            local,
            file,
            credentials,
        })
    }
}

/// Whether an address holds credentials; an error if it is not one that can be downloaded from.
pub(crate) fn has_credentials(address: &str) -> Result<bool, Error> {
    Ok(Address::parse(address)?.credentials.is_some())
}

/// The address, if it is written as RFC 3986 has it: what browsers repair silently is refused.
fn strict(text: &str) -> Result<Url, String> {
    let violation = std::cell::Cell::new(None);
    let note = |found: SyntaxViolation| {
        let repaired = matches!(
            found,
            SyntaxViolation::ExpectedDoubleSlash
                | SyntaxViolation::Backslash
                | SyntaxViolation::C0SpaceIgnored
                | SyntaxViolation::TabOrNewlineIgnored
        );
        if repaired {
            violation.set(Some(found));
        }
    };
    let parsed = Url::options()
        .syntax_violation_callback(Some(&note))
        .parse(text);
    let url = parsed.map_err(|error| match error {
        ParseError::RelativeUrlWithoutBase => "it has no scheme such as `https://`".to_owned(),
        ParseError::EmptyHost => "it names no server".to_owned(),
        error => error.to_string(),
    })?;
    match violation.get() {
        Some(SyntaxViolation::ExpectedDoubleSlash) if url.scheme() != "file" => {
            Err("its scheme is not followed by `//` and a server".to_owned())
        }
        Some(SyntaxViolation::ExpectedDoubleSlash) | None => Ok(url),
        Some(found) => Err(found.description().to_owned()),
    }
}

/// User name and password of an address, if it has them and both are UTF-8.
fn credentials(url: &Url) -> Option<(String, String)> {
    let password = decode(url.password().unwrap_or_default())?;
    Some((decode(url.username())?, password))
}

/// Removes what is not requested: credentials, which go into a header, and the fragment.
pub(super) fn remove_secrets(url: &mut Url) {
    // They fail only for addresses without a server, which have no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
}

/// The server of an address, with its port if that is not the usual one.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The address for messages, without credentials, query and fragment. It may be none that can be parsed.
pub(super) fn shown(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or(text);
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}{path}")
}

/// The name of the file at an address, absolute or relative, without query and fragment.
pub(crate) fn file_name(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    decode(path.rsplit('/').next().unwrap_or(path)).filter(|name| !name.is_empty())
}

/// The `file` address of an absolute path.
pub(crate) fn file_address(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    format!("file://{}", encode_path(path.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn credentials_and_queries_are_used_and_not_shown() {
        let address =
            Address::parse("https://me%40home:p%3Aw@host:8443/a%20b/c-1.whl?token=secret#sha256=1")
                .unwrap();
        assert_eq!(address.shown, "https://host:8443/a%20b/c-1.whl");
        assert_eq!(
            address.url.as_str(),
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
        let local = |url: &str| Address::parse(url).map(|address| address.local);
        let path = Some("/a b/c.whl".into());
        assert_eq!(local("file:///a%20b/c.whl").unwrap(), path);
        assert_eq!(local("file://localhost/a%20b/c.whl").unwrap(), path);
        assert!(local("file://elsewhere/a").is_err());
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/a+b %\xff"));
        assert_eq!(file_address(path), "file:///a%2Bb%20%25%FF");
        assert_eq!(local(&file_address(path)).unwrap().as_deref(), Some(path));
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
                "`ftp://host/a` cannot be downloaded: only http, https and file are supported",
            ),
            (
                "https:///a",
                "`https:///a` cannot be downloaded: its scheme is not followed by `//` and a server",
            ),
            (
                "https://?a",
                "`https://` cannot be downloaded: it names no server",
            ),
            (
                "https:\\\\host\\a",
                "`https:\\\\host\\a` cannot be downloaded: backslash",
            ),
            (
                "https://host/a\nb",
                "`https://host/a\nb` cannot be downloaded: tabs or newlines are ignored in URLs",
            ),
        ] {
            assert_eq!(Address::parse(url).unwrap_err().to_string(), message);
        }
    }
}
