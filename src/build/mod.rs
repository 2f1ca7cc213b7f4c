//! Carrying out a plan: wheels are unpacked into the store, environments are linked together from there,
//! published by a rename and pointed to by a link. What is to be done is not decided here.
//!
//! ```text
//! plan ──▶ interpreters ──▶ gather: each file once ──▶ for each environment: assemble ──▶ publish ──▶ flip
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::Digest;
use crate::files::{self, link};
use crate::name::EnvironmentName;
use crate::plan::{Action, Plan, Step};
use crate::report::Problem;
use crate::store::{Root, layout, unfinished};
use crate::uv::{self, Uv};

pub(crate) mod assemble;
pub(crate) mod bundle;
pub(crate) mod bytecode;
pub(crate) mod choose;
mod downloads;
mod environment;
pub(crate) mod estimate;
mod gather;
pub mod progress;
pub(crate) mod publish;
pub(crate) mod pythons;
pub(crate) mod record;
pub(crate) mod sdist;
mod requires;
mod source;
pub mod supply;
mod together;
pub(crate) mod waiting;
pub(crate) mod weights;
mod workers;

use crate::process::threads::NoThread;
pub use environment::{Built, Error as EnvironmentError};
use gather::TAKEN_AWAY;
pub use gather::{Error as PackageError, Failure as PackageFailure};
use progress::Progress;
use supply::Supply;

/// What carrying out a plan needs.
pub struct Context<'a> {
    /// The root to change.
    pub root: &'a Root,
    /// Where files come from that the root lacks.
    pub supply: Supply,
    /// The manifest's directory, where locked paths start.
    pub project: &'a Path,
    /// Where to look for interpreters and programs.
    pub path: OsString,
    /// The environment of the programs that are started.
    pub variables: BTreeMap<OsString, OsString>,
    /// Finds uv; called only if addresses of files have to be asked for.
    pub uv: Box<dyn Fn() -> Result<Uv, uv::Error> + Sync + 'a>,
    /// How files of the store are put into environments.
    pub link: link::Mode,
    /// How many threads unpack, check and link.
    pub jobs: usize,
    /// Is called with every event.
    pub progress: Box<dyn Progress>,
}

/// How one environment ended.
#[derive(Debug)]
pub struct Outcome {
    /// The environment's name.
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
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// No interpreter fits, or the machine is too old for one.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Interpreter(#[from] choose::Error),
    /// Its managed interpreter cannot be had.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Python(Arc<pythons::Error>),
    /// Some of its packages could not be prepared.
    #[error("{} of its packages could not be prepared", .0.len())]
    Packages(Vec<PackageFailure>),
    /// Its source file is not the locked one.
    #[error("`{0}` has changed while it was being built")]
    #[diagnostic(help("run `rootstock lock`, then `rootstock sync`"))]
    SourceChanged(String),
    /// Its source file does not compile.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Source(#[from] source::Error),
    /// It lacks what a package needs on this machine.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Requires(#[from] requires::Error),
    /// It could not be linked together or published.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Environment(#[from] EnvironmentError),
    /// Something was removed while it was used, again and again.
    #[error("`{}` was taken away while it was needed", .0.display())]
    #[diagnostic(help("{TAKEN_AWAY}"))]
    TakenAway(PathBuf),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

impl Error {
    /// Each cause by itself.
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Error::Packages(failures) => failures.iter().map(|e| Problem::from(&**e)).collect(),
            error => vec![Problem::from(error)],
        }
    }

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
    /// Not even one thread can be started.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Threads(#[from] NoThread),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// Carries out a plan. Environments fail one by one; their outcomes are in the order of the plan.
pub fn carry_out(plan: &Plan, context: &Context) -> Result<Vec<Outcome>, RootError> {
    if !plan.is_nothing() {
        layout::create(context.root)?;
        unfinished::sweep(context.root);
    }
    let switched: Vec<Result<Switched, Error>> = plan
        .steps
        .iter()
        .map(|step| Ok(switch(step, context.root)?))
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
        together::build_all(&builds, context)?
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

/// Writes what a plan changes of the small files: what each model id context, and what the hub's revisions mean.
pub fn write_small_files(plan: &Plan, root: &Root) -> files::Result<()> {
    for (path, commit) in &plan.references {
        let path = crate::store::weights::destination(root, path)?;
        files::write_atomically(&path, commit.as_bytes())?;
    }
    if let Some(catalogue) = &plan.catalogue {
        publish::retire_dropped(root, catalogue)?;
        // No rename replaces a directory.
        if files::is_really_directory(&root.models()) {
            crate::store::trash::discard(root, &root.models(), "models")?;
        }
        files::write_atomically(&root.models(), catalogue.text().as_bytes())?;
    }
    Ok(())
}

/// Looks again at what was kept, once the catalogue names it: `gc` may have taken away what the one before did not have.
pub fn look_again(outcomes: &mut [Outcome], root: &Root) {
    for outcome in outcomes {
        if let Ok(Done::Kept { id }) = &outcome.result {
            let path = root.generation(&outcome.environment, id);
            if !files::exists(&path) {
                outcome.result = Err(Error::TakenAway(path));
            }
        }
    }
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

/// How many files a plan would download, and how many bytes they have as far as the lock has it.
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
