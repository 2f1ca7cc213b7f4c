//! `rootstock probe --record` and `--check`: numbers of models, recorded and compared.

use std::path::PathBuf;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, examined, lock, root, show};
use crate::digest::Digest;
use crate::files;
use crate::lock::{Lock, LockedModel, beside};
use crate::manifest::{Manifest, Model};
use crate::name::ModelId;
use crate::numbers::{self, Record, file};
use crate::probe::numbers::{Computed, Wanted, compare_with, compute};
use crate::probe::{NumbersReport, Structure};
use crate::report::counted;
use crate::runtime::{Selected, Variables, variables};
use crate::store::stamp::Found;
use crate::store::verified::{self, Verified, Worst};
use crate::store::{
    Catalogue, CatalogueWeight, Root, Stamp, intact, references, stamp::this_version,
};

pub(super) use self::subject::Subject;

pub(super) mod recording;
mod subject;

/// Which models to compare, and how.
pub(super) struct Checks<'a> {
    /// The model; all that have recorded numbers, if there is none.
    pub(super) model: Option<&'a str>,
    /// The device.
    pub(super) device: &'a str,
    /// How long a model may take to load, in seconds.
    pub(super) startup_timeout: u64,
    /// Show the worker's output.
    pub(super) verbose: bool,
    /// Print JSON.
    pub(super) json: bool,
}

/// Computes recorded numbers again; exit 3 if they are others.
pub(super) fn check(shared: &Shared, checks: &Checks) -> Result<Exit, Failure> {
    let root = root::built(shared)?;
    let compared = match checks.model {
        Some(model) => {
            let subject = Subject::named(shared, &root, model)?;
            let report = one(shared, &root, &subject, checks)?;
            show::report(&report, checks.json)?;
            return Ok(if report.ok() { Exit::Ok } else { Exit::Drift });
        }
        None => check_all(shared, &root, checks)?,
    };
    if compared.is_nothing() {
        return Err(Failure::usage(
            "no model that is built here has recorded numbers",
            "record some: `rootstock probe MODEL --record`",
        ));
    }
    if checks.json {
        show::value(&compared.value())?;
    } else {
        show::remark(&compared.summary());
    }
    Ok(compared.exit())
}

/// The numbers of all models that are built and have recorded ones; text is printed model by model.
pub(super) fn check_all(shared: &Shared, root: &Root, checks: &Checks) -> Result<All, Failure> {
    let mut all = All::default();
    for subject in Subject::all(shared, root)? {
        match one(shared, root, &subject, checks) {
            Ok(report) => {
                if !checks.json {
                    show::report(&report, false)?;
                }
                all.reports.push(report);
            }
            Err(failure) => {
                show::remark(&format!("{}:", subject.id));
                show::failure(&failure);
                all.failed.push((subject.id.to_string(), failure.exit));
            }
        }
    }
    Ok(all)
}

/// The comparisons of several models.
#[derive(Debug, Default)]
pub(super) struct All {
    reports: Vec<NumbersReport>,
    /// Those that could not be compared.
    failed: Vec<(String, Exit)>,
}

impl All {
    pub(super) fn is_nothing(&self) -> bool {
        self.reports.is_empty() && self.failed.is_empty()
    }

    fn others(&self) -> usize {
        self.reports.iter().filter(|report| !report.ok()).count()
    }

    pub(super) fn exit(&self) -> Exit {
        match (self.others(), self.failed.first()) {
            (0, None) => Exit::Ok,
            (0, Some((_, exit))) => *exit,
            (_, _) => Exit::Drift,
        }
    }

    pub(super) fn value(&self) -> serde_json::Value {
        let models = self.reports.iter();
        let models = models.filter_map(|report| serde_json::to_value(report).ok());
        let failed = self.failed.iter().map(|(model, _)| model.as_str());
        serde_json::json!({
            "ok": self.exit() == Exit::Ok,
            "models": models.collect::<Vec<_>>(),
            "failed": failed.collect::<Vec<_>>(),
        })
    }

    pub(super) fn summary(&self) -> String {
        let mut text = format!("{} compared", counted(self.reports.len(), "model"));
        if self.others() > 0 {
            text = format!("{text}, {} with other numbers", self.others());
        }
        if !self.failed.is_empty() {
            text = format!("{text}, {} not compared", self.failed.len());
        }
        text
    }
}

fn one(
    shared: &Shared,
    root: &Root,
    subject: &Subject,
    checks: &Checks,
) -> Result<NumbersReport, Failure> {
    let Subject {
        id, record, text, ..
    } = subject;
    let selected = super::worker::select(shared, root, id.as_str(), None)?;
    let stamp = stamp(&selected)?;
    subject.check_belongs(&selected, &stamp)?;
    let recorded = file::read(text).map_err(|reason| {
        let message = format!("`{}` cannot be read: {reason}", record.path);
        Failure::new(Exit::Usage, &message, None)
    })?;
    let mut report = NumbersReport {
        model: id.to_string(),
        environment: selected.environment.to_string(),
        generation: stamp.id.clone(),
        device: checks.device.to_owned(),
        record: record.clone(),
        damage: damage(root, subject, &selected, &stamp)?,
        numbers: None,
        kept: None,
    };
    if report.damage.is_empty() {
        let structures: Vec<Structure> = recorded.iter().map(Structure::of_entry).collect();
        let computed = Worker {
            root,
            model: id.as_str(),
            device: checks.device,
            startup_timeout: checks.startup_timeout,
            verbose: checks.verbose,
        };
        let computed = computed.compute(&structures, Wanted::All, &context::variables())?;
        let about = &subject.about;
        report.numbers = Some(compare_with(
            record,
            &recorded,
            &computed,
            about,
            checks.device,
        ));
    }
    report.kept = keep(shared, root, id, &report);
    Ok(report)
}

/// Files that are not those of the recording.
fn damage(
    root: &Root,
    subject: &Subject,
    selected: &Selected,
    stamp: &Stamp,
) -> Result<Vec<String>, Failure> {
    let (weights, mut wrong) =
        intact::weights_of(root, &subject.id, &subject.weights).or_exit(Exit::Failed)?;
    let weights = weights.iter().map(|(path, sha256)| (path.as_str(), sha256));
    if wrong.is_empty() && numbers::digest_of_weights(weights) != subject.record.weights {
        wrong.push(
            "weights: the model has fetched others than when its numbers were recorded".to_owned(),
        );
    }
    wrong.extend(intact::changed(&selected.generation, stamp).or_exit(Exit::Failed)?);
    Ok(wrong)
}

/// The stamp of the generation that computes.
fn stamp(selected: &Selected) -> Result<Stamp, Failure> {
    match Stamp::read(&selected.generation).or_exit(Exit::Failed)? {
        Found::Stamp(stamp) => Ok(*stamp),
        Found::Newer(_) | Found::Nothing => Err(Failure::new(
            Exit::Environment,
            &format!(
                "environment `{}` has no readable stamp",
                selected.environment
            ),
            Some("run `rootstock doctor`"),
        )),
    }
}

/// A worker that computes numbers.
struct Worker<'a> {
    root: &'a Root,
    model: &'a str,
    device: &'a str,
    startup_timeout: u64,
    verbose: bool,
}

impl Worker<'_> {
    fn compute(
        &self,
        structures: &[Structure],
        wanted: Wanted,
        inherited: &Variables,
    ) -> Result<Computed, Failure> {
        let worker = examined::worker(self.root, self.model, self.device, self.startup_timeout)?;
        let worker = worker.variables(inherited);
        let computed = compute(worker, self.model, structures, wanted);
        let (computed, output) = computed.map_err(examined::failure)?;
        if self.verbose {
            show::remarks(output.trim_end());
        }
        Ok(computed)
    }
}

/// Keeps the outcome in the root for `status`, where this user may write there; returns where.
fn keep(shared: &Shared, root: &Root, id: &ModelId, report: &NumbersReport) -> Option<PathBuf> {
    let kept = root::with_own_policy(root.clone()).map_err(|failure| failure.report.to_string());
    let kept = kept.and_then(|root| {
        root::apply_umask(&root);
        let outcome = outcome(shared, &root, report);
        verified::write(&root, id, &outcome).map_err(|error| error.text())
    });
    match kept {
        Ok(path) => Some(path),
        Err(reason) => {
            show::remark(&format!("the result is not kept in the root: {reason}"));
            None
        }
    }
}

fn outcome(shared: &Shared, root: &Root, report: &NumbersReport) -> Verified {
    let numbers = report.numbers.as_ref();
    let condition = |name: &str| numbers.and_then(|numbers| numbers.conditions.get(name).cloned());
    let worst = report.worst().into_iter().map(|worst| Worst {
        quantity: worst.quantity.to_owned(),
        measured: worst.measured,
        allowed: worst.allowed,
        unit: worst.unit.to_owned(),
    });
    let device = report.device.split(':').next().unwrap_or_default();
    Verified {
        schema: verified::SCHEMA,
        generation: report.generation.clone(),
        cluster: shared.cluster.clone(),
        device: condition("device").unwrap_or_else(|| device.to_owned()),
        accelerator: condition("accelerator"),
        date: verified::today(root),
        rootstock: this_version(),
        reference: report.record.sha256,
        dtype: report.record.dtype.as_str().to_owned(),
        ok: report.ok(),
        worst: worst.collect(),
    }
}
