//! Which builds of CPython can be had: uv carries the list of what the project python-build-standalone publishes, so
//! the list is pinned with uv's version and is known without a network. It holds addresses, and no digests.

use std::collections::BTreeMap;

use pep440_rs::Version;
use serde::Deserialize;

use super::{Uv, error_output};
use crate::process;
use crate::target::Architecture;

/// An archive with a CPython for glibc, without tests and debugging symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Build {
    /// The exact version.
    pub version: Version,
    /// The day it was built, where its name has it.
    pub day: Option<String>,
    /// Where it is.
    pub url: String,
}

/// The builds for each architecture, oldest version first.
pub(crate) type Builds = BTreeMap<Architecture, Vec<Build>>;

/// The list cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// uv cannot be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// uv failed.
    #[error("uv cannot list interpreters: {0}")]
    Failed(String),
    /// uv's output is not such a list.
    #[error("uv's list of interpreters cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// uv's entry for one archive.
#[derive(Deserialize)]
struct Listed {
    version: String,
    url: Option<String>,
    os: String,
    variant: String,
    implementation: String,
    arch: String,
    libc: String,
}

impl Uv {
    /// Every build of CPython that uv knows for our targets.
    pub(crate) fn pythons(&self) -> Result<Builds, Error> {
        let output = self
            .command()
            .arguments(["python", "list", "--only-downloads", "--all-versions"])
            .arguments(["--all-platforms", "--all-arches", "--output-format", "json"])
            .run_limited()?;
        if !output.exit.success() {
            return Err(Error::Failed(error_output(&output)));
        }
        Ok(builds(strict_json::from_slice(&output.stdout)?))
    }
}

/// What of the list can stand below an environment: no other implementation, C library, ABI (`freethreaded`, `debug`),
/// processor level (`x86_64_v3`) and no release under test.
fn builds(listed: Vec<Listed>) -> Builds {
    let mut builds = Builds::new();
    for listed in listed {
        let plain = listed.os == "linux"
            && listed.libc == "gnu"
            && listed.implementation == "cpython"
            && listed.variant == "default";
        let architecture = [Architecture::X86_64, Architecture::Aarch64]
            .into_iter()
            .find(|architecture| architecture.as_str() == listed.arch);
        let version: Option<Version> = listed.version.parse().ok();
        let version = version.filter(|version| version.is_stable() && version.release().len() == 3);
        if let (true, Some(architecture), Some(version), Some(url)) =
            (plain, architecture, version, listed.url)
        {
            let day = build_of(&url);
            builds
                .entry(architecture)
                .or_default()
                .push(Build { version, day, url });
        }
    }
    for builds in builds.values_mut() {
        builds.sort_by(|a, b| (&a.version, &a.day).cmp(&(&b.version, &b.day)));
    }
    builds
}

/// `20261110` of `cpython-3.11.18+20261110-x86_64-…`, where `+` may be written `%2B`.
fn build_of(url: &str) -> Option<String> {
    let file = url.rsplit('/').next()?.replace("%2B", "+");
    let (_, rest) = file.split_once('+')?;
    let digits = rest.split('-').next()?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_stand_below_an_environment_is_listed() {
        let entry = |version: &str, change: &[(&str, &str)]| {
            let mut entry = serde_json::json!({
                "key": "k", "version": version, "path": null, "os": "linux", "variant": "default",
                "implementation": "cpython", "arch": "x86_64", "libc": "gnu",
                "url": format!("https://host/1/cpython-{version}%2B20261110-x.tar.gz"),
            });
            for (key, value) in change {
                entry[*key] = (*value).into();
            }
            entry
        };
        let list = serde_json::json!([
            entry("3.11.18", &[]),
            entry("3.11.9", &[("url", "https://host/1/python.tar.gz")]),
            entry("3.16.0a2", &[]),
            entry("3.13.1", &[("variant", "freethreaded")]),
            entry("3.13.2", &[("libc", "musl")]),
            entry("3.13.3", &[("arch", "x86_64_v3")]),
            entry("3.13.4", &[("implementation", "pypy")]),
            entry("3.13.5", &[("os", "macos")]),
            entry("3.12.1", &[("arch", "aarch64")]),
        ]);
        let builds = builds(serde_json::from_value(list).unwrap());
        let of = |architecture| {
            let shown = |build: &Build| format!("{} {:?}", build.version, build.day);
            builds[&architecture].iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(
            of(Architecture::X86_64),
            ["3.11.9 None", "3.11.18 Some(\"20261110\")"]
        );
        assert_eq!(of(Architecture::Aarch64), ["3.12.1 Some(\"20261110\")"]);
    }
}
