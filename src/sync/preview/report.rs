//! What a sync would do, for programs (`Serialize`) and for people (`Display`).

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};
use std::path::Path;

use serde::{Serialize, Serializer};

use super::Preview;
use crate::build::estimate::BuildEstimate;
use crate::digest::Digest;
use crate::doctor::Room;
use crate::name::{EnvironmentName, ModelId};
use crate::plan::{Action, Plan, PrefetchStep, Reason, Step, WeightStep};
use crate::report::{bytes, counted, line};

/// The JSON of a preview.
#[derive(Serialize)]
struct Document<'a> {
    root: &'a Path,
    matches: bool,
    environments: Vec<StepEntry<'a>>,
    weights: Vec<WeightEntry<'a>>,
    references: &'a BTreeMap<String, String>,
    prefetch: Vec<PrefetchEntry<'a>>,
    access: Option<String>,
    catalogue: &'static str,
    download: Amount,
    room: Vec<RoomEntry<'a>>,
}

#[derive(Serialize)]
struct Amount {
    files: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct StepEntry<'a> {
    environment: &'a EnvironmentName,
    action: &'static str,
    state: &'static str,
    reason: Option<String>,
    id: Option<&'a String>,
    digest: Digest,
    download: Option<Amount>,
    disk: Option<DiskUse>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct DiskUse {
    bytes: u64,
    inodes: u64,
    estimated_packages: usize,
}

#[derive(Serialize)]
struct WeightEntry<'a> {
    model: &'a ModelId,
    path: &'a str,
    size: Option<u64>,
    reason: String,
}

#[derive(Serialize)]
struct PrefetchEntry<'a> {
    model: &'a ModelId,
    reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RoomEntry<'a> {
    of: &'a str,
    bytes_left: Option<u64>,
    inodes_left: Option<u64>,
    enough: bool,
}

impl Serialize for Preview<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let plan = self.plan;
        let steps = plan.steps.iter().zip(&self.estimates);
        let weights = plan.weights.iter().map(|step| WeightEntry {
            model: &step.model.id,
            path: &step.weight.path,
            size: step.weight.size,
            reason: step.because.to_string(),
        });
        let prefetch = plan.prefetch.iter().map(|step| PrefetchEntry {
            model: &step.model.id,
            reason: step.because.to_string(),
        });
        let room = self.room.iter().map(|there| RoomEntry {
            of: &there.of,
            bytes_left: there.bytes,
            inodes_left: there.inodes,
            enough: !self.exceeds(there),
        });
        let document = Document {
            root: self.root.path(),
            matches: plan.is_nothing(),
            environments: steps.map(step_entry).collect(),
            weights: weights.collect(),
            references: &plan.references,
            prefetch: prefetch.collect(),
            access: plan.access.as_ref().map(|step| step.now.to_string()),
            catalogue: match plan.catalogue {
                Some(_) => "write",
                None => "keep",
            },
            download: Amount {
                files: self.files,
                bytes: self.download,
            },
            room: room.collect(),
        };
        document.serialize(serializer)
    }
}

fn step_entry<'a>((step, estimate): (&'a Step<'_>, &Option<BuildEstimate>)) -> StepEntry<'a> {
    let (action, id, because) = match &step.action {
        Action::Keep { id } => ("keep", Some(id), None),
        Action::Flip { to, because } => ("switch", Some(to), Some(because)),
        Action::Build { because } => ("build", None, Some(because)),
    };
    StepEntry {
        environment: &step.environment.name,
        action,
        state: because.map_or("fresh", Reason::state),
        reason: because.map(ToString::to_string),
        id,
        digest: step.target.digest,
        download: estimate.map(|estimate| Amount {
            files: estimate.files,
            bytes: estimate.download,
        }),
        disk: estimate.map(|estimate| DiskUse {
            bytes: estimate.bytes,
            inodes: estimate.inodes,
            estimated_packages: estimate.estimated,
        }),
    }
}

impl fmt::Display for Preview<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let plan = self.plan;
        if let Some(step) = &plan.access {
            line(out, format_args!("access: {step}"))?;
        }
        self.write_builds(out)?;
        write_files(out, plan)?;
        if self.files > 0 {
            let size = bytes(self.download);
            line(
                out,
                format_args!("to download: {}, {size}", counted(self.files, "file")),
            )?;
        }
        for room in self.room.iter().filter(|room| self.exceeds(room)) {
            self.write_shortage(out, room)?;
        }
        if plan.is_nothing() {
            let root = self.root.path().display();
            line(out, format_args!("`{root}` matches the lock"))?;
        }
        Ok(())
    }
}

impl Preview<'_> {
    fn write_builds(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for (step, estimate) in self.plan.steps.iter().zip(&self.estimates) {
            let name = &step.environment.name;
            match &step.action {
                Action::Keep { id } => line(out, format_args!("{name}: keep {id}"))?,
                Action::Flip { to, because } => {
                    line(out, format_args!("{name}: switch to {to}: {because}"))?;
                }
                Action::Build { because } => line(out, format_args!("{name}: build: {because}"))?,
            }
            if let Some(estimate) = estimate {
                line(out, format_args!("  {}", amounts(estimate)))?;
            }
        }
        Ok(())
    }

    fn write_shortage(&self, out: &mut Formatter<'_>, room: &Room) -> fmt::Result {
        let size = room.bytes.map(bytes);
        let files = room.inodes.map(|left| format!("{left} inodes"));
        let left: Vec<String> = size.into_iter().chain(files).collect();
        let place = match room.of.as_str() {
            "filesystem" => "the filesystem".to_owned(),
            whose => format!("the quota of {whose}"),
        };
        line(
            out,
            format_args!(
                "this may not fit: all that is to be built takes about {} and {} inodes if nothing is linked, and {place} has \
                 {} left",
                bytes(self.bytes),
                self.inodes,
                left.join(" and ")
            ),
        )
    }
}

/// What is done for models, and the small files.
fn write_files(out: &mut Formatter<'_>, plan: &Plan) -> fmt::Result {
    for WeightStep {
        model,
        weight,
        because,
    } in &plan.weights
    {
        let (id, path) = (&model.id, &weight.path);
        line(out, format_args!("{id}: fetch `{path}`: {because}"))?;
    }
    for PrefetchStep { model, because, .. } in &plan.prefetch {
        line(out, format_args!("{}: load once: {because}", model.id))?;
    }
    for (path, commit) in &plan.references {
        line(out, format_args!("{path}: update to {commit}"))?;
    }
    if plan.catalogue.is_some() {
        line(out, "models.json: update")?;
    }
    Ok(())
}

/// What a build takes, in one line.
fn amounts(estimate: &BuildEstimate) -> String {
    let download = match estimate.files {
        0 => "nothing to download".to_owned(),
        files => format!(
            "download {}, {}",
            counted(files, "file"),
            bytes(estimate.download)
        ),
    };
    let (about, estimated) = match estimate.estimated {
        0 => ("", String::new()),
        number => {
            let packages = counted(number, "package");
            let note = format!(" (estimated for {packages} that are not in the store)");
            ("about ", note)
        }
    };
    format!(
        "{download}; on disk {about}{}, {} inodes{estimated}",
        bytes(estimate.bytes),
        estimate.inodes
    )
}
