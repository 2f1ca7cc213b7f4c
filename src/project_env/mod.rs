//! The environment of a project (`rootstock call --bundle DIR`), made where it is not there yet. A project with `rootstock.toml` has
//! a lock; a plain one, with `pyproject.toml`, is locked in a place of rootstock's own. Nothing is written into the project,
//! unless its manifest names a root there.
//!
//! ```text
//! rootstock.toml, its lock ──locked──▶ Place ──provide──▶ a root with the environment, removed at the end if it is scratch
//! pyproject.toml ───────────plain──▶
//! ```

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::build;
use crate::call::project::{self, Project};
use crate::digest::Digest;
use crate::files;
use crate::lock::{Lock, beside};
use crate::manifest::Manifest;
use crate::name::EnvironmentName;
use crate::plan;
use crate::python;
use crate::report::Problem;
use crate::resolve::{Failures, Resolved, Upgrade};
use crate::runtime::user_cache::own_user_cache;
use crate::store::{Catalogue, Root};
use crate::sync::{self, Depth, Parts};

mod request;
mod failed;
mod scratch;

pub(crate) use failed::Error;
pub(crate) use request::Request;
use scratch::Scratch;
pub(crate) use scratch::remove;

const MANIFEST: &str = "rootstock.toml";

/// What only the caller knows: options, credentials, signals.
pub(crate) trait Caller: Sync {
    /// How the caller reports errors.
    type Failure: From<Error> + Send;

    /// The root that options or the manifest name, if they name one.
    fn named_root(&self, manifest: &Manifest) -> Option<Root>;

    /// The same under its access policy.
    fn root_with_policy(&self, manifest: &Manifest) -> Result<Root, Self::Failure>;

    /// An existing root under its own policy.
    fn with_own_policy(&self, root: Root) -> Result<Root, Self::Failure>;

    /// Resolves all environments of a manifest.
    fn resolve(&self, manifest: &Manifest, upgrade: &Upgrade) -> Result<Resolved, Self::Failure>;

    /// What building in this root takes.
    fn context<'a>(&'a self, manifest: &'a Manifest, root: &'a Root) -> build::Context<'a>;

    /// Does work that changes a root, with its umask; sweeps if a signal ends it.
    fn change<T: Send>(&self, root: &Root, work: impl FnOnce() -> T + Send) -> T;

    /// Prints why an environment was not made.
    fn print_problems(&self, problems: &[Problem]);
}

/// An environment that is there now.
pub(crate) struct ProjectEnvironment {
    /// The root that has it.
    pub(crate) root: Root,
    /// Its name.
    pub(crate) environment: EnvironmentName,
    /// The project's directory.
    pub(crate) directory: PathBuf,
    /// Removed when this is dropped.
    _scratch: Option<Scratch>,
}

/// What is needed to make it.
struct Place {
    manifest: Manifest,
    /// `None`: it is resolved first.
    lock: Option<Lock>,
    root: Root,
    scratch: Option<Scratch>,
}

/// Makes the environment of a project.
pub(crate) fn provide<C: Caller>(
    caller: &C,
    request: Request,
) -> Result<ProjectEnvironment, C::Failure> {
    let work = Work {
        caller,
        request: &request,
    };
    let manifest = request.directory.join(MANIFEST);
    let place = if files::exists(&manifest) {
        work.locked(load(&manifest)?)?
    } else {
        work.plain()?
    };
    let Place {
        manifest,
        lock,
        root,
        scratch,
    } = place;
    let environment = work.chosen(&manifest)?;
    caller.change(&root, || {
        let lock = lock.map_or_else(|| work.lock_of(&manifest), Ok)?;
        work.sync(&manifest, &lock, &root, &environment)
    })?;
    Ok(ProjectEnvironment {
        root,
        environment,
        directory: request.directory,
        _scratch: scratch,
    })
}

struct Work<'a, C> {
    caller: &'a C,
    request: &'a Request<'a>,
}

impl<C: Caller> Work<'_, C> {
    /// A project with a manifest and its lock.
    fn locked(&self, manifest: Manifest) -> Result<Place, C::Failure> {
        let environment = self.chosen(&manifest)?;
        let current = beside::current(&manifest, Some(std::slice::from_ref(&environment)));
        let lock = current
            .map_err(|error| Error::of_lock(error, &manifest, self.request.print))?
            .lock;
        let named = self.caller.named_root(&manifest);
        let (root, scratch) = if named.is_some() && !self.request.fresh {
            (self.caller.root_with_policy(&manifest)?, None)
        } else {
            let scratch = Scratch::new(self.request)?;
            (scratch.root(named.as_ref())?, Some(scratch))
        };
        Ok(Place {
            manifest,
            lock: Some(lock),
            root,
            scratch,
        })
    }

    /// A project without a manifest: one is written, with its lock, where it stays to be used again.
    fn plain(&self) -> Result<Place, C::Failure> {
        let Request {
            directory, fresh, ..
        } = self.request;
        let text = files::read_text_of_project(directory, Path::new(project::FILE))
            .map_err(Error::NoProject)?;
        let project = Project::read(&text).map_err(Error::Project)?;
        let (place, scratch) = if self.request.reuse && !fresh {
            let cache = own_user_cache(&self.request.variables).map_err(Error::Files)?;
            (cache.join("call").join(self.key(&text)), None)
        } else {
            let scratch = Scratch::new(self.request)?;
            (scratch.path().to_owned(), Some(scratch))
        };
        let root = match (self.request.root, &scratch) {
            (Some(root), _) if !fresh => {
                let root = files::absolute(root).map_err(Error::Files)?;
                self.caller.with_own_policy(Root::at(&root, None))?
            }
            (_, Some(scratch)) => scratch.root(None)?,
            (_, None) => Root::at(&place.join("root"), None),
        };
        Ok(Place {
            manifest: write(&project, &place)?,
            lock: None,
            root,
            scratch,
        })
    }

    /// The environment of the name that was given, or the only one.
    fn chosen(&self, manifest: &Manifest) -> Result<EnvironmentName, Error> {
        let all = &manifest.environments;
        match (self.request.name, &all[..]) {
            (Some(name), _) => {
                let found = manifest.environments_named(&[name.to_owned()], true)?;
                Ok(found
                    .into_iter()
                    .next()
                    .expect("each name has an environment"))
            }
            (None, [one]) => Ok(one.name.clone()),
            (None, _) => Err(Error::several(manifest)),
        }
    }

    /// The lock beside a manifest that rootstock has written: the one that is there if it answers, or a new one.
    fn lock_of(&self, manifest: &Manifest) -> Result<Lock, C::Failure> {
        if let Ok(current) = beside::current(manifest, None) {
            return Ok(current.lock);
        }
        let upgrade = Upgrade::new(None, None, manifest).expect("nothing is upgraded");
        let Resolved { lock, failures } = self.caller.resolve(manifest, &upgrade)?;
        if !failures.is_empty() {
            return Err(Error::Unresolved(Failures { failures }).into());
        }
        beside::write(&beside::path(&manifest.path), &lock).map_err(Error::Files)?;
        Ok(lock)
    }

    /// What an environment that is used again depends on: the project file, this program, and the Pythons of this machine.
    fn key(&self, project: &str) -> String {
        let path = self.request.variables.get(OsStr::new("PATH"));
        let pythons = python::programs(path.map_or(OsStr::new(""), OsString::as_os_str));
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
        &self,
        manifest: &Manifest,
        lock: &Lock,
        root: &Root,
        environment: &EnvironmentName,
    ) -> Result<(), C::Failure> {
        let catalogue = Catalogue::read(&root.models()).map_err(Error::Catalogue)?;
        let others = catalogue
            .iter()
            .flat_map(|catalogue| catalogue.environments.keys());
        let others = others.filter(|name| lock.environment(name).is_none());
        let environments = [environment.clone()];
        let request = plan::Request {
            prefetch: &[],
            target: self.request.target,
            environments: &environments,
            drifted: others.cloned().collect(),
            force: false,
            cache: root.cache_elsewhere(),
            access: root.access(),
        };
        let print: &dyn Fn(&str) = &self.request.print;
        let plan = sync::plan(root, lock, &request, Depth::Quick, Parts::All, print);
        let plan = plan.map_err(Error::Sync)?;
        if plan.is_nothing() {
            return Ok(());
        }
        let context = self.caller.context(manifest, root);
        let outcome = sync::carry_out(plan, &context, &self.request.variables);
        let problems = outcome
            .map_err(Error::Sync)?
            .report(root, Duration::ZERO)
            .problems;
        if problems.is_empty() {
            return Ok(());
        }
        self.caller.print_problems(&problems);
        Err(Error::NotMade(environment.clone()).into())
    }
}

/// Writes the manifest and the source of a plain project.
fn write(project: &Project, place: &Path) -> Result<Manifest, Error> {
    let manifest = place.join(MANIFEST);
    files::create_directories(place).map_err(Error::Files)?;
    for (path, text) in [
        (place.join(project::SOURCE), project.source()),
        (manifest.clone(), project.manifest()),
    ] {
        files::write_atomically(&path, text.as_bytes()).map_err(Error::Files)?;
    }
    load(&manifest)
}

fn load(path: &Path) -> Result<Manifest, Error> {
    Ok(Manifest::load(path, Path::new(""))?)
}
