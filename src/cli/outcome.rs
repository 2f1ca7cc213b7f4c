//! How a sync ended, in words or as JSON, and with which exit code.

use std::time::Duration;

use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::show;
use crate::build::{Built, Done, Error, Outcome, TAKEN_AWAY, weights};
use crate::plan::{Plan, PrefetchStep, WeightStep};
use crate::report::{chain, help};
use crate::store::Root;
use crate::store::prefetched::Record;
use crate::sync;
use crate::sync::prefetch;

/// Reports how it ended.
pub(super) fn report(outcome: &sync::Outcome, took: Duration, root: &Root, as_json: bool) -> Exit {
    let sync::Outcome {
        plan,
        environments: outcomes,
        weights: fetched,
        prefetched,
        written,
    } = outcome;
    if as_json {
        let environments: Vec<Value> = outcomes.iter().map(outcome_json).collect();
        let catalogue = match (&plan.catalogue, written) {
            (None, _) => "kept",
            (Some(_), Ok(())) => "written",
            (Some(_), Err(_)) => "failed",
        };
        show::json(&json!({
            "root": root.path(),
            "environments": environments,
            "weights": plan.weights.iter().zip(fetched).map(weight_json).collect::<Vec<_>>(),
            "prefetched": plan.prefetch.iter().zip(prefetched).map(prefetch_json).collect::<Vec<_>>(),
            "catalogue": catalogue,
            "seconds": took.as_secs_f64(),
        }));
    }
    let failures: Vec<_> = failures(outcomes)
        .into_iter()
        .chain(weight_failures(plan, fetched))
        .chain(prefetch_failures(plan, prefetched))
        .chain(
            written
                .as_ref()
                .err()
                .map(|error| (chain(error), help(error))),
        )
        .collect();
    let exit = if failures.is_empty() {
        Exit::Ok
    } else {
        Exit::Failed
    };
    for (text, help) in failures {
        show::failure(&Failure::new(exit, &text, help.as_deref()));
    }
    if !as_json {
        show::line(&summary(outcome, took));
    }
    exit
}

/// One line: `built emt, tblite; kept chgnet (12.3 s)`.
fn summary(outcome: &sync::Outcome, took: Duration) -> String {
    let sync::Outcome {
        plan,
        environments: outcomes,
        weights: fetched,
        prefetched,
        written,
    } = outcome;
    if plan.is_nothing() {
        return format!(
            "up to date: {}",
            show::counted(outcomes.len(), "environment")
        );
    }
    let mut parts: Vec<String> = ["built", "switched", "kept", "failed"]
        .into_iter()
        .filter_map(|how| {
            let names = outcomes
                .iter()
                .filter(|outcome| word(&outcome.result) == how);
            let names: Vec<&str> = names.map(|outcome| outcome.environment.as_str()).collect();
            (!names.is_empty()).then(|| format!("{how} {}", names.join(", ")))
        })
        .collect();
    let (good, bad): (Vec<_>, Vec<_>) = fetched.iter().partition(|result| result.is_ok());
    for (how, files) in [("fetched", good.len()), ("failed to fetch", bad.len())] {
        if files > 0 {
            parts.push(format!("{how} {}", show::counted(files, "weight file")));
        }
    }
    // An environment without models that needs no files has provided nothing.
    let loaded = plan.prefetch.iter().zip(prefetched);
    let records = loaded.filter_map(|(step, result)| {
        let record = result.as_ref().ok()?;
        (!step.is_environment() || !record.files.is_empty()).then_some(record)
    });
    let records: Vec<&Record> = records.collect();
    if !records.is_empty() {
        let files: usize = records.iter().map(|record| record.files.len()).sum();
        let models = show::counted(records.len(), "model");
        let files = show::counted(files, "file");
        parts.push(format!("provided {models} ({files} in the cache)"));
    }
    if parts.is_empty() && written.is_ok() {
        parts.push("wrote models.json".to_owned());
    }
    if written.is_err() {
        parts.push("failed to write models.json".to_owned());
    }
    format!("{} ({:.1} s)", parts.join("; "), took.as_secs_f64())
}

fn word(result: &Result<Done, Error>) -> &'static str {
    match result {
        Ok(Done::Flipped { .. }) => "switched",
        // Another process finished it while we were at it, or `--force` found it whole.
        Ok(Done::Kept { .. } | Done::Built(Built { new: false, .. })) => "kept",
        Ok(Done::Built(_)) => "built",
        Err(_) => "failed",
    }
}

fn outcome_json(outcome: &Outcome) -> Value {
    let (id, tree) = match &outcome.result {
        Ok(Done::Kept { id } | Done::Flipped { id }) => (Some(id), None),
        Ok(Done::Built(built)) => (Some(&built.id), Some(built.tree)),
        Err(_) => (None, None),
    };
    let errors: Vec<Value> = failures(std::slice::from_ref(outcome))
        .into_iter()
        .map(|(text, help)| json!({ "message": text, "help": help }))
        .collect();
    json!({
        "environment": outcome.environment,
        "result": word(&outcome.result),
        "id": id,
        "tree": tree,
        "errors": errors,
    })
}

/// Every distinct cause with the environments that failed by it, and what a person can do.
fn failures(outcomes: &[Outcome]) -> Vec<(String, Option<String>)> {
    let mut causes: Vec<(String, Option<String>, Vec<&str>)> = Vec::new();
    for outcome in outcomes {
        let Err(error) = &outcome.result else {
            continue;
        };
        for (text, help) in causes_of(error) {
            let name = outcome.environment.as_str();
            match causes.iter_mut().find(|(known, ..)| *known == text) {
                Some((_, _, names)) => names.push(name),
                None => causes.push((text, help, vec![name])),
            }
        }
    }
    let message = |(text, help, names): (String, _, Vec<&str>)| {
        (format!("{} failed: {text}", names.join(", ")), help)
    };
    causes.into_iter().map(message).collect()
}

/// Every weight file that could not be fetched, with its model.
fn weight_failures(
    plan: &Plan,
    fetched: &[Result<(), weights::Error>],
) -> Vec<(String, Option<String>)> {
    let mut failures = Vec::new();
    for (step, result) in plan.weights.iter().zip(fetched) {
        if let Err(error) = result {
            let help = error.advice().map(str::to_owned);
            failures.push((
                format!(
                    "weights `{}` of {}: {}",
                    step.weight.path,
                    step.model.id,
                    chain(error)
                ),
                help,
            ));
        }
    }
    failures
}

/// Every model that could not fetch what it needs.
fn prefetch_failures(
    plan: &Plan,
    prefetched: &[Result<Record, prefetch::Error>],
) -> Vec<(String, Option<String>)> {
    let failed = plan.prefetch.iter().zip(prefetched);
    let messages = failed.filter_map(|(step, result)| {
        let error = result.as_ref().err()?;
        let kind = if step.is_environment() {
            "environment"
        } else {
            "model"
        };
        let text = format!("{kind} {}: {}", step.model.id, chain(error));
        Some((text, error.advice()))
    });
    messages.collect()
}

fn prefetch_json((step, result): (&PrefetchStep, &Result<Record, prefetch::Error>)) -> Value {
    let files = result.as_ref().ok().map(|record| &record.files);
    let error = result.as_ref().err().map(|error| chain(error));
    json!({ "model": step.model.id, "files": files, "error": error })
}

fn weight_json((step, result): (&WeightStep, &Result<(), weights::Error>)) -> Value {
    let error = result.as_ref().err().map(|error| chain(error));
    json!({ "model": step.model.id, "path": step.weight.path, "fetched": result.is_ok(), "error": error })
}

fn causes_of(error: &Error) -> Vec<(String, Option<String>)> {
    match error {
        Error::Packages(failures) => failures
            .iter()
            .map(|failure| (chain(&**failure), failure.advice()))
            .collect(),
        Error::Interpreter(error) => vec![(chain(error), help(error))],
        Error::Python(error) => vec![(chain(&**error), error.advice())],
        Error::Source(error) => vec![(chain(error), help(error))],
        Error::Requires(error) => vec![(chain(error), help(error))],
        Error::Environment(error) => vec![(chain(error), help(error))],
        Error::Files(error) => vec![(chain(error), help(error))],
        Error::TakenAway(_) => vec![(chain(error), Some(TAKEN_AWAY.to_owned()))],
        Error::SourceChanged(_) => {
            let help = "run `rootstock lock`, then `rootstock sync`".to_owned();
            vec![(chain(error), Some(help))]
        }
    }
}
