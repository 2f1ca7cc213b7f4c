//! Whether a lock answers its manifest, for programs (`Serialize`) and for people (`Display`). A report with findings is
//! the error of a command that needs a lock which answers.

use std::fmt::{self, Formatter};
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::{Code, Finding, Subject};
use crate::report::line;

/// What a lock and its manifest differ in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The lock's path.
    pub lock: PathBuf,
    /// Whether there are findings.
    pub drifted: bool,
    /// Every difference.
    pub findings: Vec<Finding>,
    /// The manifest's path.
    #[serde(skip)]
    pub manifest: PathBuf,
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let (lock, manifest) = (self.lock.display(), self.manifest.display());
        if !self.drifted {
            return line(out, format_args!("`{lock}` answers `{manifest}`"));
        }
        line(out, format_args!("`{lock}` does not answer `{manifest}`:"))?;
        for finding in &self.findings {
            let Finding { code, subject, .. } = finding;
            line(
                out,
                format_args!("  {subject}: {} [{code}]", finding.message),
            )?;
        }
        let is_reference = |finding: &Finding| {
            let code = finding.code;
            matches!(
                code,
                Code::ReferenceChanged | Code::ReferenceMissing | Code::ReferenceStale
            )
        };
        // Of these each finding has what to do.
        if self.findings.iter().all(is_reference) {
            return Ok(());
        }
        line(
            out,
            "run `rootstock lock`, look at the difference, and commit it",
        )
    }
}

impl std::error::Error for Report {}

impl miette::Diagnostic for Report {}
