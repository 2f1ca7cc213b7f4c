//! `rootstock call --bundle DIR`: an environment of a project's own, made where it is not there yet. A project with
//! `rootstock.toml` has a lock; a plain one, with `pyproject.toml`, is locked in a place of rootstock's own. Nothing is written
//! into the project, unless its manifest names a root there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, given, interrupt, lock, root, show};
use crate::call::project::{self, Project};
use crate::digest::Digest;
use crate::files;
use crate::lock::Lock;
use crate::lock::beside;
use crate::manifest::Manifest;
use crate::name::EnvironmentName;
use crate::plan::Request;
use crate::python;
use crate::resolve::{Failures, Resolved, Upgrade};
use crate::store::{Catalogue, Root};
use crate::sync::{self, Depth, Parts};

const MANIFEST: &str = "rootstock.toml";
/// Begins the names of directories that are removed at the end.
const SCRATCH: &str = "rootstock-bundle-";

/// An environment that is there now.
pub(super) struct Bundled {
    /// The root that has it.
    pub(super) root: Root,
    /// Its name.
    pub(super) environment: EnvironmentName,
    /// The project's directory.
    pub(super) directory: PathBuf,
    /// Removed when this is dropped.
    _scratch: Option<Scratch>,
}

/// How it is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// In a root of its own, which is removed at the end.
    pub(super) fresh: bool,
    /// Keep that root.
    pub(super) keep: bool,
}

/// Makes the environment of a project: this one, or the only one.
pub(super) fn prepare(
    shared: &Shared,
    directory: &Path,
    name: Option<&str>,
    options: Options,
) -> Result<Bundled, Failure> {
    given::exists("bundle", directory)?;
    let directory = files::absolute(directory).or_exit(Exit::Usage)?;
    let keep = options.keep || context::variable("PRESERVE_TMP").is_some_and(|value| value == "1");
    let made = if files::exists(&directory.join(MANIFEST)) {
        locked(shared, &directory, name, options.fresh, keep)?
    } else {
        plain(shared, &directory, name, options.fresh, keep)?
    };
    Ok(made)
}

/// A project with a manifest and its lock.
fn locked(
    shared: &Shared,
    directory: &Path,
    name: Option<&str>,
    fresh: bool,
    keep: bool,
) -> Result<Bundled, Failure> {
    let manifest = load(&directory.join(MANIFEST))?;
    let environment = chosen(&manifest, name)?;
    let lock = match beside::current(&manifest, Some(std::slice::from_ref(&environment))) {
        Ok(current) => current.lock,
        Err(beside::Error::Drifted(report)) => {
            show::remarks(report.to_string().trim_end());
            let path = beside::path(&manifest.path);
            let message = format!("the project's lock `{}` is not current", path.display());
            let help = format!(
                "run `rootstock lock --manifest {}`",
                files::quoted(&manifest.path)
            );
            return Err(Failure::new(Exit::Environment, &message, Some(&help)));
        }
        Err(error) => return Err(error).or_exit(Exit::Usage),
    };
    let named = root::named(shared, &manifest).ok();
    let (root, scratch) = if named.is_some() && !fresh {
        (root::with_policy(shared, &manifest)?, None)
    } else {
        let scratch = Scratch::new(keep)?;
        (scratch.root(named.as_ref())?, Some(scratch))
    };
    root::apply_umask(&root);
    minding(&root, || {
        sync(shared, &manifest, &lock, &root, &environment)
    })?;
    Ok(Bundled {
        root,
        environment,
        directory: directory.to_owned(),
        _scratch: scratch,
    })
}

/// A project without a manifest: one is written, with its lock, where it stays with `REUSE=1`.
fn plain(
    shared: &Shared,
    directory: &Path,
    name: Option<&str>,
    fresh: bool,
    keep: bool,
) -> Result<Bundled, Failure> {
    let text =
        files::read_text_of_project(directory, Path::new(project::FILE)).map_err(|error| {
            let help = format!(
                "a bundle is a directory with `{MANIFEST}` and its lock, or with `{}`",
                project::FILE
            );
            Failure::new(
                Exit::Usage,
                &format!("{error}: {}", error.source),
                Some(&help),
            )
        })?;
    let project = Project::read(&text).or_exit(Exit::Usage)?;
    let reuse = !fresh && context::variable("REUSE").is_some_and(|value| value == "1");
    let (place, scratch) = if reuse {
        let cache = context::own_cache().or_exit(Exit::Failed)?;
        (cache.join("call").join(key(&text)), None)
    } else {
        let scratch = Scratch::new(keep)?;
        (scratch.path.clone(), Some(scratch))
    };
    let root = match (&shared.root, &scratch) {
        (Some(root), _) if !fresh => {
            let root = files::absolute(root).or_exit(Exit::Usage)?;
            root::with_own_policy(Root::at(&root, None))?
        }
        (_, Some(scratch)) => scratch.root(None)?,
        (_, None) => Root::at(&place.join("root"), None),
    };
    let manifest = write(&project, &place)?;
    let environment = chosen(&manifest, name)?;
    root::apply_umask(&root);
    minding(&root, || {
        let lock = lock_of(shared, &manifest)?;
        sync(shared, &manifest, &lock, &root, &environment)
    })?;
    Ok(Bundled {
        root,
        environment,
        directory: directory.to_owned(),
        _scratch: scratch,
    })
}

/// Does this work, and sweeps if a signal ends it.
fn minding<T: Send>(root: &Root, work: impl FnOnce() -> T + Send) -> T {
    interrupt::minding(root, "nothing half-made is left", work)
}

/// Writes the manifest and the source of a plain project.
fn write(project: &Project, place: &Path) -> Result<Manifest, Failure> {
    let manifest = place.join(MANIFEST);
    let source = place.join(project::SOURCE);
    files::create_directories(place).or_exit(Exit::Failed)?;
    for (path, text) in [
        (source, project.source()),
        (manifest.clone(), project.manifest()),
    ] {
        files::write_atomically(&path, text.as_bytes()).or_exit(Exit::Failed)?;
    }
    load(&manifest)
}

fn load(path: &Path) -> Result<Manifest, Failure> {
    Manifest::load(path, Path::new("")).or_exit(Exit::Usage)
}

/// The environment of this name, or the only one.
fn chosen(manifest: &Manifest, name: Option<&str>) -> Result<EnvironmentName, Failure> {
    let all = &manifest.environments;
    match (name, &all[..]) {
        (Some(name), _) => {
            let found = manifest.environments_named(&[name.to_owned()], true);
            let found = found.or_exit(Exit::Usage)?;
            Ok(found
                .into_iter()
                .next()
                .expect("each name has an environment"))
        }
        (None, [one]) => Ok(one.name.clone()),
        (None, _) => {
            let names = all.iter().map(|environment| environment.name.to_string());
            Err(Failure::usage(
                &format!("`{}` has not one environment", manifest.path.display()),
                &crate::report::listed(
                    "name the one to use in front of the function; there are",
                    names,
                ),
            ))
        }
    }
}

/// The lock beside a manifest that rootstock has written: the one that is there if it answers, or a new one.
fn lock_of(shared: &Shared, manifest: &Manifest) -> Result<Lock, Failure> {
    if let Ok(current) = beside::current(manifest, None) {
        return Ok(current.lock);
    }
    let upgrade = Upgrade::new(None, None, manifest).or_exit(Exit::Usage)?;
    let Resolved { lock, failures } = lock::resolve(shared, manifest, None, None, &upgrade)?;
    if !failures.is_empty() {
        return Err(Failures { failures }).or_exit(Exit::Failed);
    }
    beside::write(&beside::path(&manifest.path), &lock).or_exit(Exit::Failed)?;
    Ok(lock)
}

/// What an environment that is used again depends on: the project file, this program, and the Pythons of this machine.
fn key(project: &str) -> String {
    let pythons = python::programs(&context::search_path());
    let pythons: Vec<_> = pythons.iter().map(|path| path.to_string_lossy()).collect();
    let version = env!("CARGO_PKG_VERSION");
    Digest::of(format!(
        "{version}\n{}\n{}",
        Digest::of(project),
        pythons.join("\n")
    ))
    .short(32)
}

/// Makes a root have an environment of a lock; what else the root's catalogue says stays.
fn sync(
    shared: &Shared,
    manifest: &Manifest,
    lock: &Lock,
    root: &Root,
    environment: &EnvironmentName,
) -> Result<(), Failure> {
    let catalogue = Catalogue::read(&root.models()).or_exit(Exit::Failed)?;
    let others = catalogue
        .iter()
        .flat_map(|catalogue| catalogue.environments.keys());
    let others = others.filter(|name| lock.environment(name).is_none());
    let environments = [environment.clone()];
    let request = Request {
        prefetch: &[],
        target: root::target()?,
        environments: &environments,
        drifted: others.cloned().collect(),
        force: false,
        cache: root.cache_elsewhere(),
        access: root.access(),
    };
    let plan = sync::plan(
        root,
        lock,
        &request,
        Depth::Quick,
        Parts::All,
        &show::remark,
    );
    let plan = plan.or_exit(Exit::Failed)?;
    if plan.is_nothing() {
        return Ok(());
    }
    let supply = context::supply(manifest, None, false);
    let context = context::build(shared, manifest, root, supply, None);
    let outcome = sync::carry_out(plan, &context, &context::variables()).or_exit(Exit::Failed)?;
    let problems = outcome.report(root, Duration::ZERO).problems;
    if problems.is_empty() {
        return Ok(());
    }
    show::problems(&problems);
    let message = format!("environment `{environment}` cannot be made");
    Err(Failure::new(Exit::Failed, &message, None))
}

/// Removes the directory that a root is in, if it was to be removed at the end: for a process that was interrupted.
pub(super) fn remove_scratch(root: &Path) {
    let Some(place) = root.parent() else { return };
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let keep = context::variable("PRESERVE_TMP").is_some_and(|value| value == "1");
    if name.starts_with(SCRATCH) && place.parent() == Some(&std::env::temp_dir()) && !keep {
        let _ = files::remove_tree(place);
    }
}

/// A directory that is removed at the end.
struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    fn new(keep: bool) -> Result<Self, Failure> {
        let parent = std::env::temp_dir();
        let made = files::temporary_directory(&parent, SCRATCH);
        let path = made.or_exit(Exit::Failed)?.keep();
        if keep {
            show::remark(&format!("kept: {}", path.display()));
        }
        Ok(Self { path, keep })
    }

    /// A root in it, which shares the store of another one where that can be written.
    fn root(&self, other: Option<&Root>) -> Result<Root, Failure> {
        let root = Root::at(&self.path.join("root"), None);
        files::create_directories(root.path()).or_exit(Exit::Failed)?;
        let store = other
            .map(Root::store)
            .filter(|store| files::ownership::may_write(store).is_ok());
        if let Some(store) = store {
            files::symlink(&store, &root.store()).or_exit(Exit::Failed)?;
        }
        Ok(root)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = files::remove_tree(&self.path)
        {
            show::remark(&format!("warning: {}", error.text()));
        }
    }
}
