//! `rootstock sync`: make the root match the lock, or say in what it does not.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use super::exit::{Exit, Failure, OrExit};
use super::{
    Shared, context, findings, foretell, interrupt, lock, outcome, place, progress, pythons, show,
};
use crate::build::{self, Means, weights as fetching};
use crate::doctor;
use crate::files::{self, link};
use crate::lock::LockedEnvironment;
use crate::manifest::Manifest;
use crate::name::EnvironmentName;
use crate::plan::{self, Action, Disk, Plan, PrefetchReason, PrefetchStep, Step, Wish};
use crate::prefetch;
use crate::process::threads;
use crate::store::bundle::Bundle;
use crate::store::prefetched::{self, Record};
use crate::store::{Catalogue, Verifier, Root, catalogue, installed, layout, weights};

/// Arguments of `rootstock sync`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rootstock sync               build what is not optional and not built yet\n  \
                        rootstock sync mace          this environment or model, optional or not\n  \
                        rootstock sync --dry-run     what would be done, and why\n  \
                        rootstock sync --repair      read everything, mend what is damaged\n  \
                        rootstock sync --check       exit 3 if the root does not match the lock\n\n  \
                        where there is no network, from a directory that `rootstock bundle -o DIR` has made:\n  \
                        rootstock --manifest DIR/rootstock.toml --root ROOT sync --offline --bundle DIR"
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one flag of the command line"
)]
pub(crate) struct Arguments {
    /// Environments or models; without any, all environments that are not optional.
    #[arg(value_name = "NAME", conflicts_with = "all")]
    names: Vec<String>,
    /// All environments, the optional ones too.
    #[arg(long)]
    all: bool,
    /// Change nothing: exit 3 if the root does not match the lock.
    #[arg(long, conflicts_with_all = ["dry_run", "force"])]
    check: bool,
    /// Change nothing: say what would be done, and why.
    #[arg(long)]
    dry_run: bool,
    /// Build anew; what is there is replaced only if a file of it has changed.
    #[arg(long)]
    force: bool,
    /// Read every byte of environments, store and weights first, and mend exactly what is not as it should be.
    #[arg(long, conflicts_with_all = ["check", "dry_run", "force", "offline"])]
    repair: bool,
    /// How many threads unpack, check and link; the number of processors if not given.
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Download nothing: use what is in the root's store, and in the bundle if one is named.
    #[arg(long)]
    offline: bool,
    /// Take from this bundle what it has instead of downloading it.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// How files of the store are put into environments; else what the manifest says, or `auto`: the best that works.
    #[arg(long, value_name = "MODE", value_parser = clap::builder::PossibleValuesParser::new(link::MODES))]
    link_mode: Option<String>,
    /// Do only these parts of the work.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Environments, and what each model id means.
    Envs,
    /// Weights of models, and what models fetch by themselves.
    Models,
}

pub(crate) fn run(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    // What is built is built elsewhere; only reading everything takes more than one thread here.
    let reads_all = arguments.repair || arguments.check;
    let threads = if reads_all { context::processors() } else { 1 };
    threads::in_pool(threads, || sync(shared, arguments))
}

fn sync(shared: &Shared, arguments: &Arguments) -> Result<Exit, Failure> {
    let started = Instant::now();
    let manifest = lock::manifest(shared)?;
    let chosen = place::environments(&arguments.names, arguments.all, &manifest)?;
    let root = place::policed(shared, &manifest)?;
    let lock::Current { lock, drifted } = match usable(&manifest, &chosen, &root, arguments)? {
        Ok(current) => current,
        Err(exit) => return Ok(exit),
    };
    let verifier = Verifier::default();
    if arguments.repair {
        apply_policy(&root)?;
        build::repair::clear(&root, &verifier).or_exit(Exit::Failed)?;
    }
    let mut disk = disk(&root, &chosen)?;
    let files = plan::weights_of(&lock, &chosen);
    let paths = files.iter().map(|(_, weight)| weight.path.as_str());
    // Only a check reads gigabytes to be sure; a sync looks whether a file is there in its size.
    disk.weights = weights::read(&root, paths, arguments.reads_weights()).or_exit(Exit::Failed)?;
    let references = plan::references_of(&lock, &chosen);
    let paths = references.keys().map(String::as_str);
    disk.references = weights::read_texts(&root, paths).or_exit(Exit::Failed)?;
    if arguments.repair {
        build::repair::mark(&root, &mut disk.environments, &verifier);
    }
    let may_prefetch = manifest.environments.iter().filter(|e| e.prefetch);
    let may_prefetch: Vec<EnvironmentName> = may_prefetch
        .map(|environment| environment.name.clone())
        .filter(|name| chosen.contains(name))
        .collect();
    let wish = Wish {
        prefetch: &may_prefetch,
        target: place::target()?,
        environments: &chosen,
        drifted,
        force: arguments.force,
        cache: root.cache_elsewhere(),
        access: root.access(),
    };
    for model in plan::prefetched_of(&lock, wish.prefetch) {
        let there = prefetched::read(&root, &model.id, arguments.reads_weights());
        let there = there.or_exit(Exit::Failed)?;
        disk.prefetched
            .extend(there.map(|there| (model.id.clone(), there)));
    }
    let mut plan = plan::plan(&lock, &wish, &disk).or_exit(Exit::Failed)?;
    arguments.narrow(&mut plan);
    let bundle = arguments.bundle.as_deref().map(open_bundle).transpose()?;
    if arguments.offline {
        forgo(&mut plan, bundle.as_ref());
    }
    if arguments.check || arguments.dry_run {
        // A check asks no other program.
        let builds = |step: &Step| matches!(step.action, Action::Build { .. });
        let left = if arguments.dry_run && plan.steps.iter().any(builds) {
            doctor::room(&root, &context::search_path()).or_exit(Exit::Failed)?
        } else {
            Vec::new()
        };
        foretell::tell(&plan, &root, &left, arguments.json).or_exit(Exit::Failed)?;
        let differs = arguments.check && !plan.is_nothing();
        return Ok(if differs { Exit::Drift } else { Exit::Ok });
    }
    let is_nothing = plan.is_nothing();
    let mut work = || {
        do_it(
            &mut plan,
            &root,
            &manifest,
            shared,
            arguments,
            bundle.as_ref(),
        )
    };
    let work = if is_nothing {
        work()?
    } else {
        let clean = "nothing half-made is left; downloads go on where they broke off";
        interrupt::minding(&root, clean, work)?
    };
    super::doctor::warn_of_closed_interpreters(&root, &chosen);
    let exit = outcome::tell(
        &outcome::Ended {
            plan: &plan,
            outcomes: &work.outcomes,
            fetched: &work.fetched,
            prefetched: &work.prefetched,
            written: &work.written,
            took: started.elapsed(),
        },
        &root,
        arguments.json,
    );
    Ok(exit)
}

/// The lock, if it answers the manifest for what was asked for, else the exit code after it was explained why not.
fn usable(
    manifest: &Manifest,
    chosen: &[EnvironmentName],
    root: &Root,
    arguments: &Arguments,
) -> Result<Result<lock::Current, Exit>, Failure> {
    let path = lock::lock_path(&manifest.path);
    let only = (!arguments.names.is_empty()).then_some(chosen);
    let found = match lock::current(manifest, &path, only)? {
        Ok(current) => return Ok(Ok(current)),
        Err(found) => found,
    };
    if arguments.json {
        show::json(&json!({
            "root": root.path(),
            "drifted": true,
            "findings": findings::json(&found),
        }));
        return Ok(Err(Exit::Drift));
    }
    let exit = findings::drifted(&found, &path, manifest);
    if let (None, Ok(Some(lock))) = (only, lock::read(&path)) {
        let drifted = lock::drifted(manifest, &lock, &found);
        let names = chosen.iter().filter(|name| !drifted.contains(name));
        let names: Vec<&str> = names.map(EnvironmentName::as_str).collect();
        if !names.is_empty() {
            show::remark(&format!(
                "or sync what it answers: `rootstock sync {}`",
                names.join(" ")
            ));
        }
    }
    Ok(Err(exit))
}

/// Has everything in a root follow its policy, what is there already included. Only then does the root say that it has
/// one.
fn apply_policy(root: &Root) -> Result<(), Failure> {
    if let Some(policy) = root.policy() {
        if files::exists(root.path()) {
            policy.apply(root).or_exit(Exit::Failed)?;
        }
        layout::create(root).or_exit(Exit::Failed)?;
    }
    Ok(())
}

/// How everything ended, in the order of the plan's steps.
struct Work {
    outcomes: Vec<build::Outcome>,
    fetched: Vec<Result<(), fetching::Error>>,
    written: files::Result<()>,
    prefetched: Vec<Result<Record, prefetch::Error>>,
}

/// Makes the root match the plan. Leaves in it what could be tried.
fn do_it(
    plan: &mut Plan,
    root: &Root,
    manifest: &Manifest,
    shared: &Shared,
    arguments: &Arguments,
    bundle: Option<&Bundle>,
) -> Result<Work, Failure> {
    if plan.access.is_some() {
        apply_policy(root)?;
    }
    let mut outcomes = carry_out(plan, root, manifest, shared, arguments, bundle)?;
    let fetched = fetch_weights(plan, root, arguments, bundle);
    let written = build::write_down(plan, root);
    build::look_again(&mut outcomes, root);
    if written.is_err() {
        // What a model is called with stands there.
        plan.prefetch.clear();
    }
    let prefetched = prefetch(plan, &outcomes, root, arguments, bundle);
    Ok(Work {
        outcomes,
        fetched,
        written,
        prefetched,
    })
}

impl Arguments {
    /// Whether to read gigabytes of weights to be sure of them.
    fn reads_weights(&self) -> bool {
        self.check || self.force || self.repair
    }

    /// Leaves in a plan what was asked for with `--only`.
    fn narrow(&self, plan: &mut Plan) {
        if self.only.is_empty() {
            return;
        }
        if !self.only.contains(&Part::Envs) {
            plan.steps.clear();
            plan.catalogue = None;
        }
        if !self.only.contains(&Part::Models) {
            plan.weights.clear();
            plan.references.clear();
            plan.prefetch.clear();
        }
    }
}

/// Offline no model is called. Whether one that never was needs files of the network, nobody knows, unless the bundle
/// has them; what is known to be missing stays in the plan and is an error.
fn forgo(plan: &mut Plan, bundle: Option<&Bundle>) {
    let carried = |step: &PrefetchStep| {
        let there = bundle.map(|bundle| bundle.prefetched(&step.model.id, &step.key));
        // A bundle that cannot be read says so when it is asked again.
        there.is_some_and(|there| there.is_err() || there.is_ok_and(|there| there.is_some()))
    };
    let unknown = |step: &PrefetchStep| {
        matches!(
            step.because,
            PrefetchReason::Never | PrefetchReason::Outdated
        ) && !carried(step)
    };
    let forgone: Vec<&str> = plan
        .prefetch
        .iter()
        .filter(|step| unknown(step))
        .map(|step| step.model.id.as_str())
        .collect();
    if !forgone.is_empty() {
        show::remark(&format!(
            "`--offline` forbids to load models once to fetch what they need; not loaded: {}",
            forgone.join(", ")
        ));
    }
    plan.prefetch.retain(|step| !unknown(step));
}

/// Has models fetch what they need themselves, one after another: each may take as much memory as a node has. What a
/// bundle has is taken from there, and nothing is called. Those of environments that were not built are left out; why is
/// told with these.
fn prefetch(
    plan: &mut Plan,
    outcomes: &[build::Outcome],
    root: &Root,
    arguments: &Arguments,
    bundle: Option<&Bundle>,
) -> Vec<Result<Record, prefetch::Error>> {
    let failed = |name: &EnvironmentName| {
        let of = outcomes.iter().find(|outcome| outcome.environment == *name);
        of.is_some_and(|outcome| outcome.result.is_err())
    };
    plan.prefetch
        .retain(|step| !failed(&step.model.environment));
    let inherited = context::variables();
    let carried = |step: &PrefetchStep, bundle: &Bundle| -> Result<_, prefetch::Error> {
        let model = &step.model.id;
        let Some(record) = bundle.prefetched(model, &step.key)? else {
            return Ok(None);
        };
        let places = (bundle.place(), root);
        prefetch::carry(model, &record, places, &context::kept_environment())?;
        Ok(Some(record))
    };
    let one = |step: &PrefetchStep| {
        let there = bundle.map(|bundle| carried(step, bundle)).transpose()?;
        if let Some(record) = there.flatten() {
            return Ok(record);
        }
        if arguments.offline {
            return Err(prefetch::Error::Offline);
        }
        show::remark(&format!("loading {} once: {}", step.model.id, step.because));
        prefetch::prefetch(root, step, &inherited, &show::remark)
    };
    plan.prefetch.iter().map(one).collect()
}

fn fetch_weights(
    plan: &Plan,
    root: &Root,
    arguments: &Arguments,
    bundle: Option<&Bundle>,
) -> Vec<Result<(), fetching::Error>> {
    if plan.weights.is_empty() {
        return Vec::new();
    }
    let (variables, progress) = (context::kept_environment(), progress::watcher());
    let means = fetching::Means {
        root,
        variables: &variables,
        hub: &context::hub(),
        offline: arguments.offline,
        bundle,
        progress: &*progress,
    };
    fetching::fetch(&plan.weights, &means)
}

/// The bundle that was named.
fn open_bundle(path: &Path) -> Result<Bundle, Failure> {
    // An address of a file has no directory to start from.
    let path = files::absolute(path).or_exit(Exit::Usage)?;
    Bundle::open(&path).or_exit(Exit::Usage)
}

/// What is on disk, as far as a plan for these environments needs it.
pub(super) fn disk(root: &Root, environments: &[EnvironmentName]) -> Result<Disk, Failure> {
    let access = layout::access(root).or_exit(Exit::Failed)?;
    let catalogue = match Catalogue::read(&root.models()) {
        Ok(catalogue) => catalogue,
        // One that cannot be read is written anew, from the lock alone.
        Err(catalogue::Error::Broken { .. }) => None,
        Err(catalogue::Error::Files(error)) if error.is_unfit() => None,
        Err(error) => return Err(error).or_exit(Exit::Failed),
    };
    Ok(Disk {
        environments: installed::read(root, environments),
        weights: std::collections::BTreeMap::new(),
        references: std::collections::BTreeMap::new(),
        prefetched: std::collections::BTreeMap::new(),
        catalogue,
        access,
    })
}

fn carry_out(
    plan: &Plan,
    root: &Root,
    manifest: &Manifest,
    shared: &Shared,
    arguments: &Arguments,
    bundle: Option<&Bundle>,
) -> Result<Vec<build::Outcome>, Failure> {
    let environment = context::uv_environment();
    let jobs = arguments.jobs.map_or_else(
        || std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        NonZeroUsize::get,
    );
    let version = env!("CARGO_PKG_VERSION").parse();
    let mirror = pythons::mirror(manifest);
    let means = Means {
        root,
        source: &|environment: &LockedEnvironment| {
            place::source(&manifest.path, &environment.source.path)
        },
        credentials: &context::credentials(&manifest.indexes, &environment),
        here: manifest.path.parent().unwrap_or(std::path::Path::new("")),
        path: &context::search_path(),
        mirror: mirror.as_ref(),
        variables: &context::kept_environment(),
        uv: &|| Ok(context::find_uv(shared, &environment)?.with_indexes(&manifest.indexes)),
        offline: arguments.offline,
        bundle,
        link: match &arguments.link_mode {
            Some(mode) => mode.parse().expect("clap knows the modes"),
            None => place::link_mode(shared, manifest)?,
        },
        jobs,
        rootstock: &version.expect("our own version is one"),
        progress: &*progress::watcher(),
    };
    build::carry_out(plan, &means).or_exit(Exit::Failed)
}
