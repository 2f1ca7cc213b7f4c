//! Carrying out a plan: wheels go onto the shelf in installed form, environments are linked together from there,
//! published by a rename and pointed to by a link. What is to be done is not decided here.
//!
//! ```text
//! plan ──▶ interpreters ──▶ gather: each file once ──▶ for each environment: assemble ──▶ publish ──▶ flip
//! ```

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use semver::Version;

use crate::digest::Digest;
use crate::fetch::{self, Mirror};
use crate::files::{self, link};
use crate::lock::{LockedEnvironment, LockedTarget};
use crate::name::EnvironmentName;
use crate::plan::{Action, Plan, Reason, Step};
use crate::python::{self, Interpreter};
use crate::store::bundle::Bundle;
use crate::store::{Root, layout};
use crate::uv::{self, Uv};

pub mod assemble;
pub mod bundle;
pub mod bytecode;
pub mod choose;
mod downloads;
mod environment;
pub mod foresee;
mod gather;
pub mod progress;
pub mod publish;
pub mod pythons;
pub mod record;
pub mod repair;
pub mod sdist;
pub mod shelf;
mod waiting;
pub mod weights;
pub mod wheel;

use assemble::Part;
use environment::Job;
pub use environment::{Built, Error as EnvironmentError};
pub use gather::{Error as PackageError, Failure as PackageFailure, TAKEN_AWAY};
use gather::{Gathered, Need, Ready, Sources};
use progress::{Event, Progress};
use waiting::{Claims, Wanted};

/// How often that is made again which was taken away under our hands; more is not a race.
const AGAIN: usize = 3;

/// What carrying out a plan needs.
pub struct Means<'a> {
    /// The root to change.
    pub root: &'a Root,
    /// Reads the bytes of an environment's source file.
    pub source: &'a (dyn Fn(&LockedEnvironment) -> files::Result<Vec<u8>> + Sync),
    /// For servers of packages that want to know who asks.
    pub credentials: &'a fetch::Credentials,
    /// The manifest's directory, where locked paths start.
    pub here: &'a Path,
    /// Where to look for interpreters and programs.
    pub path: &'a OsStr,
    /// Where archives with managed interpreters are mirrored, if their own addresses cannot be used.
    pub mirror: Option<&'a Mirror>,
    /// The environment of the programs that are started.
    pub variables: &'a BTreeMap<OsString, OsString>,
    /// Finds uv; asked only if something must be downloaded or built.
    pub uv: &'a (dyn Fn() -> Result<Uv, uv::Error> + Sync),
    /// Never download.
    pub offline: bool,
    /// Where files are taken from instead of being downloaded, if they are there.
    pub bundle: Option<&'a Bundle>,
    /// How files of the store are put into environments.
    pub link: link::Mode,
    /// How many threads unpack, check and link.
    pub jobs: usize,
    /// This program's version, for stamps.
    pub rootstock: &'a Version,
    /// Who hears of it.
    pub progress: &'a dyn Progress,
}

impl<'a> Means<'a> {
    /// What gathering packages needs of it.
    fn packages(&self) -> Sources<'a> {
        Sources {
            root: self.root,
            uv: self.uv,
            variables: self.variables,
            offline: self.offline,
            bundle: self.bundle,
            credentials: self.credentials,
            here: self.here,
            path: self.path,
            progress: self.progress,
        }
    }

    /// What providing interpreters needs of it.
    fn pythons(&self) -> pythons::Sources<'a> {
        pythons::Sources {
            root: self.root,
            mirror: self.mirror,
            variables: self.variables,
            offline: self.offline,
            bundle: self.bundle,
            progress: self.progress,
        }
    }
}

/// How one environment ended.
#[derive(Debug)]
pub struct Outcome {
    /// Which.
    pub environment: EnvironmentName,
    /// How.
    pub result: Result<Done, Error>,
}

/// What was done for an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Nothing had to be done.
    Kept {
        /// The generation.
        id: String,
    },
    /// It leads to a generation that was there before.
    Flipped {
        /// The generation.
        id: String,
    },
    /// It was built.
    Built(Built),
}

/// Why an environment was not built. It leads where it led before.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No interpreter fits, or the machine is too old for one.
    #[error(transparent)]
    Interpreter(#[from] choose::Error),
    /// Its managed interpreter cannot be had.
    #[error(transparent)]
    Python(Arc<pythons::Error>),
    /// Some of its packages could not be prepared.
    #[error("{} of its packages could not be prepared", .0.len())]
    Packages(Vec<PackageFailure>),
    /// Its source file is not the locked one.
    #[error("`{0}` has changed while it was being built")]
    SourceChanged(String),
    /// It could not be linked together or published.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// Something was removed while it was used, again and again.
    #[error("`{}` was taken away while it was needed", .0.display())]
    TakenAway(PathBuf),
    /// A file operation failed.
    #[error(transparent)]
    Files(#[from] files::Error),
}

impl Error {
    /// Whether doing it again may well help.
    fn is_taken_away(&self) -> bool {
        match self {
            Error::TakenAway(_) => true,
            Error::Packages(failures) => failures.iter().any(|failure| failure.is_taken_away()),
            _ => false,
        }
    }
}

/// The root as a whole cannot be changed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum RootError {
    /// Its layout.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Layout(#[from] layout::Error),
    /// Files cannot be linked as was asked for.
    #[error("`link-mode` asks for {method}, which do not work here")]
    #[diagnostic(help(
        "with `link-mode = \"auto\"` the best that works is found by trying; `rootstock doctor` shows what that is"
    ))]
    Link {
        /// The method.
        method: link::Method,
        /// Why not.
        source: files::Error,
    },
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// Carries out a plan. Environments fail one by one; their outcomes are in the order of the plan.
pub fn carry_out(plan: &Plan, means: &Means) -> Result<Vec<Outcome>, RootError> {
    if !plan.is_nothing() {
        layout::create(means.root)?;
    }
    let switched: Vec<Result<Switched, Error>> = plan
        .steps
        .iter()
        .map(|step| Ok(switch(step, means.root)?))
        .collect();
    let builds: Vec<&Step> = plan
        .steps
        .iter()
        .zip(&switched)
        .filter_map(|(step, switched)| matches!(switched, Ok(Switched::Build)).then_some(step))
        .collect();
    // Where nothing is built, no thread is started.
    let built = if builds.is_empty() {
        Vec::new()
    } else {
        build_all(&builds, means)?
    };
    let mut built = built.into_iter();
    let results = switched.into_iter().map(|switched| match switched? {
        Switched::Done(done) => Ok(done),
        Switched::Build => built
            .next()
            .expect("every build has a result")
            .map(Done::Built),
    });
    let outcome = |(step, result): (&Step, _)| Outcome {
        environment: step.environment.name.clone(),
        result,
    };
    Ok(plan.steps.iter().zip(results).map(outcome).collect())
}

/// Writes what a plan changes of the small files: what each model id means, and what the hub's revisions mean.
pub fn write_down(plan: &Plan, root: &Root) -> files::Result<()> {
    for (path, commit) in &plan.references {
        let path = crate::store::weights::path(root, path);
        files::create_directories(path.parent().unwrap_or(root.cache()))?;
        files::write_atomically(&path, commit.as_bytes())?;
    }
    if let Some(catalogue) = &plan.catalogue {
        files::write_atomically(&root.models(), catalogue.text().as_bytes())?;
    }
    Ok(())
}

/// A step as far as it goes without building.
enum Switched {
    Done(Done),
    /// It has to be built.
    Build,
}

/// Keeps, and leads links to what is there already.
fn switch(step: &Step, root: &Root) -> files::Result<Switched> {
    Ok(match &step.action {
        Action::Keep { id } => Switched::Done(Done::Kept { id: id.clone() }),
        Action::Flip { to, .. } if publish::flip(root, &step.environment.name, to)? => {
            Switched::Done(Done::Flipped { id: to.clone() })
        }
        // `gc` has taken it away since it was looked at.
        Action::Flip { .. } | Action::Build { .. } => Switched::Build,
    })
}

/// Builds what these steps want, together; the results are in their order.
fn build_all(steps: &[&Step], means: &Means) -> Result<Vec<Result<Built, Error>>, RootError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(means.jobs)
        .build()
        .expect("threads can be started");
    let interpreters = interpreters(steps, means, &pool);
    let begun: Vec<Result<Begun, Error>> = steps
        .iter()
        .map(|step| begin(step, &interpreters, means))
        .collect();
    let jobs: Vec<&Job> = begun.iter().filter_map(Begun::job).collect();
    let built = if jobs.is_empty() {
        Vec::new()
    } else {
        share(&jobs, means, &pool)?
    };
    let mut built = built.into_iter();
    let results = begun.into_iter().map(|begun| match begun? {
        Begun::Adopted(built) => Ok(built),
        Begun::Job(_) => built.next().expect("every job has a result"),
    });
    Ok(results.collect())
}

/// Builds what nobody else builds; then takes what others have built meanwhile, or builds that too.
fn share(
    jobs: &[&Job],
    means: &Means,
    pool: &rayon::ThreadPool,
) -> Result<Vec<Result<Built, Error>>, RootError> {
    let mut built: Vec<Option<Result<Built, Error>>> = jobs.iter().map(|_| None).collect();
    let mut left: Vec<usize> = (0..jobs.len()).collect();
    while !left.is_empty() {
        let wanted = |at: &usize| (jobs[*at].environment.name.clone(), jobs[*at].id());
        let wanted: Vec<Wanted> = left.iter().map(wanted).collect();
        let (mut held, others) = Claims::take(means.root, &wanted);
        // Who is told to build anew does not take what others build.
        let (ours, theirs): (Vec<_>, Vec<_>) = left
            .into_iter()
            .zip(others)
            .partition(|(at, other)| other.is_none() || jobs[*at].force);
        if !ours.is_empty() {
            let now: Vec<&Job> = ours.iter().map(|(at, _)| jobs[*at]).collect();
            let results = held.beating(|| build(&now, means, pool))?;
            for ((at, _), result) in ours.into_iter().zip(results) {
                built[at] = Some(result);
            }
        }
        drop(held);
        left = Vec::new();
        for (at, claim) in theirs {
            if let Some(claim) = claim {
                waiting::wait(means.root, &claim, means.progress);
            }
            match jobs[at].adopt(means.root) {
                Ok(None) => left.push(at),
                Ok(Some(there)) => built[at] = Some(Ok(there)),
                Err(error) => built[at] = Some(Err(error.into())),
            }
        }
    }
    let results = built.into_iter();
    Ok(results
        .map(|result| result.expect("every job was built or taken"))
        .collect())
}

/// A build as far as it goes without packages.
enum Begun<'a> {
    /// It was there already.
    Adopted(Built),
    Job(Job<'a>),
}

impl<'a> Begun<'a> {
    fn job<'b>(begun: &'b Result<Self, Error>) -> Option<&'b Job<'a>> {
        match begun {
            Ok(Begun::Job(job)) => Some(job),
            _ => None,
        }
    }
}

/// What there is to build on.
struct Interpreters {
    /// Those of this machine.
    system: Vec<Interpreter>,
    /// Those of the lock.
    managed: pythons::Provided,
}

/// The interpreters that are needed: each of them is started to say who it is.
fn interpreters(steps: &[&Step], means: &Means, pool: &rayon::ThreadPool) -> Interpreters {
    let targets = steps.iter().map(|step| step.target);
    let mut system = targets.clone().filter(|t| t.python.archive().is_none());
    Interpreters {
        system: if system.next().is_some() {
            python::on_path(means.path, means.variables)
        } else {
            Vec::new()
        },
        managed: pythons::provide(targets, &means.pythons(), pool),
    }
}

impl Interpreters {
    /// The one to build this target on.
    fn choose(&self, target: &LockedTarget) -> Result<&Interpreter, Error> {
        let Some(archive) = target.python.archive() else {
            return Ok(choose::choose(target, &self.system)?);
        };
        match &self.managed[&archive.sha256] {
            Ok(interpreter) => {
                choose::check_glibc(target, interpreter)?;
                Ok(interpreter)
            }
            Err(error) => Err(Error::Python(Arc::clone(error))),
        }
    }
}

/// Decides what is to be built.
fn begin<'a>(
    step: &Step<'a>,
    interpreters: &'a Interpreters,
    means: &Means,
) -> Result<Begun<'a>, Error> {
    let environment = step.environment;
    let source = (means.source)(environment)?;
    if Digest::of(&source) != environment.source.sha256 {
        return Err(Error::SourceChanged(environment.source.path.clone()));
    }
    let job = Job {
        environment,
        target: step.target,
        interpreter: interpreters.choose(step.target)?,
        source,
        force: matches!(
            step.action,
            Action::Build {
                because: Reason::Forced | Reason::Broken(_)
            }
        ),
    };
    Ok(match job.adopt(means.root)? {
        Some(built) => Begun::Adopted(built),
        None => Begun::Job(job),
    })
}

/// Builds environments together: what they share is prepared once.
fn build(
    jobs: &[&Job],
    means: &Means,
    pool: &rayon::ThreadPool,
) -> Result<Vec<Result<Built, Error>>, RootError> {
    // What killed runs have left only takes space. Where it cannot be removed, or another process is doing just that,
    // nothing is lost by leaving it.
    let _ = shelf::sweep(means.root);
    for job in jobs {
        let _ = publish::sweep(means.root, &job.environment.name);
    }
    let (store, generations) = (means.root.store(), means.root.path().join("generations"));
    let method = match means.link {
        link::Mode::Auto => link::probe(&store, &generations)?,
        link::Mode::Forced(link::Method::Copy) => link::Method::Copy,
        link::Mode::Forced(method) => {
            let tried = link::check(method, &store, &generations);
            tried.map_err(|source| RootError::Link { method, source })?;
            method
        }
    };
    let once = |jobs: &[&Job]| -> Vec<Result<Built, Error>> {
        let gathered = gather::gather(&needs(jobs), &means.packages(), pool);
        pool.install(|| {
            let each = jobs.par_iter().with_max_len(1);
            each.map(|job| build_one(job, &gathered, means, method))
                .collect()
        })
    };
    let mut built = once(jobs);
    // A `gc` beside us takes away what nothing leads to, and what we are about to use may look like that.
    for _ in 0..AGAIN {
        let lost: Vec<usize> = (0..jobs.len())
            .filter(|at| built[*at].as_ref().is_err_and(Error::is_taken_away))
            .collect();
        if lost.is_empty() {
            break;
        }
        let jobs: Vec<&Job> = lost.iter().map(|at| jobs[*at]).collect();
        for (at, result) in lost.into_iter().zip(once(&jobs)) {
            built[at] = result;
        }
    }
    Ok(built)
}

fn build_one(
    job: &Job,
    gathered: &Gathered,
    means: &Means,
    method: link::Method,
) -> Result<Built, Error> {
    let ready = ready(job, gathered)?;
    let parts: Vec<Part> = ready
        .iter()
        .flat_map(|(package, there)| {
            [&there.wheel, &there.bytecode].map(|shelved| Part { package, shelved })
        })
        .collect();
    let name = &job.environment.name;
    means.progress.heard(Event::Assembling(name.clone()));
    let built = job.build(means.root, means.rootstock, &parts, method);
    means
        .progress
        .heard(Event::Finished(name.clone(), built.is_ok()));
    let (generation, python) = (
        means.root.generation(name, &job.id()),
        &job.interpreter.executable,
    );
    let mut used = parts.iter().map(|part| part.shelved.directory.as_path());
    let gone = match &built {
        Ok(_) => [&generation, python]
            .into_iter()
            .find(|path| !files::exists(path))
            .cloned(),
        Err(_) => used.find(|path| !files::exists(path)).map(Path::to_owned),
    };
    match gone {
        Some(path) => Err(Error::TakenAway(path)),
        None => Ok(built?),
    }
}

/// Everything an environment is linked from, by package; or all that kept some of it from being prepared.
fn ready<'a>(job: &Job, gathered: &'a Gathered) -> Result<Vec<(String, &'a Ready)>, Error> {
    let mut failures: Vec<PackageFailure> = Vec::new();
    let mut ready = Vec::new();
    for package in &job.target.packages {
        match &gathered[&gather::key(package, job.requirements(package), job.interpreter)] {
            Ok(there) => ready.push((format!("{} {}", package.name, package.version), &**there)),
            // What kept us from all of them is told once.
            Err(failure) if failures.iter().any(|known| Arc::ptr_eq(known, failure)) => {}
            Err(failure) => failures.push(Arc::clone(failure)),
        }
    }
    if failures.is_empty() {
        Ok(ready)
    } else {
        Err(Error::Packages(failures))
    }
}

/// Every package that these environments need, once, with all interpreters it is needed for.
fn needs<'a>(jobs: &[&Job<'a>]) -> Vec<Need<'a>> {
    let mut needs: BTreeMap<Digest, Need> = BTreeMap::new();
    for job in jobs {
        for package in &job.target.packages {
            let requirements = job.requirements(package);
            let (what, _) = gather::key(package, requirements, job.interpreter);
            let need = needs.entry(what).or_insert_with(|| Need {
                package,
                requirements,
                target: job.target,
                interpreters: Vec::new(),
            });
            need.add(job.interpreter);
        }
    }
    needs.into_values().collect()
}

/// How many files a plan would download, and how many bytes they have as far as the lock says.
pub fn to_download(plan: &Plan, root: &Root) -> (usize, u64) {
    let builds = |step: &&Step| matches!(step.action, Action::Build { .. });
    let targets = plan.steps.iter().filter(builds).map(|step| step.target);
    let archives = targets
        .clone()
        .filter_map(|target| target.python.archive())
        .filter(|archive| pythons::is_missing(root, archive))
        .map(|archive| (&archive.sha256, 0));
    let missing: BTreeMap<&Digest, u64> = targets
        .flat_map(|target| &target.packages)
        .filter(|package| gather::is_missing(root, package))
        .map(|package| (&package.sha256, package.size.unwrap_or(0)))
        .chain(archives)
        .collect();
    (missing.len(), missing.values().sum())
}
