//! `rootstock probe --record`: computes the numbers of models on a processor, in one thread, and ties them to the lock.

use std::path::Path;

use serde::Serialize;

use super::{
    CatalogueWeight, Checks, Computed, Digest, Exit, Failure, Lock, Manifest, Model, OrExit,
    Record, Root, Selected, Shared, Stamp, Structure, Variables, Wanted, Worker, beside, context,
    counted, file, files, intact, lock, numbers, root, show, stamp, variables,
};
use crate::about;
use crate::name::ModelId;

/// Variables that make libraries compute in one thread.
const ONE_THREAD: [&str; 5] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
];

/// Structures for models that declare none: those of their elements are tried in this order.
const DEFAULTS: [&str; 8] = [
    "Cu",
    "Si",
    "NaCl rocksalt 5.64",
    "CH3CH2OH",
    "H2O",
    "Al",
    "Fe",
    "C diamond 3.57",
];
/// So many of them are computed.
const DEFAULT_COUNT: usize = 3;
/// Numbers of one structure may be right by chance.
const LEAST: usize = 2;

/// What was recorded of a model.
#[derive(Serialize)]
struct Recorded {
    model: ModelId,
    reference: String,
    sha256: Digest,
    dtype: &'static str,
    structures: Vec<StructureEntry>,
}

#[derive(Serialize)]
struct StructureEntry {
    name: String,
    atoms: usize,
    energy_ev: f64,
    largest_force_ev_per_angstrom: f64,
}

/// Records the numbers of a model, or of all whose environments are built.
pub(in crate::cli) fn record(shared: &Shared, checks: &Checks) -> Result<Exit, Failure> {
    let manifest = lock::manifest(shared)?;
    let root = root::named(shared, &manifest)?;
    let models = chosen(&manifest, &root, checks.model)?;
    let mut all = Vec::new();
    let mut failed = None;
    for model in models {
        match one(shared, &manifest, &root, model, checks) {
            Ok(recorded) => {
                if !checks.json {
                    show::document(&recorded.to_string());
                }
                all.push(recorded);
            }
            Err(failure) if checks.model.is_none() => {
                show::remark(&format!("{}:", model.id));
                show::failure(&failure);
                failed = failed.or(Some(failure.exit));
            }
            Err(failure) => return Err(failure),
        }
    }
    if checks.json {
        show::value(&serde_json::json!({ "ok": failed.is_none(), "models": all_values(&all) }))?;
    }
    Ok(failed.unwrap_or(Exit::Ok))
}

fn all_values(all: &[Recorded]) -> Vec<serde_json::Value> {
    let values = all
        .iter()
        .filter_map(|recorded| serde_json::to_value(recorded).ok());
    values.collect()
}

impl std::fmt::Display for Recorded {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            model,
            reference,
            dtype,
            structures,
            ..
        } = self;
        let count = counted(structures.len(), "structure");
        write!(out, "{model}: {count} recorded in {reference}, {dtype}")?;
        for structure in structures {
            write!(
                out,
                "\n  {}: {} atoms, {:.6} eV, largest force component {:.6} eV/Å",
                structure.name,
                structure.atoms,
                structure.energy_ev,
                structure.largest_force_ev_per_angstrom
            )?;
        }
        Ok(())
    }
}

/// The model of this name, or all that name a file and are built.
fn chosen<'m>(
    manifest: &'m Manifest,
    root: &Root,
    name: Option<&str>,
) -> Result<Vec<&'m Model>, Failure> {
    let Some(name) = name else {
        let models = manifest.models.iter();
        let models = models.filter(|model| model.reference.is_some());
        let (built, others): (Vec<_>, Vec<_>) =
            models.partition(|model| files::exists(&root.current(&model.environment)));
        for model in others {
            let id = &model.id;
            show::remark(&format!(
                "{id}: skipped, its environment is not built in the root"
            ));
        }
        return Ok(built);
    };
    let found = manifest
        .models
        .iter()
        .find(|model| model.id.as_str() == name);
    let found = found.ok_or_else(|| {
        let known = manifest.models.iter().map(|model| model.id.to_string());
        Failure::usage(
            &format!("the manifest has no model `{name}`"),
            &crate::report::listed("it has", known),
        )
    })?;
    Ok(vec![found])
}

fn one(
    shared: &Shared,
    manifest: &Manifest,
    root: &Root,
    model: &Model,
    checks: &Checks,
) -> Result<Recorded, Failure> {
    let id = &model.id;
    let path = model
        .reference
        .as_ref()
        .map(|reference| reference.path.clone());
    let path = path.ok_or_else(|| {
        Failure::usage(
            &format!("the manifest names no file for the numbers of `{id}`"),
            &format!("write `reference = \"references/{id}.extxyz\"` into its `[models.{id}]`"),
        )
    })?;
    let only = [model.environment.clone()];
    let mut lock = lock::current(manifest, Some(&only))?.lock;
    let selected = super::super::worker::select(shared, root, id.as_str(), None)?;
    let stamp = stamp(&selected)?;
    let subject = Locked::new(&lock, model, &selected, &stamp)?;
    let weights = subject.weights(root, &selected, &stamp)?;
    let inherited = one_thread();
    let structures = structures(manifest, root, model, &selected, &inherited)?;
    let worker = Worker {
        root,
        model: id.as_str(),
        device: "cpu",
        startup_timeout: checks.startup_timeout,
        verbose: checks.verbose,
    };
    let wanted = if model.about.probe.is_empty() {
        Wanted::First(DEFAULT_COUNT)
    } else {
        Wanted::All
    };
    let computed = worker.compute(&structures, wanted, &inherited)?;
    check(model, &computed)?;
    let dtype = computed.dtype(&model.about);
    let text = file::text(&computed.entries);
    let record = Record {
        path: path.clone(),
        sha256: Digest::of(&text),
        target: stamp.target.clone(),
        answer: stamp.digest,
        generation: stamp.id.clone(),
        model: subject.identity,
        weights,
        dtype,
        conditions: computed.conditions(dtype),
    };
    let recorded = recorded(model, &record, &computed);
    let here = manifest.path.parent().unwrap_or(Path::new(""));
    let here = if here.as_os_str().is_empty() {
        Path::new(".")
    } else {
        here
    };
    let place = files::room_below(here, &path).or_exit(Exit::Failed)?;
    files::write_atomically(&place, text.as_bytes()).or_exit(Exit::Failed)?;
    if let Some(locked) = lock.models.iter_mut().find(|locked| locked.id == *id) {
        locked.reference = Some(record);
    }
    beside::write(&beside::path(&manifest.path), &lock).or_exit(Exit::Failed)?;
    Ok(recorded)
}

fn recorded(model: &Model, record: &Record, computed: &Computed) -> Recorded {
    let structures = computed.entries.iter().map(|entry| StructureEntry {
        name: entry.name.clone(),
        atoms: entry.numbers.len(),
        energy_ev: entry.energy,
        largest_force_ev_per_angstrom: entry.largest_force(),
    });
    Recorded {
        model: model.id.clone(),
        reference: record.path.clone(),
        sha256: record.sha256,
        dtype: record.dtype.as_str(),
        structures: structures.collect(),
    }
}

/// A model of the lock that is in the root as it is locked.
struct Locked {
    id: ModelId,
    identity: Digest,
    weights: Vec<CatalogueWeight>,
}

impl Locked {
    fn new(
        lock: &Lock,
        model: &Model,
        selected: &Selected,
        stamp: &Stamp,
    ) -> Result<Self, Failure> {
        let other = || {
            Failure::new(
                Exit::Environment,
                &format!("the root does not have `{}` as it is locked", model.id),
                Some(&format!("run `rootstock sync {}`", model.environment)),
            )
        };
        let locked = lock.models.iter().find(|locked| locked.id == model.id);
        let locked = locked.ok_or_else(other)?;
        let environment = lock.environment(&model.environment);
        let answer = environment.and_then(|environment| environment.target(&stamp.target));
        let is_same = answer.is_some_and(|answer| answer.digest == stamp.digest)
            && selected.argument == locked.argument
            && selected.setup == locked.setup;
        if !is_same {
            return Err(other());
        }
        let weights = locked.weights.iter().map(|weight| CatalogueWeight {
            path: weight.path.clone(),
            size: weight.size,
            sha256: weight.sha256,
        });
        Ok(Self {
            id: model.id.clone(),
            identity: locked.identity(),
            weights: weights.collect(),
        })
    }

    /// The digest of its weights; numbers of damaged files are not recorded.
    fn weights(&self, root: &Root, selected: &Selected, stamp: &Stamp) -> Result<Digest, Failure> {
        let (weights, mut wrong) =
            intact::weights_of(root, &self.id, &self.weights).or_exit(Exit::Failed)?;
        wrong.extend(intact::changed(&selected.generation, stamp).or_exit(Exit::Failed)?);
        if let Some(wrong) = wrong.first() {
            return Err(Failure::new(
                Exit::Failed,
                &format!("the numbers of `{}` are not recorded: {wrong}", self.id),
                Some("run `rootstock sync --repair`"),
            ));
        }
        let weights = weights.iter().map(|(path, sha256)| (path.as_str(), sha256));
        Ok(numbers::digest_of_weights(weights))
    }
}

/// The variables of this process, but for the number of threads.
fn one_thread() -> Variables {
    let mut variables = context::variables();
    for name in ONE_THREAD {
        variables.insert(name.into(), "1".into());
    }
    variables
}

/// The structures that a model declares, or those that suit its elements; at least two.
fn structures(
    manifest: &Manifest,
    root: &Root,
    model: &Model,
    selected: &Selected,
    inherited: &Variables,
) -> Result<Vec<Structure>, Failure> {
    let variables = variables::for_python(root, selected, inherited);
    let here = manifest.path.parent().unwrap_or(Path::new(""));
    let declared = if model.about.probe.is_empty() {
        DEFAULTS
            .iter()
            .filter_map(|text| about::Structure::parse(text).ok())
            .collect()
    } else {
        model.about.probe.clone()
    };
    let mut built = Vec::new();
    for structure in &declared {
        built.push(match structure.file() {
            Some(file) => Structure::read(&here.join(file), selected, &variables),
            None => Structure::build(std::slice::from_ref(structure), selected, &variables)
                .map(|mut built| built.remove(0)),
        });
    }
    let built: Vec<Structure> = built
        .into_iter()
        .collect::<Result<_, _>>()
        .or_exit(Exit::Usage)?;
    let names = declared.iter().map(about::Structure::as_str);
    let mut structures: Vec<Structure> = (1..)
        .zip(built.iter().zip(names))
        .map(|(seed, (structure, name))| structure.rattled(name, seed))
        .collect();
    if model.about.probe.is_empty() && !model.about.elements.is_empty() {
        let known = &model.about.elements;
        structures.retain(|structure| structure.numbers.iter().all(|number| known.has(*number)));
    }
    if let ([structure], [only]) = (built.as_slice(), structures.as_slice()) {
        let second = structure.rattled(&format!("{}, again", only.name), 2);
        structures.push(second);
    }
    Ok(structures)
}

/// Numbers that show little are not recorded.
fn check(model: &Model, computed: &Computed) -> Result<(), Failure> {
    let id = &model.id;
    let help = "name structures that suit the model: `probe = [\"…\", \"…\"]`";
    let finite = |entry: &numbers::Entry| {
        entry.energy.is_finite() && entry.forces.iter().all(|force| force.is_finite())
    };
    let reason = if let Some(entry) = computed.entries.iter().find(|entry| !finite(entry)) {
        format!("the model computes no finite numbers for {}", entry.name)
    } else if let Some((name, atom)) = computed.without_force() {
        format!("atom {atom} of {name} has no force, so that nothing would be seen there")
    } else if computed.entries.len() < LEAST {
        let refused: Vec<&str> = computed
            .refused
            .iter()
            .map(|r| r.structure.as_str())
            .collect();
        format!(
            "it takes two structures, and the model refuses {}",
            refused.join(", ")
        )
    } else {
        return Ok(());
    };
    Err(Failure::new(
        Exit::Failed,
        &format!("the numbers of `{id}` are not recorded: {reason}"),
        Some(help),
    ))
}
