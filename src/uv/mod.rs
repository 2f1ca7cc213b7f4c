//! uv, the resolver: found or fetched, started with an environment of our choosing, its answers read.
//!
//! uv decides versions and knows indexes, mirrors and credentials. Which of its answers a lock keeps, and how a file is
//! downloaded and installed, is decided elsewhere.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use semver::{Version, VersionReq};

use crate::files;
use crate::files::trust::{Trust, own_directory};
use crate::manifest::Index;
use crate::name::IndexName;
use crate::process::{Command, GIT_LIMITS, find};
use crate::report::{chain, sentence};

mod search;
mod compile;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod provide;
mod pylock;
mod pythons;
mod requests;
mod words;

pub(crate) use compile::{Compile, Route, Unresolved};
pub(crate) use pylock::{Direct, File, Package};
pub(crate) use pythons::{Build, Builds};
pub(crate) use requests::Request;
pub(crate) use search::Error;
pub(crate) use search::SUPPORTED;
pub use search::Search;
use search::error_output;

/// A uv of a supported version.
#[derive(Debug, Clone)]
pub struct Uv {
    path: PathBuf,
    version: Version,
    scratch: PathBuf,
    environment: BTreeMap<OsString, OsString>,
    indexes: BTreeMap<IndexName, Index>,
}

impl Uv {
    /// The named uv; else one on the search path, if its version is supported; else our own, fetched once.
    pub fn find(search: &Search) -> Result<Self, Error> {
        let trust = Trust::of(search.environment);
        own_directory(search.cache, &trust)?;
        if let Some(path) = search.named {
            let unusable = |reason: String| Error::Unusable {
                path: path.to_owned(),
                reason,
            };
            // A file that is missing is reported when it is started.
            if let (true, Err(exposed)) = (files::exists(path), trust.check(path)) {
                return Err(unusable(sentence(&exposed)));
            }
            let uv = Self::at(path, search).map_err(unusable)?;
            return if uv.supported() {
                Ok(uv)
            } else {
                Err(unusable(format!("its version is {}", uv.version)))
            };
        }
        let on_path = find::all("uv", search.path, search.environment);
        let usable = on_path
            .into_iter()
            .filter_map(|program| Self::at(&program, search).ok())
            .find(Self::supported);
        if let Some(uv) = usable {
            return Ok(uv);
        }
        let path = provide::provide(search)?;
        Self::at(&path, search).map_err(|reason| Error::Unusable { path, reason })
    }

    fn at(path: &Path, search: &Search) -> Result<Self, String> {
        let asked = Command::new(path)
            .argument("--version")
            .variables(search.environment)
            .run_limited();
        let output = asked.map_err(|error| chain(&error))?;
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        // `uv 0.13.9 (x86_64-unknown-linux-gnu)`
        let version = answer
            .strip_prefix("uv ")
            .and_then(|rest| rest.split_whitespace().next());
        let version = version.and_then(|version| version.parse().ok());
        let version = version
            .ok_or_else(|| format!("its output is not a version of uv but `{}`", answer.trim()))?;
        let scratch = search.cache.join("resolve");
        let indexes = BTreeMap::new();
        Ok(Self {
            path: path.to_owned(),
            version,
            scratch,
            environment: search.environment.clone(),
            indexes,
        })
    }

    fn supported(&self) -> bool {
        SUPPORTED
            .parse::<VersionReq>()
            .expect("our own range is one")
            .matches(&self.version)
    }

    /// Knows where the indexes are that packages can be routed to.
    #[must_use]
    pub fn with_indexes(self, indexes: &BTreeMap<IndexName, Index>) -> Self {
        Self {
            indexes: indexes.clone(),
            ..self
        }
    }

    /// The program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As the lock records it: `uv 0.13.9`.
    pub fn identity(&self) -> String {
        format!("uv {}", self.version)
    }

    /// Where an index is; `None` is the default index, of which uv is asked, with this interpreter. The address may hold
    /// a password.
    pub fn index(
        &self,
        name: Option<&IndexName>,
        interpreter: Option<&Path>,
    ) -> Result<Index, String> {
        if let Some(name) = name {
            let index = self.indexes.get(name).cloned();
            return index.ok_or_else(|| format!("the manifest declares no index `{name}`"));
        }
        // What is asked of it needs no index, so that none is reached.
        let options = ["--quiet", "--no-header", "--emit-index-url", "-"];
        let mut asked = self
            .command()
            .arguments(["pip", "compile"])
            .arguments(options);
        if let Some(interpreter) = interpreter {
            asked = asked.argument("--python").argument(interpreter);
        }
        let output = asked.run_limited().map_err(|error| chain(&error))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("--index-url "));
        let url = line.ok_or_else(|| {
            format!(
                "uv does not say where the default index is: {}",
                error_output(&output)
            )
        })?;
        Ok(Index {
            url: url.trim().to_owned(),
            links: false,
            exclude_newer: None,
        })
    }

    /// Whether it answers from its cache alone (`UV_OFFLINE`).
    pub fn is_offline(&self) -> bool {
        let value = self.environment.get(OsStr::new("UV_OFFLINE"));
        value.is_some_and(|value| {
            !["", "0", "false", "no", "off", "n", "f"]
                .iter()
                .any(|no| value.eq_ignore_ascii_case(no))
        })
    }

    /// A uv command that no configuration file and no interpreter download can change.
    pub fn command(&self) -> Command {
        Command::new(&self.path)
            .variables(&self.environment)
            .variables(GIT_LIMITS)
            .arguments([
                "--no-config",
                "--color",
                "never",
                "--no-progress",
                "--no-python-downloads",
            ])
    }
}
