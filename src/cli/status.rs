//! `rootstock status`: the state of every environment and model. Reads only.

use serde_json::{Value, json};

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, lock, place, show};
use crate::files;
use crate::lock::{Lock, drift};
use crate::manifest::Manifest;
use crate::name::EnvironmentName;
use crate::plan;
use crate::report::bytes;
use crate::store::claims::{self, Builder, Claim};
use crate::store::installed::{Complete, Generation};
use crate::store::{self, Depth, Installed, Needs, Root};

mod models;

/// Arguments of `rootstock status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "States: fresh, stale (the lock has moved on), missing, incomplete, foreign (locked or built for \
                        another machine type, or built by a newer rootstock), broken, unlocked (not in the lock)"
)]
pub(crate) struct Arguments {
    /// Say how large things are; this reads every directory of the root's store.
    #[arg(long)]
    sizes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What is known of an environment.
struct Line<'a> {
    name: &'a EnvironmentName,
    state: &'static str,
    reason: Option<String>,
    optional: bool,
    /// The generation it leads to, if that is finished.
    current: Option<&'a Complete>,
    /// Who builds it now.
    building: Vec<Claim>,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let manifest = lock::manifest(shared)?;
    let root = place::root(shared, &manifest)?;
    let lock = lock::read(&lock::lock_path(&manifest.path)).or_exit(Exit::Usage)?;
    let drifted = lock
        .as_ref()
        .is_none_or(|lock| !drift::findings(&manifest, lock).is_empty());
    let names = names(&manifest, &root);
    let needs = Needs {
        environments: names.clone(),
        ..Needs::default()
    };
    let disk = store::look(&root, &needs, Depth::Quick).or_exit(Exit::Failed)?;
    let target = place::target()?;
    let claims = claims::all(&root);
    let lines: Vec<Line> = names
        .iter()
        .map(|name| {
            let mut line = line(
                name,
                &disk.environments[name],
                lock.as_ref(),
                &manifest,
                target,
            );
            let ours = |claim: &&Claim| claim.environment == *name;
            line.building = claims.iter().filter(ours).cloned().collect();
            line
        })
        .collect();
    if arguments.json {
        print_json(
            &lines,
            &manifest,
            lock.as_ref(),
            &root,
            drifted,
            arguments.sizes,
        )?;
    } else {
        print_text(&lines, &manifest, lock.as_ref(), &root, arguments.sizes)?;
        if drifted {
            show::remark(
                "the lock does not answer the manifest: `rootstock lock --check` says in what",
            );
        }
    }
    Ok(Exit::Ok)
}

/// Every environment of the manifest, and those that are left of earlier ones.
fn names(manifest: &Manifest, root: &Root) -> Vec<EnvironmentName> {
    // Where that cannot be listed, each environment of the manifest says so.
    let left = files::names(&root.environments()).unwrap_or_default();
    let left = left.iter().filter_map(|name| name.parse().ok());
    let known = manifest.environments.iter().map(|e| e.name.clone());
    let mut names: Vec<EnvironmentName> = known.chain(left).collect();
    names.sort();
    names.dedup();
    names
}

fn line<'a>(
    name: &'a EnvironmentName,
    installed: &'a Installed,
    lock: Option<&Lock>,
    manifest: &Manifest,
    target: &str,
) -> Line<'a> {
    let locked = lock.and_then(|lock| lock.environment(name));
    let (state, reason) = match locked.map(|locked| (locked, plan::target(locked, target))) {
        None => ("unlocked", None),
        Some((_, Err(none))) => ("foreign", Some(none.to_string())),
        Some((environment, Ok(target))) => match plan::reason(environment, target, installed) {
            None => ("fresh", None),
            Some(reason) => (reason.state(), Some(reason.to_string())),
        },
    };
    Line {
        name,
        state,
        reason,
        optional: manifest.environment(name).is_some_and(|e| e.optional),
        current: match installed.current() {
            Some(Generation::Complete(complete)) => Some(complete),
            _ => None,
        },
        building: Vec::new(),
    }
}

fn print_text(
    lines: &[Line],
    manifest: &Manifest,
    lock: Option<&Lock>,
    root: &Root,
    sizes: bool,
) -> Result<(), Failure> {
    let mut rows =
        vec![["environment", "state", "python", "packages", "size", "id"].map(String::from)];
    for line in lines {
        let stamp = line.current.map(|current| &current.stamp);
        let of = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let python = stamp.map(|stamp| &stamp.python.identity);
        rows.push([
            line.name.to_string(),
            line.state.to_owned(),
            of(python.map(|python| format!("{} {}", python.implementation, python.version))),
            of(stamp.map(|stamp| stamp.packages.to_string())),
            of(stamp.map(|stamp| bytes(stamp.bytes))),
            of(stamp.map(|stamp| stamp.id.clone())),
        ]);
    }
    table(&rows);
    let mut rows = vec![["model", "state", "environment", "argument"].map(String::from)];
    for model in &manifest.models {
        rows.push([
            model.id.to_string(),
            models::state(lines, model, manifest, lock, root)
                .0
                .to_owned(),
            model.environment.to_string(),
            model.argument.clone(),
        ]);
    }
    show::line("");
    table(&rows);
    show::line("");
    for line in lines {
        if let Some(reason) = &line.reason {
            let optional = if line.optional { " (optional)" } else { "" };
            show::line(&format!("{}{optional}: {reason}", line.name));
        }
    }
    for claim in lines.iter().flat_map(|line| &line.building) {
        let gone = match claim.builder() {
            Builder::Gone => ", who is gone",
            Builder::Lives | Builder::Unseen => "",
        };
        show::line(&format!(
            "{}: being built by {claim}{gone}",
            claim.environment
        ));
    }
    for model in &manifest.models {
        if let (_, Some(reason)) = models::state(lines, model, manifest, lock, root) {
            show::line(&format!("{}: {reason}", model.id));
        }
    }
    show::line(&format!("root: {}", root.path().display()));
    if sizes {
        for (what, size) in totals(root)? {
            show::line(&format!("{what}: {}", bytes(size)));
        }
    }
    Ok(())
}

fn print_json(
    lines: &[Line],
    manifest: &Manifest,
    lock: Option<&Lock>,
    root: &Root,
    drifted: bool,
    sizes: bool,
) -> Result<(), Failure> {
    let environments: Vec<Value> = lines.iter().map(|line| line_json(line, root)).collect();
    let models = manifest.models.iter().map(|model| {
        let (state, reason) = models::state(lines, model, manifest, lock, root);
        json!({
            "id": model.id,
            "environment": model.environment,
            "argument": model.argument,
            "state": state,
            "reason": reason,
        })
    });
    let models: Vec<Value> = models.collect();
    let mut status = json!({
        "root": root.path(),
        "drifted": drifted,
        "environments": environments,
        "models": models,
    });
    if sizes {
        let totals = totals(root)?.into_iter();
        status["bytes"] = totals
            .map(|(what, size)| (what.to_owned(), json!(size)))
            .collect();
    }
    show::json(&status);
    Ok(())
}

fn line_json(line: &Line, root: &Root) -> Value {
    let stamp = line.current.map(|current| &current.stamp);
    json!({
        "name": line.name,
        "state": line.state,
        "reason": line.reason,
        "optional": line.optional,
        "id": stamp.map(|stamp| &stamp.id),
        "digest": stamp.map(|stamp| stamp.digest),
        "tree": stamp.map(|stamp| stamp.tree),
        "python": stamp.map(|stamp| &stamp.python),
        "packages": stamp.map(|stamp| stamp.packages),
        "files": stamp.map(|stamp| stamp.files),
        "bytes": stamp.map(|stamp| stamp.bytes),
        "rootstock": stamp.map(|stamp| &stamp.rootstock),
        "path": stamp.map(|stamp| root.generation(line.name, &stamp.id)),
        "building": line.building.iter().map(building_json).collect::<Vec<_>>(),
    })
}

fn building_json(claim: &Claim) -> Value {
    json!({
        "id": claim.id,
        "user": claim.user,
        "host": claim.host,
        "process": claim.process,
        "since": claim.since,
        "beat": claim.beat,
        "builder": match claim.builder() {
            Builder::Lives => "lives",
            Builder::Gone => "gone",
            Builder::Unseen => "unseen",
        },
    })
}

/// How much each part of the root holds; a file with several names is counted once.
fn totals(root: &Root) -> Result<Vec<(&'static str, u64)>, Failure> {
    let parts = [
        // First: what generations share with the store counts there.
        ("store", root.store()),
        ("generations", root.all_generations()),
        ("cache", root.cache().to_owned()),
        ("trash", root.trash()),
    ];
    let present = parts.into_iter().filter(|(_, path)| files::exists(path));
    let (names, paths): (Vec<_>, Vec<_>) = present.unzip();
    let sizes = files::disk_use(&paths).or_exit(Exit::Failed)?;
    Ok(names.into_iter().zip(sizes).collect())
}

fn table<const N: usize>(rows: &[[String; N]]) {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    for row in rows {
        let cells = row.iter().enumerate();
        let cells = cells.map(|(column, cell)| format!("{cell:width$}", width = width(column)));
        show::line(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
