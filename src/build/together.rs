//! Building several environments at once: what they share is prepared once, what another process builds is taken from
//! it, and what was removed meanwhile is made again. How one environment is built is known to `environment`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::assemble::Part;
use super::environment::{Built, Job};
use super::gather::{self, Failure as PackageFailure, Gathered, Gathering, Need, Ready};
use super::progress::Event;
use super::waiting::{self, Claims, Wanted};
use super::workers::Workers;
use super::{Context, Error, RootError, choose, pythons, requires, source};
use crate::digest::Digest;
use crate::files::{self, link};
use crate::lock::Bytecode;
use crate::plan::{Action, Reason, Step};
use crate::python::{self, Interpreter};

/// How often that is made again which was taken away under our hands; more is not a race.
const AGAIN: usize = 3;

/// Builds what these steps want, together; the results are in their order.
pub(super) fn build_all(
    steps: &[&Step],
    context: &Context,
) -> Result<Vec<Result<Built, Error>>, RootError> {
    let workers = Workers::new(context.jobs)?;
    let interpreters = interpreters(steps, context, &workers);
    let begun: Vec<Result<PartialBuild, Error>> = steps
        .iter()
        .map(|step| begin(step, &interpreters, context))
        .collect();
    let jobs: Vec<&Job> = begun.iter().filter_map(PartialBuild::job).collect();
    let built = if jobs.is_empty() {
        Vec::new()
    } else {
        share(&jobs, context, &workers)?
    };
    let mut built = built.into_iter();
    let results = begun.into_iter().map(|begun| match begun? {
        PartialBuild::Adopted(built) => Ok(built),
        PartialBuild::Job(_) => built.next().expect("every job has a result"),
    });
    Ok(results.collect())
}

/// Builds what no other process builds; then takes what others have built meanwhile, or builds that too.
fn share(
    jobs: &[&Job],
    context: &Context,
    workers: &Workers,
) -> Result<Vec<Result<Built, Error>>, RootError> {
    let mut built: Vec<Option<Result<Built, Error>>> = jobs.iter().map(|_| None).collect();
    let mut left: Vec<usize> = (0..jobs.len()).collect();
    while !left.is_empty() {
        let wanted = |at: &usize| (jobs[*at].environment.name.clone(), jobs[*at].id());
        let wanted: Vec<Wanted> = left.iter().map(wanted).collect();
        let (mut held, others) = Claims::take(context.root, &wanted);
        // A forced build does not take what others build.
        let (ours, theirs): (Vec<_>, Vec<_>) = left
            .into_iter()
            .zip(others)
            .partition(|(at, other)| other.is_none() || jobs[*at].force);
        if !ours.is_empty() {
            let now: Vec<&Job> = ours.iter().map(|(at, _)| jobs[*at]).collect();
            let results = held.with_heartbeat(|| build(&now, context, workers))?;
            for ((at, _), result) in ours.into_iter().zip(results) {
                built[at] = Some(result);
            }
        }
        drop(held);
        left = Vec::new();
        for (at, claim) in theirs {
            if let Some(claim) = claim {
                context.progress.on_event(Event::Waiting(claim.clone()));
                waiting::wait(context.root, &claim);
            }
            match jobs[at].adopt(context.root) {
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
enum PartialBuild<'a> {
    /// It was there already.
    Adopted(Built),
    Job(Job<'a>),
}

impl<'a> PartialBuild<'a> {
    fn job<'b>(begun: &'b Result<Self, Error>) -> Option<&'b Job<'a>> {
        match begun {
            Ok(PartialBuild::Job(job)) => Some(job),
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

/// The interpreters that are needed: each of them is started to identify itself.
fn interpreters(steps: &[&Step], context: &Context, workers: &Workers) -> Interpreters {
    let targets = steps.iter().map(|step| step.target);
    let system = steps
        .iter()
        .filter(|step| step.target.python.archive().is_none());
    let system: Vec<_> = system
        .map(|step| (step.target, step.environment.requires_python()))
        .collect();
    let names: Vec<String> = system
        .iter()
        .map(|(target, _)| target.python.program())
        .collect();
    let enough = |found: &[Interpreter]| {
        let mut each = system.iter();
        each.all(|(target, requires)| choose::choose(target, requires.as_ref(), found).is_ok())
    };
    Interpreters {
        system: if system.is_empty() {
            Vec::new()
        } else {
            python::until(&context.path, &context.variables, &names, &enough)
        },
        managed: pythons::provide(targets, &pythons::Context::of(context), workers),
    }
}

impl Interpreters {
    /// The one to build this target on.
    fn choose(&self, step: &Step) -> Result<&Interpreter, Error> {
        let target = step.target;
        let Some(archive) = target.python.archive() else {
            let requires = step.environment.requires_python();
            return Ok(choose::choose(target, requires.as_ref(), &self.system)?);
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
    context: &Context,
) -> Result<PartialBuild<'a>, Error> {
    let environment = step.environment;
    let source = files::read_of_project(context.project, Path::new(&environment.source.path))?;
    if Digest::of(&source) != environment.source.sha256 {
        return Err(Error::SourceChanged(environment.source.path.clone()));
    }
    let job = Job {
        environment,
        target: step.target,
        interpreter: interpreters.choose(step)?,
        source,
        force: matches!(
            step.action,
            Action::Build {
                because: Reason::Forced | Reason::Broken(_)
            }
        ),
    };
    if let Some(built) = job.adopt(context.root)? {
        return Ok(PartialBuild::Adopted(built));
    }
    // Before anything is downloaded for it.
    source::check(
        &environment.source.path,
        &job.source,
        job.interpreter,
        &context.variables,
    )?;
    Ok(PartialBuild::Job(job))
}

/// Builds environments together: what they share is prepared once.
fn build(
    jobs: &[&Job],
    context: &Context,
    workers: &Workers,
) -> Result<Vec<Result<Built, Error>>, RootError> {
    let (store, generations) = (context.root.store(), context.root.all_generations());
    let method = match context.link {
        link::Mode::Auto => link::probe(&store, &generations)?,
        link::Mode::Forced(link::Method::Copy) => link::Method::Copy,
        link::Mode::Forced(method) => {
            let tried = link::check(method, &store, &generations);
            tried.map_err(|source| RootError::Link { method, source })?;
            method
        }
    };
    let once = |jobs: &[&Job]| -> Vec<Result<Built, Error>> {
        let gathered = gather::gather(&needs(jobs), &Gathering { context, workers });
        workers.install(|| {
            let each = jobs.par_iter().with_max_len(1);
            each.map(|job| build_one(job, &gathered, context, method))
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
    context: &Context,
    method: link::Method,
) -> Result<Built, Error> {
    let ready = ready(job, gathered)?;
    let parts: Vec<Part> = ready
        .iter()
        .flat_map(|(package, there)| there.parts(package, job.environment.bytecode))
        .collect();
    requires::check(job, &parts).map_err(|error| match error {
        requires::Error::Files(error) if error.is_missing() => Error::TakenAway(error.path),
        error => error.into(),
    })?;
    let name = &job.environment.name;
    context.progress.on_event(Event::Assembling(name.clone()));
    let built = job.build(context.root, &parts, method);
    context
        .progress
        .on_event(Event::Finished(name.clone(), built.is_ok()));
    let (generation, python) = (
        context.root.generation(name, &job.id()),
        &job.interpreter.executable,
    );
    let mut used = parts.iter().map(|part| part.unpacked.directory.as_path());
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
            // One cause for all of them is reported once.
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
                tests: false,
            });
            need.add(job.interpreter);
            need.tests |= job.environment.bytecode == Bytecode::All;
        }
    }
    needs.into_values().collect()
}
