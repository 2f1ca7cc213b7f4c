//! Fills a bundle: every file that a sync of some environments downloads, in one directory. Builds nothing and loads no
//! model. What is there already and whole stays, so that a run that broke off is continued.

use std::path::{Path, PathBuf};

use crate::build::bundle as packages;
use crate::build::{self, Context, weights as fetching};
use crate::digest::Digest;
use crate::files::{self, Context as _};
use crate::lock::{Lock, LockedTarget};
use crate::manifest::Manifest;
use crate::name::{EnvironmentName, ModelId};
use crate::plan::{self, NoTarget};
use crate::store::bundle::{self, Entry, Index};
use crate::store::{self, Depth, Root, weights};
use crate::sync::prefetch;

mod prefetched;
mod project;
mod report;

pub use report::Report;

/// What a bundle is to have.
pub struct Request<'a> {
    /// It is carried along.
    pub manifest: &'a Manifest,
    /// It has the files that are needed.
    pub lock: &'a Lock,
    /// Where the lock lies.
    pub lock_path: &'a Path,
    /// The environments.
    pub environments: &'a [EnvironmentName],
    /// The machine types.
    pub targets: &'a [String],
    /// The root in which models were loaded, if there is one: what they fetched themselves is taken from there.
    pub loaded_in: Option<&'a Root>,
}

/// What became of a bundle.
#[derive(Debug)]
pub struct Filled {
    /// What it has; `None` if something failed, and the directory is no bundle yet.
    pub index: Option<Index>,
    /// What could not be had.
    pub failures: Vec<Failure>,
    /// Models that no `sync` has loaded yet: what they fetch themselves is not in the bundle.
    pub not_loaded: Vec<ModelId>,
}

/// Why something is not in the bundle.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Failure {
    /// A package's file, or an interpreter.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Package(#[from] packages::Error),
    /// A weight file.
    #[error("weights `{path}` of {model}")]
    Weight {
        /// The path below the cache.
        path: String,
        /// The first model that needs it.
        model: ModelId,
        /// The cause.
        #[diagnostic_source]
        source: fetching::Error,
    },
    /// What a model has fetched itself.
    #[error("model {model}")]
    #[diagnostic(help("look after it with `rootstock sync --check` and `rootstock sync`"))]
    Prefetched {
        /// The model.
        model: ModelId,
        /// The cause.
        source: prefetch::CarryError,
    },
}

/// The bundle as a whole cannot be made.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// It cannot be made in this directory.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Place(#[from] project::InvalidDirectory),
    /// The lock has nothing for a machine type.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Target(#[from] NoTarget),
    /// What is there already cannot be looked at.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Look(#[from] store::look::Error),
    /// Nothing can be put into it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Root(#[from] build::RootError),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

impl Error {
    /// Whether what was asked for cannot be, whatever the machine.
    pub fn is_usage(&self) -> bool {
        matches!(self, Error::Place(_) | Error::Target(_))
    }
}

/// Makes the bundle, or continues it. The root of the context is the bundle's directory, which has the shape of a root.
pub fn fill(request: &Request, context: &Context) -> Result<Filled, Error> {
    let place = context.root;
    let targets = request.locked_targets()?;
    project::check_place(place.path(), request.manifest)?;
    let was_bundle = begin(place.path())?;
    let (mut entries, failed) = packages::fill(targets.iter().copied(), context)?;
    let mut failures: Vec<Failure> = failed.into_iter().map(Failure::from).collect();
    request.fill_weights(context, &mut entries, &mut failures)?;
    let not_loaded = prefetched::fill(request, context, &mut entries, &mut failures)?;
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries.dedup_by(|a, b| a.path == b.path);
    let mut filled = Filled {
        index: None,
        failures,
        not_loaded,
    };
    if filled.failures.is_empty() {
        let index = Index {
            schema: bundle::SCHEMA,
            targets: names_of(&targets),
            environments: request.environments.to_vec(),
            files: entries,
        };
        finish(request, place, &index, was_bundle)?;
        filled.index = Some(index);
    }
    Ok(filled)
}

impl<'a> Request<'a> {
    /// The answers of the environments for the machine types.
    fn locked_targets(&self) -> Result<Vec<&'a LockedTarget>, NoTarget> {
        let chosen = |name: &EnvironmentName| self.environments.contains(name);
        let mut targets = Vec::new();
        for name in self.targets {
            let environments = self.lock.environments.iter();
            for environment in environments.filter(|e| chosen(&e.name)) {
                targets.push(plan::target(environment, name)?);
            }
        }
        Ok(targets)
    }

    fn fill_weights(
        &self,
        context: &Context,
        entries: &mut Vec<Entry>,
        failures: &mut Vec<Failure>,
    ) -> Result<(), Error> {
        let (lock, place) = (self.lock, context.root);
        let needs = plan::cache_needs(lock, self.environments);
        let disk = store::look(place, &needs, Depth::Weights)?;
        let plan = plan::cache(lock, self.environments, &disk);
        let supply = &context.supply;
        let fetched = fetching::fetch(&plan.weights, place, supply, &*context.progress);
        build::write_small_files(&plan, place)?;
        let before = failures.len();
        for (step, result) in plan.weights.iter().zip(fetched) {
            if let Err(source) = result {
                failures.push(Failure::Weight {
                    path: step.weight.path.clone(),
                    model: step.model.id.clone(),
                    source,
                });
            }
        }
        if failures.len() > before {
            return Ok(());
        }
        for (model, weight) in plan::weights_of(lock, self.environments) {
            let name = format!("weights of {}", model.id);
            entries.push(entry(place, &weight.path, &name)?);
        }
        for path in &needs.references {
            entries.push(entry(place, path, "reference")?);
        }
        Ok(())
    }
}

fn names_of(targets: &[&LockedTarget]) -> Vec<String> {
    let names = targets.iter().map(|target| target.target.name().to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

/// Makes the directory. The index goes first: without it the directory is not taken for a bundle. Whether there was one
/// is the answer: only then what lies there is ours.
fn begin(output: &Path) -> files::Result<bool> {
    files::create_directories(output)?;
    let index = output.join(bundle::INDEX);
    let was_bundle = files::exists(&index);
    files::remove_if_present(&index)?;
    Ok(was_bundle)
}

/// Puts in what everything else belongs to, and the index last.
fn finish(request: &Request, place: &Root, index: &Index, was_bundle: bool) -> files::Result<()> {
    project::carry(request.manifest, request.lock_path, place.path())?;
    if was_bundle {
        prune(place, index)?;
    }
    let path = place.path().join(bundle::INDEX);
    files::write_atomically(&path, index.text().as_bytes())
}

/// Removes the files of packages that an earlier run put there and this one does not name.
fn prune(place: &Root, index: &Index) -> files::Result<()> {
    let archives = place.archives();
    for name in files::names(&archives)? {
        let mut entries = index.files.iter();
        if !entries.any(|entry| entry.sha256.to_string() == name) {
            files::remove_if_present(&archives.join(name))?;
        }
    }
    Ok(())
}

/// The entry of a file of the cache.
fn entry(place: &Root, below: &str, name: &str) -> files::Result<Entry> {
    let path: PathBuf = weights::path(place, below);
    let (sha256, size) = Digest::of_reader(files::open(&path)?).context("read", &path)?;
    Ok(Entry {
        path: format!("cache/{below}"),
        name: name.to_owned(),
        size,
        sha256,
    })
}
