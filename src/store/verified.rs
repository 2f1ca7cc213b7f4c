//! `verified/<model>/<generation>-<device>.json`: whether a model computed the recorded numbers here, one file for each
//! model, generation and kind of device, and cluster if there are several. For people: nothing depends on it.

use std::path::{Path, PathBuf};

use semver::Version;
use serde::{Deserialize, Serialize};

use super::Root;
use crate::digest::Digest;
use crate::files::{self, times};
use crate::name::ModelId;

/// The schema this version writes and reads.
pub(crate) const SCHEMA: u32 = 1;

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Version of this format.
    pub schema: u32,
    /// The generation that computed.
    pub generation: String,
    /// The cluster, if the check named one.
    pub cluster: Option<String>,
    /// The kind of device: `cpu`, `cuda`.
    pub device: String,
    /// What it is called, of an accelerator.
    pub accelerator: Option<String>,
    /// The day, by the clock of the root's filesystem.
    pub date: String,
    /// The version of rootstock that compared.
    pub rootstock: Version,
    /// The digest of the recorded numbers.
    pub reference: Digest,
    /// The precision.
    pub dtype: String,
    /// Whether all numbers were as recorded.
    pub ok: bool,
    /// Of each quantity the structure with the largest difference beside what is allowed.
    pub worst: Vec<Worst>,
}

/// The largest difference of a quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worst {
    /// `energy`, `forces`, `stress`.
    pub quantity: String,
    /// The difference; `None` if there was no number.
    pub measured: Option<f64>,
    /// The allowed one.
    pub allowed: f64,
    /// The unit of both.
    pub unit: String,
}

/// The part that every version of the file has.
#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

/// Today, by the clock of the root's filesystem.
pub(crate) fn today(root: &Root) -> String {
    let now = times::now(root.path()).map(times::text).unwrap_or_default();
    now.split('T').next().unwrap_or_default().to_owned()
}

fn directory(root: &Root, model: &ModelId) -> PathBuf {
    root.verified().join(model.as_str())
}

/// Keeps an outcome in place of the earlier one of this generation and device; returns where.
pub(crate) fn write(root: &Root, model: &ModelId, verified: &Verified) -> files::Result<PathBuf> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut name = format!("{}-{}", verified.generation, verified.device);
    if let Some(cluster) = &verified.cluster {
        name.push('-');
        name.push_str(cluster);
    }
    let name = name.replace(|c: char| !is_plain(c), "_");
    let below = format!("{}/{name}.json", model.as_str());
    let path = files::room_below(&root.verified(), &below)?;
    let mut text = serde_json::to_string_pretty(verified).expect("it has only plain fields");
    text.push('\n');
    files::write_atomically(&path, text.as_bytes())?;
    Ok(path)
}

/// The outcomes of a model, those that can be read, by device and cluster.
pub(crate) fn read(root: &Root, model: &ModelId) -> Vec<Verified> {
    let directory = directory(root, model);
    let names = files::names(&directory).unwrap_or_default();
    let is_outcome = |name: &&String| Path::new(name).extension().is_some_and(|end| end == "json");
    let paths = names.iter().filter(is_outcome);
    let mut all: Vec<Verified> = paths
        .filter_map(|name| one(&directory.join(name)))
        .collect();
    all.sort_by(|a, b| (&a.device, &a.cluster).cmp(&(&b.device, &b.cluster)));
    all
}

/// One that cannot be read, or that a later rootstock wrote, is none.
fn one(path: &Path) -> Option<Verified> {
    let text = files::read_text_if_present(path).ok().flatten()?;
    let Schema { schema } = strict_json::from_str(&text).ok()?;
    if schema != SCHEMA {
        return None;
    }
    strict_json::from_str(&text).ok()
}

/// `verified 2026-11-28 on cuda, dF 3e-6 of 1e-4`.
impl std::fmt::Display for Verified {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.ok { "verified" } else { "FAILED" };
        write!(out, "{verdict} {} on {}", self.date, self.device)?;
        if let Some(cluster) = &self.cluster {
            write!(out, " of {cluster}")?;
        }
        let failed = |worst: &&Worst| worst.measured.is_none_or(|m| m > worst.allowed);
        let forces = |worst: &&Worst| worst.quantity == "forces";
        let shown = self.worst.iter().find(failed);
        let Some(shown) = shown.or_else(|| self.worst.iter().find(forces)) else {
            return Ok(());
        };
        let symbol = match shown.quantity.as_str() {
            "energy" => "dE",
            "stress" => "dS",
            _ => "dF",
        };
        match shown.measured {
            Some(0.0) => write!(out, ", {symbol} 0 of {:.0e}", shown.allowed),
            Some(measured) => write!(out, ", {symbol} {measured:.0e} of {:.0e}", shown.allowed),
            None => write!(out, ", no {}", shown.quantity),
        }
    }
}
