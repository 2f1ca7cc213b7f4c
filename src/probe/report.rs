//! What a probe found, for programs (`Serialize`) and for people (`Display`).

use std::fmt::{self, Formatter};
use std::path::PathBuf;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::Structure;
use super::latency::Latency;
use super::smoke::{Check, Smoke, Verdict};
use crate::report::line;
use crate::runtime::Selected;

/// What a probe of a model found.
#[derive(Debug)]
pub(crate) struct Report {
    /// The model.
    pub model: String,
    /// Where it ran.
    pub selected: Selected,
    /// The device that `setup()` was given.
    pub device: String,
    /// Structures that the model could not compute.
    pub refused: Vec<Refusal>,
    /// The structure that was computed.
    pub structure: Structure,
    /// The numbers, checked.
    pub smoke: Smoke,
    /// The time of a step, if it was measured.
    pub latency: Option<Latency>,
    /// The largest overhead that passes, in per cent of the computation.
    pub max_overhead: Option<f64>,
}

/// A structure that a model could not compute.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The name of the structure.
    pub structure: String,
    /// The traceback.
    pub traceback: String,
}

impl Report {
    /// Whether the overhead is too large. One that was not measured, or is no number, has not been shown to be small.
    fn is_too_slow(&self) -> bool {
        self.max_overhead.is_some_and(|limit| {
            let overhead = self.latency.map(|latency| latency.overhead);
            overhead.is_none_or(|overhead| !overhead.is_finite() || overhead > limit)
        })
    }

    /// Whether the model passes; `None` if a check could not be judged.
    pub(crate) fn ok(&self) -> Option<bool> {
        let failed = self.smoke.has(Verdict::Failed) || self.is_too_slow();
        match (failed, self.smoke.has(Verdict::NotJudged)) {
            (true, _) => Some(false),
            (false, true) => None,
            (false, false) => Some(true),
        }
    }

    fn write_numbers(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let answer = &self.smoke.answer;
        let largest = answer.forces.iter().map(f64::abs).fold(0.0, f64::max);
        line(out, format_args!("energy     {:.6} eV", answer.energy))?;
        line(
            out,
            format_args!("forces     largest component {largest:.6} eV/Å"),
        )?;
        let [xx, xy, xz, _, yy, yz, _, _, zz] = answer.stress;
        if !xx.is_finite() {
            return line(out, "stress     none");
        }
        line(
            out,
            format_args!(
                "stress     {xx:.6} {yy:.6} {zz:.6} {yz:.6} {xz:.6} {xy:.6} eV/Å³ (xx yy zz yz xz xy)"
            ),
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let (model, environment) = (&self.model, &self.selected.environment);
        let device = &self.device;
        line(
            out,
            format_args!("model      {model}, environment {environment}, device {device}"),
        )?;
        for refusal in &self.refused {
            let (structure, error) = (&refusal.structure, refusal.exception());
            line(out, format_args!("refused    {structure}: {error}"))?;
        }
        let (structure, atoms) = (&self.structure.name, self.structure.atoms());
        line(out, format_args!("structure  {structure}, {atoms} atoms"))?;
        self.write_numbers(out)?;
        if !self.selected.about.conservative {
            line(
                out,
                "direct     forces are no slope of the energy (`conservative = false`): not compared with it",
            )?;
        }
        for Check { name, ok, found } in &self.smoke.checks {
            let verdict = match ok {
                Verdict::Ok => "ok",
                Verdict::Failed => "FAIL",
                Verdict::NotJudged => "?",
            };
            line(out, format_args!("{verdict:4} {name}: {found}"))?;
        }
        if let Some(latency) = &self.latency {
            line(out, format_args!("latency    {latency}"))?;
            let overhead = latency.overhead;
            line(
                out,
                format_args!("overhead   {overhead:.2} % of the computation"),
            )?;
        }
        if let Some(limit) = self.max_overhead {
            let verdict = if self.is_too_slow() { "FAIL" } else { "ok" };
            line(
                out,
                format_args!("{verdict:4} overhead of at most {limit} %"),
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Latency {
            steps,
            round_trip,
            socket,
            hand_over,
            compute,
            ..
        } = self;
        write!(
            out,
            "{round_trip:.1} µs a step: socket {socket:.1}, hand-over {hand_over:.1}, compute {compute:.1} (medians of {steps} steps)"
        )
    }
}

impl Refusal {
    /// The last line of the traceback.
    fn exception(&self) -> &str {
        self.traceback.trim_end().lines().last().unwrap_or_default()
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut refusal = serializer.serialize_struct("Refusal", 2)?;
        refusal.serialize_field("name", &self.structure)?;
        refusal.serialize_field("error", self.exception())?;
        refusal.end()
    }
}

/// The structure in JSON.
#[derive(Serialize)]
struct StructureEntry<'a> {
    name: &'a str,
    atoms: usize,
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let answer = &self.smoke.answer;
        let has_stress = answer.stress.iter().all(|number| number.is_finite());
        let structure = StructureEntry {
            name: &self.structure.name,
            atoms: self.structure.atoms(),
        };
        let forces: Vec<f64> = answer.forces.iter().collect();
        let mut report = serializer.serialize_struct("Report", 15)?;
        report.serialize_field("ok", &self.ok())?;
        report.serialize_field("model", &self.model)?;
        report.serialize_field("environment", &self.selected.environment)?;
        report.serialize_field("generation", &self.selected.generation)?;
        report.serialize_field("device", &self.device)?;
        report.serialize_field("conservative", &self.selected.about.conservative)?;
        report.serialize_field("refused", &self.refused)?;
        report.serialize_field("structure", &structure)?;
        report.serialize_field("energy_ev", &answer.energy)?;
        report.serialize_field("forces_ev_per_angstrom", &forces)?;
        report.serialize_field(
            "stress_ev_per_angstrom3",
            &has_stress.then_some(answer.stress),
        )?;
        report.serialize_field("checks", &self.smoke.checks)?;
        report.serialize_field("latency_us", &self.latency)?;
        report.serialize_field(
            "overhead_percent",
            &self.latency.map(|latency| latency.overhead),
        )?;
        report.serialize_field("max_overhead_percent", &self.max_overhead)?;
        report.end()
    }
}

/// What the exchange costs by itself, in microseconds a step.
#[derive(Debug, Serialize)]
pub(crate) struct ExchangeReport {
    /// The number of atoms.
    pub atoms: usize,
    /// The number of steps.
    pub steps: u32,
    /// The messages of a step.
    #[serde(rename = "exchange_us")]
    pub exchange: f64,
    /// The turn to a Python and back, if there is one.
    #[serde(rename = "hand_over_us")]
    pub hand_over: Option<f64>,
    /// That Python.
    pub python: Option<PathBuf>,
}

impl fmt::Display for ExchangeReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            atoms,
            steps,
            exchange,
            ..
        } = self;
        line(
            out,
            format_args!("medians of {steps} steps of {atoms} atoms, nothing computed"),
        )?;
        line(
            out,
            format_args!(
                "exchange   {exchange:.1} µs: the messages of a step over a socket pair, Rust at both ends"
            ),
        )?;
        match (self.hand_over, &self.python) {
            (Some(took), Some(python)) => line(
                out,
                format_args!(
                    "hand-over  {took:.1} µs: the turn to a Python that computes nothing and back, through a shared file ({})",
                    python.display()
                ),
            ),
            _ => line(out, "hand-over  not measured: no python3 on PATH"),
        }
    }
}
