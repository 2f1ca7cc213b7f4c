//! What the process was started with, as values: variables, directories. Read here, passed on as arguments.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Variables that programs we start may need to find their files, the network and their words; nothing else of our
/// environment reaches them. Proxies and certificates belong to the machine, `UV_…` index settings to uv's users.
const KEPT: [&str; 20] = [
    "HOME",
    "PATH",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// The part of our environment that programs we start inherit.
pub(crate) fn kept_environment() -> BTreeMap<OsString, OsString> {
    KEPT.iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
        .collect()
}

/// One variable of our environment.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The search path for programs; empty if unset.
pub(crate) fn search_path() -> OsString {
    std::env::var_os(OsStr::new("PATH")).unwrap_or_default()
}
