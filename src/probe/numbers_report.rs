//! What a comparison with recorded numbers found, for programs (`Serialize`) and for people (`Display`).

use std::fmt::{self, Formatter};
use std::path::PathBuf;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::numbers::Numbers;
use crate::numbers::Record;
use crate::numbers::compare::Difference;
use crate::report::line;

/// The comparison of one model.
#[derive(Debug)]
pub(crate) struct NumbersReport {
    /// The model.
    pub model: String,
    /// Its environment.
    pub environment: String,
    /// The generation that computed.
    pub generation: String,
    /// The device that `setup()` was given.
    pub device: String,
    /// The recording.
    pub record: Record,
    /// Why its numbers are not those of the recording before anything is computed: files that are other ones.
    pub damage: Vec<String>,
    /// The numbers; `None` where they were not computed.
    pub numbers: Option<Numbers>,
    /// Where the outcome is kept.
    pub kept: Option<PathBuf>,
}

impl NumbersReport {
    /// Whether all is as it was recorded.
    pub(crate) fn ok(&self) -> bool {
        let differences = || self.numbers.iter().flat_map(|numbers| &numbers.structures);
        let mut all = differences().flat_map(|structure| &structure.quantities);
        self.damage.is_empty() && self.numbers.is_some() && all.all(|difference| difference.ok)
    }

    /// Of each quantity the largest difference beside what is allowed.
    pub(crate) fn worst(&self) -> Vec<&Difference> {
        let structures = self.numbers.iter().flat_map(|numbers| &numbers.structures);
        let all: Vec<&Difference> = structures.flat_map(|s| &s.quantities).collect();
        let of = |quantity: &str| {
            let these = all.iter().filter(|d| d.quantity == quantity);
            these
                .copied()
                .max_by(|a, b| a.ratio().total_cmp(&b.ratio()))
        };
        ["energy", "forces", "stress"]
            .into_iter()
            .filter_map(of)
            .collect()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let (quantity, unit) = (self.quantity, self.unit);
        match self.measured {
            Some(0.0) => write!(out, "{quantity} 0 of {:.1e} {unit}", self.allowed),
            Some(measured) => write!(
                out,
                "{quantity} {measured:.1e} of {:.1e} {unit}",
                self.allowed
            ),
            None => write!(out, "{quantity} missing of {:.1e} {unit}", self.allowed),
        }
    }
}

impl fmt::Display for NumbersReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            model,
            environment,
            device,
            record,
            ..
        } = self;
        line(
            out,
            format_args!("model      {model}, environment {environment}, device {device}"),
        )?;
        let recorded_on = record.conditions.get("device").map_or("?", String::as_str);
        line(
            out,
            format_args!(
                "recorded   {}, on {recorded_on} in {}",
                record.path,
                record.dtype.as_str()
            ),
        )?;
        for damage in &self.damage {
            line(out, format_args!("FAIL {damage}"))?;
        }
        let Some(numbers) = &self.numbers else {
            return Ok(());
        };
        for structure in &numbers.structures {
            let ok = structure.quantities.iter().all(|difference| difference.ok);
            let verdict = if ok { "ok" } else { "FAIL" };
            let differences: Vec<String> = structure.quantities.iter().map(mark).collect();
            line(
                out,
                format_args!("{verdict:4} {}: {}", structure.name, differences.join(", ")),
            )?;
        }
        write_allowed(out, numbers)?;
        if let Some(first) = numbers.differs.first() {
            let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
            line(
                out,
                format_args!(
                    "differs    {}: {}, recorded with {}",
                    first.condition,
                    or_none(&first.now),
                    or_none(&first.recorded)
                ),
            )?;
        }
        Ok(())
    }
}

/// A difference that is too large stands out.
fn mark(difference: &Difference) -> String {
    let too_large = if difference.ok { "" } else { " (too large)" };
    format!("{difference}{too_large}")
}

fn write_allowed(out: &mut Formatter<'_>, numbers: &Numbers) -> fmt::Result {
    let allowed = &numbers.allowed;
    let class = format!("{} on {}", numbers.dtype.as_str(), numbers.device);
    let measured = if allowed.is_measured {
        ""
    } else {
        ", a guess: not measured yet"
    };
    line(out, format_args!("tolerance  {class}{measured}"))?;
    match &allowed.reason {
        Some(reason) => line(out, format_args!("           the manifest's own: {reason}")),
        None => Ok(()),
    }
}

/// The tolerance in JSON.
#[derive(Serialize)]
struct ToleranceEntry<'a> {
    dtype: &'static str,
    device: String,
    measured: bool,
    reason: Option<&'a str>,
}

impl Serialize for NumbersReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let numbers = self.numbers.as_ref();
        let tolerance = numbers.map(|numbers| ToleranceEntry {
            dtype: numbers.dtype.as_str(),
            device: numbers.device.to_string(),
            measured: numbers.allowed.is_measured,
            reason: numbers.allowed.reason.as_deref(),
        });
        let mut report = serializer.serialize_struct("Report", 12)?;
        report.serialize_field("ok", &self.ok())?;
        report.serialize_field("model", &self.model)?;
        report.serialize_field("environment", &self.environment)?;
        report.serialize_field("generation", &self.generation)?;
        report.serialize_field("device", &self.device)?;
        report.serialize_field("reference", &self.record)?;
        report.serialize_field("damage", &self.damage)?;
        report.serialize_field("structures", &numbers.map(|numbers| &numbers.structures))?;
        report.serialize_field("tolerance", &tolerance)?;
        report.serialize_field("conditions", &numbers.map(|numbers| &numbers.conditions))?;
        report.serialize_field("differs", &numbers.map(|numbers| &numbers.differs))?;
        report.serialize_field("kept", &self.kept)?;
        report.end()
    }
}
