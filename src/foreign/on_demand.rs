//! Builds a generation that a command needs under another Python, from the lock of a project: into the root if it can be
//! written, else into the user's cache. Does what `rootstock sync NAME --only envs` does, and prints one line.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::Request as Asked;
use crate::build;
use crate::build::progress::{Event, Progress};
use crate::files::{self, ownership};
use crate::lock::{Lock, LockedEnvironment, LockedTarget, beside, drift};
use crate::manifest::{Install, Manifest};
use crate::name::EnvironmentName;
use crate::overlay::{Built, Unavailable, choose};
use crate::plan::Request;
use crate::process::threads;
use crate::python::Interpreter;
use crate::report::chain;
use crate::store::Root;
use crate::sync::{Depth, Parts, carry_out, plan};
use crate::target::{Glibc, Target};

/// An environment for a Python.
pub(super) struct Wanted<'a> {
    /// The environment, the root that has no such generation, and who asks.
    pub(super) request: &'a Asked<'a>,
    /// For which Python.
    pub(super) python: &'a Interpreter,
    /// The user's cache.
    pub(super) cache: &'a Path,
    /// The caller's search path.
    pub(super) path: &'a OsStr,
}

impl Wanted<'_> {
    /// The generation of the environment, or of one of its series, that is locked for this Python.
    pub(super) fn provide(&self, install: Install) -> Result<Built, Unavailable> {
        if !files::exists(self.request.manifest) {
            let manifest = self.request.manifest.display();
            let reason =
                format!("the root has none, and there is no `{manifest}` to build it from");
            return Err(self.not_built(reason, self.without_manifest()));
        }
        let unreadable = |error: String| self.not_built(error, ahead(&self.request.name));
        let manifest = Manifest::load(self.request.manifest, Path::new(""))
            .map_err(|error| unreadable(chain(&error)))?;
        let path = beside::path(&manifest.path);
        let locked = beside::read(&path).map_err(|error| unreadable(chain(&error)))?;
        let locked = locked.ok_or_else(|| self.not_locked(&manifest, None))?;
        let answer = self.answer(&locked);
        let (environment, _) = answer.ok_or_else(|| self.not_locked(&manifest, Some(&locked)))?;
        let only = [environment.name.clone()];
        let current = beside::current(&manifest, Some(&only));
        let beside::Current { lock, drifted } =
            current.map_err(|error| self.not_built(not_current(&error), anew(&only[0])))?;
        let answer = self.answer(&lock);
        let (environment, target) =
            answer.ok_or_else(|| self.not_locked(&manifest, Some(&lock)))?;
        let request = Request {
            prefetch: &[],
            target: target.target.name(),
            environments: &only,
            drifted,
            force: false,
            cache: self.request.root.cache_elsewhere(),
            access: None,
        };
        self.build(&manifest, &lock, environment, target, request, install)
    }

    fn build(
        &self,
        manifest: &Manifest,
        lock: &Lock,
        environment: &LockedEnvironment,
        target: &LockedTarget,
        request: Request,
        install: Install,
    ) -> Result<Built, Unavailable> {
        let name = &environment.name;
        let not_built = |reason: String| self.not_built(reason, ahead(name));
        let identity = &self.python.identity;
        let private = self
            .cache
            .join("runtime")
            .join(format!("{}-{}", identity.soabi, identity.platform));
        let private = Root::at(&private, Some(self.request.root.cache()));
        if let Some(built) = choose::built_from(&private, name, &target.digest, self.python) {
            return Ok(built);
        }
        self.check_glibc(target).map_err(not_built)?;
        if install == Install::Skip {
            return Err(not_built(
                "`install = \"skip\"` forbids to build it".to_owned(),
            ));
        }
        self.request.caller.print(&format!(
            "rootstock: building {} for {} … (once per Python)",
            name.declared(),
            identity.soabi
        ));
        let shared_root =
            self.request.caller.root(manifest).filter(|root| {
                files::exists(root.path()) && ownership::may_write(root.path()).is_ok()
            });
        let root = shared_root.as_ref().unwrap_or(&private);
        let request = Request {
            access: root.access(),
            ..request
        };
        let umask = root
            .access()
            .map(|access| ownership::set_umask(access.umask()));
        let work = || self.sync(manifest, lock, root, &request);
        let built = threads::in_pool(self.request.jobs, work);
        // The command's files are not the root's.
        if let Some(umask) = umask {
            ownership::set_umask(umask);
        }
        built.map_err(not_built)?;
        let built = choose::built_from(root, name, &target.digest, self.python);
        let built = built.ok_or_else(|| not_built("what was built does not fit it".to_owned()))?;
        if shared_root.is_none() {
            let link = private.path().join(&built.stamp.id);
            // For people who look for it.
            let _ = files::point(&link, &built.generation);
        }
        Ok(built)
    }

    fn sync(
        &self,
        manifest: &Manifest,
        lock: &Lock,
        root: &Root,
        request: &Request,
    ) -> Result<(), String> {
        let plan = plan(
            root,
            lock,
            request,
            Depth::Quick,
            Parts::Environments,
            &|_| (),
        );
        let plan = plan.map_err(|error| chain(&error))?;
        let context = build::Context {
            path: self.search_path(),
            progress: Box::new(Silent),
            ..self.request.caller.context(manifest, root)?
        };
        let outcome = carry_out(plan, &context, &self.request.variables);
        let outcome = outcome.map_err(|error| chain(&error))?;
        let failed = outcome
            .environments
            .into_iter()
            .find_map(|one| one.result.err());
        match failed {
            Some(build::Error::Packages(failures)) => {
                let each = failures.iter().map(|failure| chain(&**failure));
                Err(each.collect::<Vec<_>>().join("; "))
            }
            Some(error) => Err(chain(&error)),
            None => outcome.written.map_err(|error| chain(&error)),
        }
    }

    /// Where interpreters are looked for: first where this Python is.
    fn search_path(&self) -> OsString {
        let mut path = OsString::new();
        for directory in [
            self.request.python.parent(),
            self.python.executable.parent(),
        ] {
            path.push(directory.unwrap_or(Path::new("/usr/bin")));
            path.push(":");
        }
        path.push(self.path);
        path
    }

    /// What is locked for this Python on this machine.
    fn answer<'l>(&self, lock: &'l Lock) -> Option<(&'l LockedEnvironment, &'l LockedTarget)> {
        let here = Target::here()?;
        let identity = &self.python.identity;
        let environments = lock.environments.iter();
        let environments = environments.filter(|e| choose::stands_for(&self.request.name, &e.name));
        let mut answers = environments.filter_map(|e| Some((e, e.target(here.name())?)));
        answers.find(|(_, target)| {
            let locked = &target.python;
            locked.implementation == identity.implementation
                && locked.soabi == identity.soabi
                && identity.platform == here.name()
        })
    }

    fn check_glibc(&self, target: &LockedTarget) -> Result<(), String> {
        let floor = target.target.glibc;
        let theirs = self.python.glibc.as_deref();
        let is_enough = theirs.is_some_and(|text| text.parse().is_ok_and(|g: Glibc| g >= floor));
        if is_enough {
            return Ok(());
        }
        let theirs = theirs.map_or_else(
            || "does not run on glibc".to_owned(),
            |glibc| format!("runs on glibc {glibc}"),
        );
        Err(format!(
            "it is locked for glibc {floor} or newer, and this Python {theirs}"
        ))
    }

    /// `lock` is what there is of one.
    fn not_locked(&self, manifest: &Manifest, lock: Option<&Lock>) -> Unavailable {
        let identity = &self.python.identity;
        let series = self.python.series();
        let usual = Target::here().map(|here| here.cpython_soabi(series));
        let is_usual =
            identity.implementation == "cpython" && usual.as_deref() == Some(&identity.soabi);
        let declared = manifest.environment(&self.request.name);
        let own = declared.and_then(|declared| declared.python.as_ref());
        let is_own = own.is_some_and(|own| own.release()[..2] == [series.0, series.1]);
        let is_locked = lock.is_some_and(|lock| lock.environment(&self.request.name).is_some());
        let on = self.request.name.on(series);
        let help = if !is_usual {
            "rootstock locks for CPython with its usual ABI: run the command under such a Python"
                .to_owned()
        } else if declared.is_some() && (is_own || !is_locked) {
            anew(&self.request.name)
        } else if manifest.environment(&on).is_some() {
            anew(&on)
        } else {
            self.declare_series()
        };
        Unavailable::NotLocked {
            environment: self.request.name.clone(),
            python: format!(
                "{} {} ({})",
                identity.implementation, identity.version, identity.soabi
            ),
            help,
        }
    }

    fn declare_series(&self) -> String {
        let (major, minor) = self.python.series();
        let (plain, on) = (
            self.request.name.declared(),
            self.request.name.on((major, minor)),
        );
        format!(
            "write `also-python = [\"{major}.{minor}\"]` into `[environments.{plain}]`, then {}",
            anew(&on)
        )
    }

    /// What to do where it is not known what is locked.
    fn without_manifest(&self) -> String {
        let current = choose::current(self.request.root, &self.request.name);
        let is_other =
            current.is_some_and(|built| built.stamp.python.series() != self.python.series());
        let help = if is_other {
            self.declare_series()
        } else {
            anew(&self.request.name)
        };
        format!("in the directory of its `rootstock.toml`: {help}")
    }

    fn not_built(&self, reason: String, help: String) -> Unavailable {
        Unavailable::NotBuilt {
            environment: self.request.name.clone(),
            soabi: self.python.identity.soabi.clone(),
            reason,
            help,
        }
    }
}

fn ahead(name: &EnvironmentName) -> String {
    format!("build it ahead: `rootstock sync {name}`")
}

fn anew(name: &EnvironmentName) -> String {
    format!("run `rootstock lock && rootstock sync {name}`")
}

/// Why a lock cannot be built from; of several differences the first.
fn not_current(error: &beside::Error) -> String {
    match error {
        beside::Error::Drifted(drift::Report { findings, .. }) => {
            let first = findings.first();
            let first = first.map(|first| format!("{} {}", first.subject, first.message));
            format!("the lock has drifted: {}", first.unwrap_or_default())
        }
        beside::Error::Unreadable(error) => chain(error),
    }
}

/// One line was printed already.
struct Silent;

impl Progress for Silent {
    fn on_event(&self, _: Event) {}
}
