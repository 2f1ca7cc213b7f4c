//! What the process was started with, as values: variables, directories. Read here, passed on as arguments.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, progress, pythons, show};
use crate::build;
use crate::build::supply::{Network, Supply};
use crate::fetch::{Credentials, LIMITS, NETWORK};
use crate::files::trust::{self, Trust};
use crate::files::{self, link};
use crate::hub::Hub;
use crate::manifest::{Index, Manifest};
use crate::name::IndexName;
use crate::process::{NETWORK_TIMEOUT, find};
use crate::python;
use crate::report::sentence;
use crate::runtime::user_cache;
use crate::store::Root;
use crate::store::bundle::Bundle;
use crate::uv::{self, Uv};

/// Variables that programs we start may need to find their files and their words; nothing else of our environment reaches
/// them, but for how the network is reached. `UV_…` index settings belong to uv's users.
const KEPT: [&str; 11] = [
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
    trust::VARIABLE,
];

/// The part of our environment that programs we start inherit.
pub(crate) fn kept_environment() -> BTreeMap<OsString, OsString> {
    let mut all = variables();
    KEPT.iter()
        .chain(&NETWORK)
        .chain(&LIMITS)
        .chain([&NETWORK_TIMEOUT])
        .filter_map(|name| all.remove_entry(OsStr::new(name)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// What uv (and pip, when it fetches uv) inherit beside that: which index to use and how to reach it. Everything else
/// that could change an answer is kept away from them.
pub(crate) fn uv_environment() -> BTreeMap<OsString, OsString> {
    let settings = std::env::vars_os().filter(|(name, value)| {
        let name = name.to_string_lossy();
        let index = name.starts_with("UV_INDEX_")
            && (name.ends_with("_USERNAME") || name.ends_with("_PASSWORD"));
        !value.is_empty()
            && (index || name.starts_with("PIP_") || UV_SETTINGS.contains(&name.as_ref()))
    });
    kept_environment().into_iter().chain(settings).collect()
}

/// For servers of packages that require credentials: from where uv has them.
pub(crate) fn credentials(
    indexes: &BTreeMap<IndexName, Index>,
    uv_environment: &BTreeMap<OsString, OsString>,
) -> Credentials {
    let indexes = indexes.iter();
    let indexes = indexes.map(|(name, index)| (name.as_str(), index.url.as_str()));
    Credentials::new(uv_environment, indexes)
}

/// Settings of uv that say where the default index is and how to get there, and which managed interpreters exist.
const UV_SETTINGS: [&str; 15] = [
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_KEYRING_PROVIDER",
    "UV_INSECURE_HOST",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    "UV_HTTP_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_CACHE_DIR",
    "UV_OFFLINE",
    "UV_PYTHON_DOWNLOADS_JSON_URL",
    "NETRC",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

/// The hub of this run: `HF_ENDPOINT` names a mirror, `HF_TOKEN` authenticates there.
pub(crate) fn hub() -> Hub {
    let text = |name| variable(name).and_then(|value| value.into_string().ok());
    Hub::new(text("HF_ENDPOINT"), text("HF_TOKEN"))
}

/// What this program was started with, its own name first.
pub(crate) fn arguments() -> impl Iterator<Item = OsString> {
    std::env::args_os()
}

/// One variable of our environment; an empty one counts as unset.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The search path for programs; empty if unset.
pub(crate) fn search_path() -> OsString {
    variable("PATH").unwrap_or_default()
}

/// Where this program, and the Pythons it starts, keep what belongs to a user.
pub(crate) fn user_cache() -> PathBuf {
    user_cache::user_cache(&variables())
}

/// The same, made for this user alone.
pub(crate) fn own_cache() -> files::Result<PathBuf> {
    user_cache::own_user_cache(&variables())
}

/// Makes sure that no other user can put compiled code where a Python that is about to be started looks for it.
pub(super) fn check_own_cache() -> Result<(), Failure> {
    remark_replaced_cache();
    user_cache::check_user_cache(&variables()).or_exit(Exit::Failed)
}

/// Says where the caches of this job are if the user's own place cannot be written.
pub(super) fn remark_replaced_cache() {
    let given = std::env::vars_os().collect();
    if let Some(replacement) = user_cache::replacement(&given) {
        show::remark(&format!(
            "rootstock: `{}` cannot be written: caches of compiled code are in `{}`; set XDG_CACHE_HOME to choose another place",
            user_cache::user_cache(&given).display(),
            replacement.display()
        ));
    }
}

/// As [`check_own_cache`], for who changes nothing.
pub(super) fn check_own_cache_if_present() -> Result<(), Failure> {
    if files::exists(&user_cache()) {
        check_own_cache()
    } else {
        Ok(())
    }
}

/// Makes sure that `ROOTSTOCK_TRUST` names users of this machine.
pub(super) fn check_trust() -> Result<(), Failure> {
    let value = variable(trust::VARIABLE).unwrap_or_default();
    Trust::parse(&value.to_string_lossy()).or_exit(Exit::Usage)
}

/// Says which programs that this run could use are not started, because other users can replace them.
pub(super) fn warn_of_refused(names: &[&str]) {
    let (path, variables) = (search_path(), kept_environment());
    let mut refused = find::refused(names, &path, &variables);
    refused.extend(python::refused(&path, &variables));
    for refused in refused {
        show::remark(&format!("warning: {}", sentence(&refused)));
    }
}

/// The uv of this run.
pub(crate) fn find_uv(
    shared: &Shared,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<Uv, uv::Error> {
    let (path, cache) = (search_path(), user_cache());
    Uv::find(&uv::Search {
        named: shared.uv.as_deref(),
        path: &path,
        cache: &cache,
        environment,
    })
}

/// Where files come from in this run: a bundle, and the network unless it is forbidden.
pub(super) fn supply(manifest: &Manifest, bundle: Option<Bundle>, offline: bool) -> Supply {
    let network = || Network {
        credentials: credentials(&manifest.indexes, &uv_environment()),
        mirror: pythons::mirror(manifest),
        hub: hub(),
    };
    Supply {
        bundle,
        network: (!offline).then(network),
        variables: kept_environment(),
    }
}

/// What building in this root needs; on all processors, unless another number of threads was asked for.
pub(super) fn build<'a>(
    shared: &'a Shared,
    manifest: &'a Manifest,
    root: &'a Root,
    supply: Supply,
    jobs: Option<NonZeroUsize>,
) -> build::Context<'a> {
    let find_uv = || {
        let uv = find_uv(shared, &uv_environment())?;
        Ok(uv.with_indexes(&manifest.indexes))
    };
    build::Context {
        root,
        supply,
        project: manifest.path.parent().unwrap_or(Path::new("")),
        path: search_path(),
        variables: kept_environment(),
        uv: Box::new(find_uv),
        link: link::Mode::Auto,
        jobs: jobs.map_or_else(processors, NonZeroUsize::get),
        progress: progress::watcher(),
    }
}

/// How many processors this process may use.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// All variables of our environment, for code that picks from them what it passes on. Where the user's own caches cannot be
/// written they name others, of this job.
pub(crate) fn variables() -> BTreeMap<OsString, OsString> {
    let mut all = std::env::vars_os().collect();
    if let Some(replacement) = user_cache::replacement(&all) {
        all.insert(user_cache::VARIABLE.into(), replacement.into());
    }
    all
}
