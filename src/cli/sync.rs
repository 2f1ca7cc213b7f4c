//! `rootstock sync`: make the root match the lock, or report where it does not.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, given, interrupt, lock, root, show};
use crate::build::Context;
use crate::doctor;
use crate::files::{self, link};
use crate::lock::beside::{self, Current};
use crate::name::{EnvironmentName, ModelId};
use crate::plan::{Action, Plan, Request, Step};
use crate::process::threads;
use crate::store::Root;
use crate::store::bundle::Bundle;
use crate::sync::drift::Drift;
use crate::sync::report::Report;
use crate::sync::{self, Depth, Parts, preview};

/// Arguments of `rootstock sync`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rootstock sync               build what is not optional and not built yet\n  \
                        rootstock sync mace          this environment or model, optional or not\n  \
                        rootstock sync --dry-run     what would be done, and why\n  \
                        rootstock sync --repair      read everything, repair what is damaged\n  \
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
    /// Change nothing: print what would be done, and why.
    #[arg(long)]
    dry_run: bool,
    /// Rebuild; an existing generation is replaced only if its files differ.
    #[arg(long)]
    force: bool,
    /// Read every byte of environments, store and weights first, and repair what is damaged.
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
    let chosen = manifest.environments_named(&arguments.names, arguments.all);
    let chosen = chosen.or_exit(Exit::Usage)?;
    let root = root::with_policy(shared, &manifest)?;
    root::apply_umask(&root);
    let only = (!arguments.names.is_empty()).then_some(&chosen[..]);
    let Current { lock, drifted } = match beside::current(&manifest, only) {
        Ok(current) => current,
        Err(beside::Error::Drifted(found)) => {
            let drift = Drift::new(&root, &manifest, found, &chosen, only.is_some());
            return report_drift(&drift, arguments.json);
        }
        Err(error) => return Err(error).or_exit(Exit::Usage),
    };
    let may_prefetch = manifest.environments.iter().filter(|e| e.prefetch);
    let may_prefetch: Vec<EnvironmentName> = may_prefetch
        .map(|environment| environment.name.clone())
        .filter(|name| chosen.contains(name))
        .collect();
    let request = Request {
        prefetch: &may_prefetch,
        target: root::target()?,
        environments: &chosen,
        drifted,
        force: arguments.force,
        cache: root.cache_elsewhere(),
        access: root.access(),
    };
    let (depth, parts) = (arguments.depth(), arguments.parts());
    let plan = sync::plan(&root, &lock, &request, depth, parts, &show::remark);
    let mut plan = plan.or_exit(Exit::Failed)?;
    let bundle = arguments.bundle.as_deref().map(open_bundle).transpose()?;
    let supply = context::supply(&manifest, bundle, arguments.offline);
    report_unknown(&sync::leave_out_unknown(&mut plan, &supply));
    if arguments.check || arguments.dry_run {
        return report_plan(&plan, &root, arguments);
    }
    let context = Context {
        link: match &arguments.link_mode {
            Some(mode) => mode.parse().expect("clap knows the modes"),
            None => root::link_mode(shared, &manifest)?,
        },
        ..context::build(shared, &manifest, &root, supply, arguments.jobs)
    };
    if plan.steps.iter().any(is_build) {
        context::warn_of_refused(&["git"]);
    }
    let is_nothing = plan.is_nothing();
    let work = || sync::carry_out(plan, &context, &context::variables());
    let outcome = if is_nothing {
        work()
    } else {
        let clean = "nothing half-made is left; downloads go on where they broke off";
        interrupt::minding(&root, clean, work)
    };
    let outcome = outcome.or_exit(Exit::Failed)?;
    sync::references::publish(&root, &manifest, &lock, &chosen).or_exit(Exit::Failed)?;
    super::doctor::warn_of_closed_interpreters(&root, &chosen);
    report(&outcome.report(&root, started.elapsed()), arguments.json)
}

/// Reports how it ended: for people the summary comes last.
fn report(report: &Report, as_json: bool) -> Result<Exit, Failure> {
    if as_json {
        show::report(report, true)?;
    }
    show::problems(&report.problems);
    if !as_json {
        show::report(report, false)?;
    }
    Ok(if report.problems.is_empty() {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

/// Explains why nothing was begun.
fn report_drift(drift: &Drift, as_json: bool) -> Result<Exit, Failure> {
    if as_json {
        show::report(drift, true)?;
    } else {
        show::remarks(drift.to_string().trim_end());
    }
    Ok(Exit::Drift)
}

/// Reports what would be done: `--check` and `--dry-run`.
fn report_plan(plan: &Plan, root: &Root, arguments: &Arguments) -> Result<Exit, Failure> {
    // A check starts no other program.
    let left = if arguments.dry_run && plan.steps.iter().any(is_build) {
        doctor::room(root, &context::search_path()).or_exit(Exit::Failed)?
    } else {
        Vec::new()
    };
    let preview = preview::preview(plan, root, left).or_exit(Exit::Failed)?;
    show::report(&preview, arguments.json)?;
    let differs = arguments.check && !plan.is_nothing();
    Ok(if differs { Exit::Drift } else { Exit::Ok })
}

fn is_build(step: &Step) -> bool {
    matches!(step.action, Action::Build { .. })
}

fn report_unknown(models: &[ModelId]) {
    if !models.is_empty() {
        let names: Vec<&str> = models.iter().map(ModelId::as_str).collect();
        show::remark(&format!(
            "`--offline` forbids to load models once to fetch what they need; not loaded: {}",
            names.join(", ")
        ));
    }
}

impl Arguments {
    /// How closely the root is read first. A plain sync does not read gigabytes of weights.
    fn depth(&self) -> Depth {
        if self.repair {
            Depth::Repair
        } else if self.check || self.force {
            Depth::Weights
        } else {
            Depth::Quick
        }
    }

    /// What was asked for with `--only`.
    fn parts(&self) -> Parts {
        let only = |part| self.only.contains(&part);
        match (only(Part::Envs), only(Part::Models)) {
            (true, false) => Parts::Environments,
            (false, true) => Parts::Models,
            (true, true) | (false, false) => Parts::All,
        }
    }
}

/// The bundle that was named.
fn open_bundle(path: &Path) -> Result<Bundle, Failure> {
    // An address of a file has no directory to start from.
    given::exists("bundle", path)?;
    let path = files::absolute(path).or_exit(Exit::Usage)?;
    Bundle::open(&path).or_exit(Exit::Usage)
}
