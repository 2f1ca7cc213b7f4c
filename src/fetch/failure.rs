//! Why a file could not be downloaded, and what to do about it.

use crate::digest::Digest;
use crate::files;

/// What to do about a slow server.
const SLOW: &str = "try again later, from another network or from a mirror. For a slow network raise ROOTSTOCK_HTTP_TIMEOUT \
                    (seconds, 30 by default) or lower ROOTSTOCK_HTTP_MIN_RATE (bytes per second, 1024 by default)";

/// What to do about a file that is not the locked one.
const OTHER: &str = "the download was removed and nothing of it is installed. A mirror or a proxy may serve another file; if the \
                     publisher replaced it, `rootstock lock --upgrade` decides anew";

/// A file could not be downloaded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
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
    #[error(
        "the value of the variable `{variable}` is not the address of an HTTP proxy: write it as `http://host:port`; SOCKS \
         proxies are not supported"
    )]
    Proxy {
        /// The variable it was taken from.
        variable: String,
    },
    /// A limit that is set by a variable is not a number, or is out of range.
    #[error("the variable `{variable}` is not a whole number from {lowest} to {highest}")]
    #[diagnostic(help("correct the variable, or unset it"))]
    Variable {
        /// Its name.
        variable: &'static str,
        /// The lowest number it may be.
        lowest: u64,
        /// The highest.
        highest: u64,
    },
    /// The server cannot be reached, or does not speak as it should.
    #[error("cannot reach `{host}` to download `{file}`")]
    #[diagnostic(help(
        "check the network and the variables HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE, or run the command on a node that \
         has access"
    ))]
    Unreachable {
        /// The file's name.
        file: String,
        /// The server.
        host: String,
        /// The cause.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server sends no response.
    #[error("`{host}` sent no complete response for `{address}` within {seconds} s")]
    #[diagnostic(help("{SLOW}"))]
    NoResponse {
        /// The server that was asked.
        host: String,
        /// The address, without credentials.
        address: String,
        /// How long was waited at most.
        seconds: u64,
    },
    /// The server sends the request elsewhere, where it must not go.
    #[error("`{address}` redirects to {reason}")]
    #[diagnostic(help(
        "write the address of the file itself, or ask the maintainers of the server"
    ))]
    Redirect {
        /// The address, without credentials.
        address: String,
        /// Where to, and why not.
        reason: String,
    },
    /// The server answers something else than the file.
    #[error("the server answers with status {status} for `{address}`")]
    #[diagnostic(help("{}", about_status(*status)))]
    Status {
        /// The address, without credentials.
        address: String,
        /// The HTTP status.
        status: u16,
    },
    /// The response is encoded although that was not asked for, so that its bytes are not those of the file.
    #[error("the server sends `{address}` encoded as {encoding:?}, which was not asked for")]
    #[diagnostic(help("write an address that serves the file as it is"))]
    Encoding {
        /// The address, without credentials.
        address: String,
        /// The encoding.
        encoding: String,
    },
    /// The response has no stated end, so that a part of it could be taken for the whole.
    #[error("the server does not say how long `{address}` is")]
    #[diagnostic(help(
        "the server has to send `Content-Length` or `Transfer-Encoding: chunked`; otherwise a part of the file could be \
         taken for the whole. A proxy may have removed them"
    ))]
    NoLength {
        /// The address, without credentials.
        address: String,
    },
    /// The connection ended before the file did.
    #[error("the download of `{file}` from `{host}` broke off after {bytes} bytes")]
    #[diagnostic(help("run the command again: the download goes on where it broke off"))]
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
    /// The server sends too little.
    #[error(
        "`{address}` comes too slowly: {bytes} bytes in {seconds} s, at least {min_rate} bytes/s are required"
    )]
    #[diagnostic(help("{SLOW}"))]
    TooSlow {
        /// The address, without credentials.
        address: String,
        /// How many bytes came.
        bytes: u64,
        /// In how many seconds.
        seconds: f64,
        /// How many bytes a second are required.
        min_rate: u64,
    },
    /// The server sends much that is no part of the file.
    #[error(
        "the server sends more than {limit} bytes that are no part of `{address}`, such as trailers"
    )]
    #[diagnostic(help("try again later, from another network or from a mirror"))]
    Framing {
        /// The address, without credentials.
        address: String,
        /// How many may come.
        limit: u64,
    },
    /// All tries together took too long.
    #[error("`{address}` was not complete after {seconds} s")]
    #[diagnostic(help("{SLOW}"))]
    TooLate {
        /// The address, without credentials.
        address: String,
        /// The limit.
        seconds: u64,
    },
    /// What came has another size than the locked file.
    #[error("`{address}` has {got} bytes, but {expected} are expected")]
    #[diagnostic(help("{OTHER}"))]
    Size {
        /// The address, without credentials.
        address: String,
        /// The size by the lock.
        expected: u64,
        /// How many bytes the server has, as far as was read.
        got: u64,
    },
    /// It is larger than anything of its kind.
    #[error("`{address}` is larger than {limit} bytes")]
    #[diagnostic(help("{}", about_size(*variable)))]
    TooLarge {
        /// The address, without credentials.
        address: String,
        /// How large it may be.
        limit: u64,
        /// The variable that sets this limit, if one does.
        variable: Option<&'static str>,
    },
    /// What came is not the locked file.
    #[error("`{address}` has the sha256 {got}, but {expected} is expected")]
    #[diagnostic(help("{OTHER}"))]
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
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

impl Error {
    /// Whether there is no such file: not that it could not be reached.
    pub(crate) fn is_absent(&self) -> bool {
        match self {
            Error::Status { status, .. } => matches!(status, 404 | 410),
            Error::Files(error) => error.is_missing(),
            _ => false,
        }
    }

    /// Whether the same may well succeed a moment later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { source, .. } => matches!(
                **source,
                ureq::Error::Io(_)
                    | ureq::Error::ConnectionFailed
                    | ureq::Error::HostNotFound
                    | ureq::Error::Protocol(_)
            ),
            Error::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            Error::BrokenOff { .. } | Error::TooSlow { .. } | Error::NoResponse { .. } => true,
            _ => false,
        }
    }
}

fn about_status(status: u16) -> &'static str {
    match status {
        401 | 403 | 407 => "the server requires (other) credentials",
        404 | 410 => {
            "nothing is at this address: correct it where it is written, or put the file back"
        }
        _ => "try again later",
    }
}

fn about_size(variable: Option<&str>) -> String {
    match variable {
        Some(variable) => {
            format!(
                "the download was removed. If the file is really larger, raise {variable} (bytes)"
            )
        }
        None => "is this the right address?".to_owned(),
    }
}
