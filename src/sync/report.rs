//! How a sync ended, for programs (`Serialize`) and for people (`Display`).

use std::fmt::{self, Formatter};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::{Outcome, prefetch};
use crate::build::{self, Built, Done, weights};
use crate::digest::Digest;
use crate::name::{EnvironmentName, ModelId};
use crate::plan::{PrefetchStep, WeightStep};
use crate::report::{Problem, chain, counted, line};
use crate::store::Root;
use crate::store::prefetched::{CachedFile, Record};

/// How a sync ended.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The root.
    pub root: PathBuf,
    /// The environments, in the order of the plan.
    pub environments: Vec<EnvironmentReport>,
    /// The weight files that had to be fetched.
    pub weights: Vec<WeightReport>,
    /// The models that had to be loaded once.
    pub prefetched: Vec<PrefetchReport>,
    /// `kept`, `written` or `failed`.
    pub catalogue: &'static str,
    /// How long it took.
    pub seconds: f64,
    /// Everything that failed, each cause once.
    #[serde(skip)]
    pub problems: Vec<Problem>,
    /// Whether there was nothing to do.
    #[serde(skip)]
    pub up_to_date: bool,
    /// Whether the catalogue and references of the hub could be written, where that was needed.
    #[serde(skip)]
    written: bool,
}

/// How it ended for an environment.
#[derive(Debug, Serialize)]
pub struct EnvironmentReport {
    /// The environment's name.
    pub environment: EnvironmentName,
    /// `built`, `switched`, `kept` or `failed`.
    pub result: &'static str,
    /// Its current generation; `None` if it failed.
    pub id: Option<String>,
    /// The digest of its files, if it was built.
    pub tree: Option<Digest>,
    /// Why it failed.
    pub errors: Vec<Problem>,
}

/// How it ended for a weight file.
#[derive(Debug, Serialize)]
pub struct WeightReport {
    /// The first model that needs it.
    pub model: ModelId,
    /// Below the cache.
    pub path: String,
    /// Whether it is there now.
    pub fetched: bool,
    /// Why not.
    pub error: Option<String>,
}

/// How it ended for a model that had to be loaded once.
#[derive(Debug, Serialize)]
pub struct PrefetchReport {
    /// The model; an environment, if it has no models.
    pub model: ModelId,
    /// The files it has left in the cache.
    pub files: Option<Vec<CachedFile>>,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether it is an environment.
    #[serde(skip)]
    is_environment: bool,
}

impl Outcome<'_> {
    /// The report of a sync of this root that took so long.
    pub fn report(&self, root: &Root, took: Duration) -> Report {
        let weights = self.plan.weights.iter().zip(&self.weights);
        let prefetched = self.plan.prefetch.iter().zip(&self.prefetched);
        Report {
            root: root.path().to_owned(),
            environments: self.environments.iter().map(environment).collect(),
            weights: weights.map(weight).collect(),
            prefetched: prefetched.map(prefetched_one).collect(),
            catalogue: match (&self.plan.catalogue, &self.written) {
                (None, _) => "kept",
                (Some(_), Ok(())) => "written",
                (Some(_), Err(_)) => "failed",
            },
            seconds: took.as_secs_f64(),
            problems: self.problems(),
            up_to_date: self.plan.is_nothing(),
            written: self.written.is_ok(),
        }
    }

    /// Every cause of a failure once.
    fn problems(&self) -> Vec<Problem> {
        let weights = self.plan.weights.iter().zip(&self.weights);
        let weights = weights.filter_map(|(step, result)| {
            let problem = Problem::from(result.as_ref().err()?);
            let (path, model) = (&step.weight.path, &step.model.id);
            Some(problem.in_context(format_args!("weights `{path}` of {model}")))
        });
        let prefetched = self.plan.prefetch.iter().zip(&self.prefetched);
        let prefetched = prefetched.filter_map(|(step, result)| {
            let problem = Problem::from(result.as_ref().err()?);
            let kind = if step.is_environment() {
                "environment"
            } else {
                "model"
            };
            Some(problem.in_context(format_args!("{kind} {}", step.model.id)))
        });
        let mut problems = build_problems(&self.environments);
        problems.extend(weights);
        problems.extend(prefetched);
        problems.extend(self.written.as_ref().err().map(Problem::from));
        problems
    }
}

/// Each cause once, with the environments that failed by it.
fn build_problems(outcomes: &[build::Outcome]) -> Vec<Problem> {
    let mut causes: Vec<(Problem, Vec<&str>)> = Vec::new();
    for outcome in outcomes {
        let name = outcome.environment.as_str();
        for problem in outcome
            .result
            .as_ref()
            .err()
            .map_or_else(Vec::new, build::Error::problems)
        {
            match causes
                .iter_mut()
                .find(|(known, _)| known.message == problem.message)
            {
                Some((_, names)) => names.push(name),
                None => causes.push((problem, vec![name])),
            }
        }
    }
    let in_words = |(problem, names): (Problem, Vec<&str>)| {
        problem.in_context(format_args!("{} failed", names.join(", ")))
    };
    causes.into_iter().map(in_words).collect()
}

fn environment(outcome: &build::Outcome) -> EnvironmentReport {
    let (id, tree) = match &outcome.result {
        Ok(Done::Kept { id } | Done::Flipped { id }) => (Some(id.clone()), None),
        Ok(Done::Built(built)) => (Some(built.id.clone()), Some(built.tree)),
        Err(_) => (None, None),
    };
    EnvironmentReport {
        environment: outcome.environment.clone(),
        result: match &outcome.result {
            Ok(Done::Flipped { .. }) => "switched",
            // Another process finished it meanwhile, or `--force` found the same files.
            Ok(Done::Kept { .. } | Done::Built(Built { new: false, .. })) => "kept",
            Ok(Done::Built(_)) => "built",
            Err(_) => "failed",
        },
        id,
        tree,
        errors: build_problems(std::slice::from_ref(outcome)),
    }
}

fn weight((step, result): (&WeightStep, &Result<(), weights::Error>)) -> WeightReport {
    WeightReport {
        model: step.model.id.clone(),
        path: step.weight.path.clone(),
        fetched: result.is_ok(),
        error: result.as_ref().err().map(|error| chain(error)),
    }
}

fn prefetched_one(
    (step, result): (&PrefetchStep, &Result<Record, prefetch::Error>),
) -> PrefetchReport {
    PrefetchReport {
        model: step.model.id.clone(),
        files: result.as_ref().ok().map(|record| record.files.clone()),
        error: result.as_ref().err().map(|error| chain(error)),
        is_environment: step.is_environment(),
    }
}

/// One line: `built emt, tblite; kept chgnet (12.3 s)`.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if self.up_to_date {
            let environments = counted(self.environments.len(), "environment");
            return line(out, format_args!("up to date: {environments}"));
        }
        let mut parts: Vec<String> = ["built", "switched", "kept", "failed"]
            .into_iter()
            .filter_map(|result| self.names(result))
            .collect();
        let fetched = self.weights.iter().filter(|weight| weight.fetched).count();
        let failed = self.weights.len() - fetched;
        for (how, files) in [("fetched", fetched), ("failed to fetch", failed)] {
            if files > 0 {
                parts.push(format!("{how} {}", counted(files, "weight file")));
            }
        }
        parts.extend(self.provided());
        let small_files = match self.catalogue {
            "failed" => Some("failed to write models.json"),
            _ if !self.written => Some("failed to write a reference of the hub"),
            "written" if parts.is_empty() => Some("wrote models.json"),
            _ if parts.is_empty() => Some("updated the root"),
            _ => None,
        };
        parts.extend(small_files.map(str::to_owned));
        line(
            out,
            format_args!("{} ({:.1} s)", parts.join("; "), self.seconds),
        )
    }
}

impl Report {
    /// The environments that ended like this.
    fn names(&self, result: &str) -> Option<String> {
        let ended = self.environments.iter().filter(|one| one.result == result);
        let names: Vec<&str> = ended.map(|one| one.environment.as_str()).collect();
        (!names.is_empty()).then(|| format!("{result} {}", names.join(", ")))
    }

    /// How many models were loaded, and the files they have left.
    fn provided(&self) -> Option<String> {
        // An environment without models that needs no files has provided nothing.
        let loaded = self.prefetched.iter().filter_map(|one| {
            let files = one.files.as_ref()?.len();
            (!one.is_environment || files > 0).then_some(files)
        });
        let files: Vec<usize> = loaded.collect();
        (!files.is_empty()).then(|| {
            let models = counted(files.len(), "model");
            let files = counted(files.into_iter().sum(), "file");
            format!("provided {models} ({files} in the cache)")
        })
    }
}
