//! The state of a root, for programs (`Serialize`) and for people (`Display`).

use std::collections::BTreeSet;
use std::fmt::{self, Formatter};
use std::path::{Path, PathBuf};

use semver::Version;
use serde::{Serialize, Serializer};

use crate::about::About;
use crate::digest::Digest;
use crate::name::{EnvironmentName, ModelId};
use crate::python::Interpreter;
use crate::report::{bytes, line, table_within};
use crate::store::Stamp;
use crate::store::claims::{Builder, Claim};
use crate::store::verified::Verified;

/// How many characters of an id are shown; `--json` has all of them.
const SHORT: usize = 12;

/// The state of every environment and model.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The root.
    pub root: PathBuf,
    /// From where the root is known, for people.
    #[serde(skip)]
    pub origin: String,
    /// Whether the lock does not answer the manifest; not known without a manifest.
    pub drifted: Option<bool>,
    /// By name.
    pub environments: Vec<EnvironmentStatus>,
    /// In the manifest's order.
    pub models: Vec<ModelStatus>,
    /// The size of each part of the root, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Sizes>,
}

/// The state of an environment.
#[derive(Debug)]
pub struct EnvironmentStatus {
    /// The environment's name.
    pub name: EnvironmentName,
    /// `fresh`, `stale`, `missing` and so on.
    pub state: &'static str,
    /// Why it is not fresh.
    pub reason: Option<String>,
    /// Whether a plain sync skips it.
    pub optional: bool,
    /// The stamp of its current generation, if that is complete.
    pub current: Option<Stamp>,
    /// The directory of that generation.
    pub path: Option<PathBuf>,
    /// What can be called in it, as the manifest documents it.
    pub functions: BTreeSet<String>,
    /// Builds in progress.
    pub building: Vec<Claim>,
}

/// The state of a model.
#[derive(Debug, Serialize)]
pub struct ModelStatus {
    /// The model.
    pub id: ModelId,
    /// The environment it runs in.
    pub environment: EnvironmentName,
    /// The argument of `setup()`.
    pub argument: String,
    /// The state of its environment, or `missing` if one of its files is.
    pub state: &'static str,
    /// Which file is missing.
    pub reason: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "About::is_empty")]
    pub about: About,
    /// Whether its current generation computed its recorded numbers here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<Verified>,
}

/// The size of each part of a root, by name.
#[derive(Debug)]
pub struct Sizes(pub Vec<(&'static str, u64)>);

impl Serialize for Sizes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// An environment in JSON.
#[derive(Serialize)]
struct EnvironmentEntry<'a> {
    name: &'a EnvironmentName,
    state: &'static str,
    reason: Option<&'a str>,
    optional: bool,
    id: Option<&'a str>,
    digest: Option<Digest>,
    tree: Option<Digest>,
    python: Option<&'a Interpreter>,
    packages: Option<u64>,
    files: Option<u64>,
    bytes: Option<u64>,
    rootstock: Option<&'a Version>,
    path: Option<&'a Path>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    functions: &'a BTreeSet<String>,
    building: Vec<ClaimEntry<'a>>,
}

/// A build in progress in JSON.
#[derive(Serialize)]
struct ClaimEntry<'a> {
    id: &'a str,
    user: &'a str,
    host: &'a str,
    process: u32,
    since: &'a str,
    beat: u64,
    builder: Builder,
}

impl Serialize for EnvironmentStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stamp = self.current.as_ref();
        let entry = EnvironmentEntry {
            name: &self.name,
            state: self.state,
            reason: self.reason.as_deref(),
            optional: self.optional,
            id: stamp.map(|stamp| stamp.id.as_str()),
            digest: stamp.map(|stamp| stamp.digest),
            tree: stamp.map(|stamp| stamp.tree),
            python: stamp.map(|stamp| &stamp.python),
            packages: stamp.map(|stamp| stamp.packages),
            files: stamp.map(|stamp| stamp.files),
            bytes: stamp.map(|stamp| stamp.bytes),
            rootstock: stamp.map(|stamp| &stamp.rootstock),
            path: self.path.as_deref(),
            functions: &self.functions,
            building: self.building.iter().map(ClaimEntry::of).collect(),
        };
        entry.serialize(serializer)
    }
}

impl<'a> ClaimEntry<'a> {
    fn of(claim: &'a Claim) -> Self {
        Self {
            id: &claim.id,
            user: &claim.user,
            host: &claim.host,
            process: claim.process,
            since: &claim.since,
            beat: claim.beat,
            builder: claim.builder(),
        }
    }
}

impl EnvironmentStatus {
    fn row(&self) -> [String; 6] {
        let stamp = self.current.as_ref();
        let or_nothing = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let python = stamp.map(|stamp| &stamp.python.identity);
        let python = python.map(|python| match python.implementation.as_str() {
            "cpython" => python.version.clone(),
            other => format!("{other} {}", python.version),
        });
        let optional = if self.optional { " (optional)" } else { "" };
        [
            self.name.to_string(),
            format!("{}{optional}", self.state),
            or_nothing(python),
            or_nothing(stamp.map(|stamp| stamp.packages.to_string())),
            or_nothing(stamp.map(|stamp| bytes(stamp.bytes))),
            or_nothing(stamp.map(|stamp| stamp.id.chars().take(SHORT).collect())),
        ]
    }
}

impl ModelStatus {
    fn row(&self) -> [String; 4] {
        [
            self.id.to_string(),
            self.state.to_owned(),
            self.environment.to_string(),
            self.argument.clone(),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let width = out.width();
        let (root, origin) = (self.root.display(), &self.origin);
        line(out, format_args!("root: {root} ({origin})"))?;
        writeln!(out)?;
        let head = ["environment", "state", "python", "packages", "size", "id"].map(String::from);
        let rows = self.environments.iter().map(EnvironmentStatus::row);
        let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
        table_within(out, &rows, width)?;
        writeln!(out)?;
        let head = ["model", "state", "environment", "argument"].map(String::from);
        let rows = self.models.iter().map(ModelStatus::row);
        let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
        table_within(out, &rows, width)?;
        writeln!(out)?;
        self.write_reasons(out)?;
        for (part, size) in self.bytes.iter().flat_map(|sizes| &sizes.0) {
            line(out, format_args!("{part}: {}", bytes(*size)))?;
        }
        Ok(())
    }
}

impl Report {
    fn write_reasons(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for environment in &self.environments {
            if let Some(reason) = &environment.reason {
                let optional = if environment.optional {
                    " (optional)"
                } else {
                    ""
                };
                line(
                    out,
                    format_args!("{}{optional}: {reason}", environment.name),
                )?;
            }
        }
        for claim in self.environments.iter().flat_map(|status| &status.building) {
            let gone = match claim.builder() {
                Builder::Gone => ", which has ended",
                Builder::Lives | Builder::Unseen => "",
            };
            let environment = &claim.environment;
            line(
                out,
                format_args!("{environment}: being built by {claim}{gone}"),
            )?;
        }
        for model in &self.models {
            if let Some(reason) = &model.reason {
                line(out, format_args!("{}: {reason}", model.id))?;
            }
            for verified in &model.verified {
                line(out, format_args!("{}: {verified}", model.id))?;
            }
        }
        Ok(())
    }
}
