//! The report of a run: for people, and as JSON.

use std::path::Path;

use serde::Serialize;

use super::{Failure, Summary};
use crate::report::counted;

/// How many failures people get to see.
const SHOWN: usize = 20;

/// A finished run.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) schema: u32,
    pub(crate) model: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) generation: &'a str,
    /// The finished file, or what there is of it.
    pub(crate) output: Option<&'a Path>,
    /// Whether every structure was evaluated, or has failed.
    pub(crate) complete: bool,
    pub(crate) structures: u64,
    pub(crate) done: u64,
    pub(crate) already: u64,
    pub(crate) failed: Vec<Failed<'a>>,
    pub(crate) atoms: u64,
    pub(crate) seconds: f64,
    pub(crate) structures_per_second: f64,
    pub(crate) workers: usize,
    pub(crate) devices: &'a [String],
    pub(crate) threads: Option<usize>,
    pub(crate) batch: Option<usize>,
}

/// A structure that has failed.
#[derive(Debug, Serialize)]
pub(crate) struct Failed<'a> {
    index: u64,
    #[serde(flatten)]
    failure: &'a Failure,
}

impl Summary {
    /// Results of this run in a second.
    #[expect(clippy::cast_precision_loss, reason = "counts of structures are small")]
    pub(crate) fn rate(&self) -> f64 {
        if self.seconds > 0.0 {
            self.done as f64 / self.seconds
        } else {
            0.0
        }
    }

    /// The failures, for a report.
    pub(crate) fn failed(&self) -> Vec<Failed<'_>> {
        let failures = self.failures.iter();
        failures
            .map(|(index, failure)| Failed {
                index: *index,
                failure,
            })
            .collect()
    }

    /// The failures in lines; one and the same failure of many structures is one line.
    pub(crate) fn failure_lines(&self) -> Vec<String> {
        let mut groups: Vec<(&str, Vec<u64>)> = Vec::new();
        for (index, failure) in &self.failures {
            let known = groups
                .iter()
                .position(|(message, _)| *message == failure.message);
            match known {
                Some(at) => groups[at].1.push(*index),
                None if groups.len() < SHOWN => groups.push((&failure.message, vec![*index])),
                None => {}
            }
        }
        let shown: usize = groups.iter().map(|(_, indices)| indices.len()).sum();
        let mut lines: Vec<String> = groups
            .into_iter()
            .map(|(message, indices)| format!("{}: {message}", named(&indices)))
            .collect();
        let others = self.failed - shown as u64;
        if others > 0 {
            lines.push(format!("and {others} more; `--json` has all"));
        }
        lines
    }

    /// What was done, in one line.
    pub(crate) fn line(&self) -> String {
        let already = match self.already {
            0 => String::new(),
            already => format!(", {already} were there"),
        };
        let failed = match self.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        if self.done == 0 {
            return format!(
                "evaluated 0 of {} structures{already}{failed}",
                self.structures
            );
        }
        let count =
            |number: u64, what| counted(usize::try_from(number).unwrap_or(usize::MAX), what);
        let batch = self
            .batch
            .map(|batch| format!(", batches of {batch}"))
            .unwrap_or_default();
        format!(
            "evaluated {} with {} in {:.1} s: {:.1} structures/s, {} on {}{batch}{already}{failed}",
            count(self.done, "structure"),
            count(self.atoms, "atom"),
            self.seconds,
            self.rate(),
            counted(self.workers, "worker"),
            self.devices.join(", ")
        )
    }
}

fn named(indices: &[u64]) -> String {
    match indices {
        [one] => format!("structure {one}"),
        indices => {
            let first: Vec<String> = indices.iter().take(10).map(ToString::to_string).collect();
            let more = if indices.len() > 10 {
                format!(" and {} more", indices.len() - 10)
            } else {
                String::new()
            };
            format!("structures {}{more}", first.join(", "))
        }
    }
}
