//! Why a root is not synced: its lock does not answer the manifest.

use std::fmt::{self, Formatter};
use std::path::PathBuf;

use serde::Serialize;

use crate::lock::beside;
use crate::lock::drift::{self, Finding};
use crate::manifest::Manifest;
use crate::name::EnvironmentName;
use crate::report::line;
use crate::store::Root;

/// The report of a sync that was not begun.
#[derive(Debug, Serialize)]
pub struct Drift {
    /// The root.
    pub root: PathBuf,
    /// Always.
    drifted: bool,
    /// What the manifest and the lock differ in.
    pub findings: Vec<Finding>,
    /// The same for people.
    #[serde(skip)]
    explanation: String,
    /// Environments that the lock answers.
    #[serde(skip)]
    answered: Vec<EnvironmentName>,
}

impl Drift {
    /// What could be synced all the same is named, unless only some environments were asked for.
    pub fn new(
        root: &Root,
        manifest: &Manifest,
        report: drift::Report,
        chosen: &[EnvironmentName],
        named: bool,
    ) -> Self {
        let explanation = report.to_string();
        let answered = match beside::read(&report.lock) {
            Ok(Some(lock)) if !named => {
                let drifted = beside::drifted(manifest, &lock, &report.findings);
                let chosen = chosen.iter().filter(|name| !drifted.contains(*name));
                chosen.cloned().collect()
            }
            _ => Vec::new(),
        };
        Self {
            root: root.path().to_owned(),
            drifted: true,
            findings: report.findings,
            explanation,
            answered,
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(&self.explanation)?;
        if self.answered.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.answered.iter().map(EnvironmentName::as_str).collect();
        let names = names.join(" ");
        line(
            out,
            format_args!("or sync what it answers: `rootstock sync {names}`"),
        )
    }
}
