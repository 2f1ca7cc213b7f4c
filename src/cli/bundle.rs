//! `rootstock bundle`: everything that a sync downloads, in one directory. Builds nothing.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::exit::{Exit, Failure, OrExit};
use super::progress::bytes;
use super::{Shared, context, findings, lock, outcome, place, progress, show};
use crate::build::{self, weights as fetching};
use crate::digest::Digest;
use crate::files::{self, Context as _};
use crate::lock::{Lock, LockedTarget};
use crate::manifest::Manifest;
use crate::name::EnvironmentName;
use crate::plan;
use crate::store::bundle::{self, Entry, Index};
use crate::store::{self, Depth, Root, weights};

mod prefetched;

use prefetched::Prefetched;

/// Arguments of `rootstock bundle`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The directory holds files of packages, managed interpreters, weights, the manifest, the lock and the \
                  environments' sources; `rootstock-bundle.json` lists them. Of models \
                  without weights it has what `rootstock sync` into the manifest's root has recorded. A run that broke off is continued by the \
                  same command, and what is damaged is fetched again. Files of packages that this run does not name are \
                  removed.\n\n\
                  Examples:\n  rootstock bundle -o carry                         what is not optional, for this machine type\n  \
                  rootstock bundle -o carry --target linux-aarch64  for another one\n\n  \
                  and there, without a network:\n  \
                  rootstock --manifest carry/rootstock.toml --root ROOT sync --offline --bundle carry"
)]
pub(crate) struct Arguments {
    /// Environments or models; without any, all environments that are not optional.
    #[arg(value_name = "NAME", conflicts_with = "all")]
    names: Vec<String>,
    /// All environments, the optional ones too.
    #[arg(long)]
    all: bool,
    /// The directory; made if it is not there.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// A machine type of the lock; this machine's if not given. May be repeated.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let manifest = lock::manifest(shared)?;
    let chosen = place::environments(&arguments.names, arguments.all, &manifest)?;
    let path = lock::lock_path(&manifest.path);
    let only = (!arguments.names.is_empty()).then_some(&chosen[..]);
    let lock = match lock::current(&manifest, &path, only)? {
        Ok(current) => current.lock,
        Err(found) => return Ok(findings::drifted(&found, &path, &manifest)),
    };
    let targets = targets(arguments, &lock, &chosen)?;
    let output = files::absolute(&arguments.output).or_exit(Exit::Usage)?;
    check_place(&output, &manifest)?;
    let root = bundle::place(&output);
    let known = begin(&output).or_exit(Exit::Failed)?;
    let (mut entries, mut errors) = fill(&targets, &root, &manifest, shared)?;
    let (weights, failed) = fill_weights(&lock, &chosen, &root, &manifest)?;
    entries.extend(weights);
    errors.extend(failed);
    let prefetched = Prefetched {
        manifest: &manifest,
        lock: &lock,
        targets: &names_of(&targets),
        chosen: &chosen,
    };
    let (left, failed) = prefetched.fill(&root, shared)?;
    entries.extend(left);
    errors.extend(failed);
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries.dedup_by(|a, b| a.path == b.path);
    if !errors.is_empty() {
        for (text, help) in errors {
            show::failure(&Failure::new(Exit::Failed, &text, help.as_deref()));
        }
        return Ok(Exit::Failed);
    }
    carry(&manifest, &path, &output).or_exit(Exit::Failed)?;
    let index = Index {
        schema: bundle::SCHEMA,
        targets: names_of(&targets),
        environments: chosen,
        files: entries,
    };
    if known {
        prune(&root, &index).or_exit(Exit::Failed)?;
    }
    let text = index.text();
    files::write_atomically(&output.join(bundle::INDEX), text.as_bytes()).or_exit(Exit::Failed)?;
    tell(&output, &index, arguments.json);
    Ok(Exit::Ok)
}

/// The directory must be another one than the manifest's, and what the manifest names beside itself must lie where it
/// can be copied to the same place.
fn check_place(output: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let here = manifest.path.parent().unwrap_or(Path::new(""));
    let real = |path: &Path| files::real_path(path).unwrap_or_else(|_| path.to_owned());
    if real(&here.join(".")) == real(output) {
        return Err(Failure::usage(
            &format!("`{}` is the manifest's own directory", output.display()),
            "name another one with `-o DIR`",
        ));
    }
    for path in manifest.environments.iter().flat_map(|e| e.local.keys()) {
        if path.starts_with("..") || path.starts_with('/') {
            return Err(Failure::usage(
                &format!(
                    "`{path}` lies outside the manifest's directory, and a bundle carries only what is in it"
                ),
                "move the package below the manifest's directory, or build a wheel of it there",
            ));
        }
        if real(output).starts_with(real(&here.join(path))) {
            return Err(Failure::usage(
                &format!(
                    "`{}` lies in `{path}`, which the bundle would hold",
                    output.display()
                ),
                "name another directory with `-o DIR`",
            ));
        }
    }
    Ok(())
}

/// The answers of the chosen environments for the machine types that were named.
fn targets<'a>(
    arguments: &Arguments,
    lock: &'a Lock,
    chosen: &[EnvironmentName],
) -> Result<Vec<&'a LockedTarget>, Failure> {
    let names = if arguments.target.is_empty() {
        vec![place::target()?.to_owned()]
    } else {
        arguments.target.clone()
    };
    let mut targets = Vec::new();
    for name in &names {
        let environments = lock.environments.iter();
        for environment in environments.filter(|e| chosen.contains(&e.name)) {
            targets.push(plan::target(environment, name).or_exit(Exit::Usage)?);
        }
    }
    Ok(targets)
}

fn names_of(targets: &[&LockedTarget]) -> Vec<String> {
    let mut names: Vec<String> = targets
        .iter()
        .map(|target| target.target.name().to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Makes the directory. The index goes first: while it is missing, nobody takes the directory for a bundle. Whether
/// there was one is the answer: only then what lies there is ours.
fn begin(output: &Path) -> files::Result<bool> {
    files::create_directories(output)?;
    let index = output.join(bundle::INDEX);
    let known = files::exists(&index);
    files::remove_if_present(&index)?;
    Ok(known)
}

type Failures = Vec<(String, Option<String>)>;

fn fill(
    targets: &[&LockedTarget],
    root: &Root,
    manifest: &Manifest,
    shared: &Shared,
) -> Result<(Vec<Entry>, Failures), Failure> {
    let supply = context::supply(manifest, None, false);
    let context = context::build(shared, manifest, root, supply);
    let (entries, errors) =
        build::bundle::fill(targets.iter().copied(), &context).or_exit(Exit::Failed)?;
    let mut failures: Failures = errors
        .iter()
        .map(|error| (outcome::chain(error), error.advice()))
        .collect();
    // What kept us from several files is told once.
    failures.sort();
    failures.dedup();
    Ok((entries, failures))
}

fn fill_weights(
    lock: &Lock,
    chosen: &[EnvironmentName],
    root: &Root,
    manifest: &Manifest,
) -> Result<(Vec<Entry>, Failures), Failure> {
    let wanted = plan::weights_of(lock, chosen);
    let references = plan::references_of(lock, chosen);
    let needs = plan::cache_needs(lock, chosen);
    let disk = store::look(root, &needs, Depth::Weights).or_exit(Exit::Failed)?;
    let plan = plan::cache(lock, chosen, &disk);
    let supply = context::supply(manifest, None, false);
    let fetched = fetching::fetch(&plan.weights, root, &supply, &*progress::watcher());
    build::write_small_files(&plan, root).or_exit(Exit::Failed)?;
    let failures = outcome::weight_failures(&plan, &fetched);
    let mut entries = Vec::new();
    if failures.is_empty() {
        for (model, weight) in wanted {
            entries.push(entry(
                root,
                &weight.path,
                &format!("weights of {}", model.id),
            )?);
        }
        for path in references.keys() {
            entries.push(entry(root, path, "reference")?);
        }
    }
    Ok((entries, failures))
}

fn entry(root: &Root, below: &str, name: &str) -> Result<Entry, Failure> {
    let path = weights::path(root, below);
    let found = files::open(&path)
        .and_then(|file| Digest::of_reader(file).context("read", &path))
        .or_exit(Exit::Failed)?;
    Ok(Entry {
        path: format!("cache/{below}"),
        name: name.to_owned(),
        size: found.1,
        sha256: found.0,
    })
}

/// Copies what says what is wanted: manifest, lock, sources, and packages that are named by their path; as they lie to
/// one another.
fn carry(manifest: &Manifest, lock: &Path, output: &Path) -> files::Result<()> {
    let here = manifest.path.parent().unwrap_or(Path::new(""));
    let names = [&*manifest.path, lock].map(|path| path.file_name().unwrap_or_default().into());
    let sources = manifest
        .environments
        .iter()
        .map(|e| PathBuf::from(&e.source));
    for name in names.into_iter().chain(sources) {
        let bytes = files::read_of_project(here, &name)?;
        let to = output.join(&name);
        files::create_directories(to.parent().unwrap_or(output))?;
        files::write_atomically(&to, &bytes)?;
    }
    for path in manifest.environments.iter().flat_map(|e| e.local.keys()) {
        build::bundle::copy_local(&here.join(path), &output.join(path))?;
    }
    Ok(())
}

/// Removes the files of packages that an earlier run put there and this one does not name.
fn prune(root: &Root, index: &Index) -> files::Result<()> {
    let archives = root.archives();
    for name in files::names(&archives)? {
        let wanted = index
            .files
            .iter()
            .any(|entry| entry.sha256.to_string() == name);
        if !wanted {
            files::remove_if_present(&archives.join(name))?;
        }
    }
    Ok(())
}

fn tell(output: &Path, index: &Index, as_json: bool) {
    let size: u64 = index.files.iter().map(|entry| entry.size).sum();
    if as_json {
        show::json(&json!({
            "bundle": output,
            "targets": index.targets,
            "environments": index.environments,
            "files": index.files,
            "bytes": size,
        }));
        return;
    }
    show::line(&format!(
        "`{}`: {} files, {}, for {}",
        output.display(),
        index.files.len(),
        bytes(size),
        index.targets.join(", ")
    ));
}
