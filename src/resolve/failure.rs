//! Why something cannot be locked, and the advice for it.

use miette::Diagnostic;
use pep440_rs::Version;

use super::BuildError;
use crate::digest::{Digest, Mismatch};
use crate::fetch;
use crate::lock::drift::Subject;
use crate::name::{EnvironmentName, ModelId};
use crate::target::Target;

/// Why an environment has no answer.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Failure {
    /// The requirements contradict each other.
    #[error(
        "environment `{environment}` has no solution for {target} with Python {python}:\n{why}"
    )]
    #[diagnostic(help(
        "change its requirements, in `{source_path}` or in the manifest, so that one version of each package fits all"
    ))]
    Unsatisfiable {
        /// The environment's name.
        environment: EnvironmentName,
        /// For which machine.
        target: Target,
        /// For which Python.
        python: Version,
        /// The environment's source file.
        source_path: String,
        /// The resolver's explanation.
        why: String,
    },
    /// The resolver could not work.
    #[error("environment `{environment}` could not be resolved:\n{why}")]
    Resolver {
        /// The environment's name.
        environment: EnvironmentName,
        /// Its message.
        why: String,
        /// Advice, as a sentence.
        #[help]
        advice: Option<String>,
    },
    /// No interpreter of this machine is allowed by `requires-python`.
    #[error(
        "no Python on PATH satisfies `requires-python = \"{wanted}\"` of environment `{environment}`\n{found}"
    )]
    #[diagnostic(help(
        "put one on PATH, or say which version to lock with `python = \"3.11\"` in the manifest"
    ))]
    NoPython {
        /// The environment's name.
        environment: EnvironmentName,
        /// What it requires.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// No managed interpreter is of the version asked for.
    #[error(
        "there is no managed CPython {wanted} for {target}, which environment `{environment}` asks for; {has}"
    )]
    #[diagnostic(help(
        "ask for one of these (`python = \"3.11\"`), or use the machine's own with `python-source = \"system\"`"
    ))]
    NoBuild {
        /// The environment's name.
        environment: EnvironmentName,
        /// What it asks for.
        wanted: String,
        /// For which machine.
        target: Target,
        /// What there is.
        has: String,
    },
    /// The digest of an archive with a managed interpreter cannot be had.
    #[error(
        "the interpreter of environment `{environment}` cannot be locked: no server gives the sha256 of `{url}`\n{reason}"
    )]
    #[diagnostic(help(
        "a site without access names a mirror of such archives in `python-mirror` or ROOTSTOCK_PYTHON_MIRROR, or uses \
         the machine's own interpreter with `python-source = \"system\"`"
    ))]
    Archive {
        /// The environment's name.
        environment: EnvironmentName,
        /// The archive.
        url: String,
        /// The reason, as a part of a sentence.
        reason: String,
    },
    /// Packages of which no file may be installed.
    #[error(
        "environment `{environment}` needs what cannot be installed on {target} with Python {python}:\n{list}"
    )]
    #[diagnostic(help("{advice}"))]
    NoFile {
        /// The environment's name.
        environment: EnvironmentName,
        /// For which machine.
        target: Target,
        /// For which Python.
        python: Version,
        /// Each package and why.
        list: String,
        /// The line to add to the manifest.
        advice: String,
    },
    /// A weight file that cannot be had.
    #[error("the weights of model `{model}` cannot be locked: {reason}")]
    #[diagnostic(help(
        "write its `sha256` (and the commit, if it is a file of the hub) into the manifest, and it need not be reached to be \
         locked"
    ))]
    Weights {
        /// The model.
        model: ModelId,
        /// The reason, as a part of a sentence.
        reason: String,
    },
    /// The build requirements of a package cannot be found out.
    #[error(
        "environment `{environment}`: the build requirements of `{package}` cannot be locked: {why}"
    )]
    Build {
        /// The environment's name.
        environment: EnvironmentName,
        /// The package.
        package: String,
        /// The cause.
        why: Box<BuildError>,
        /// Advice, as a sentence.
        #[help]
        advice: Option<String>,
    },
    /// A file has another digest than the one that was given of it.
    #[error("environment `{environment}`: `{file}` {why}")]
    #[diagnostic(help(
        "nothing of it was locked: find out why the file differs; if it is the one you want, write its own digest"
    ))]
    Checksum {
        /// The environment's name.
        environment: EnvironmentName,
        /// The file's address.
        file: String,
        /// The two digests.
        why: Mismatch,
    },
    /// A file that is locked has changed where it comes from.
    #[error("environment `{environment}`: {change}")]
    #[diagnostic(help(
        "a published file keeps its bytes: find out why this one has others; to lock it as it is now: \
         `rootstock lock --upgrade={}`", change.package
    ))]
    Changed {
        /// The environment's name.
        environment: EnvironmentName,
        /// The file, before and after.
        change: Box<Change>,
    },
    /// The digest of a file must be learnt from its bytes, which cannot be had.
    #[error(
        "environment `{environment}`: `{file}` cannot be downloaded to learn its sha256: {why}"
    )]
    Learn {
        /// The environment's name.
        environment: EnvironmentName,
        /// The file's name.
        file: String,
        /// The reason, as a part of a sentence.
        why: String,
        /// Advice, as a sentence.
        #[help]
        advice: Option<String>,
    },
    /// uv must build a package to read its metadata, and that takes a package of a named index, which cannot be had.
    #[error(
        "environment `{environment}`: reading the metadata of a package needs a build with `{package}` of index `{index}`, \
         which cannot be had from there: {reason}"
    )]
    #[diagnostic(help(
        "it is taken from no other index; a wheel of it for this machine must be on that index, within \
         `build-constraints` and `build-dependencies`"
    ))]
    BuildIndex {
        /// The environment's name.
        environment: EnvironmentName,
        /// The package of the named index.
        package: pep508_rs::PackageName,
        /// The index.
        index: crate::name::IndexName,
        /// The reason, as a part of a sentence.
        reason: String,
    },
    /// A repository cannot be had.
    #[error("environment `{environment}`: `{package}` cannot be locked: {why}")]
    Repository {
        /// The environment's name.
        environment: EnvironmentName,
        /// The package.
        package: String,
        /// The cause.
        why: Box<crate::project::git::Error>,
        /// Advice, as a sentence.
        #[help]
        advice: Option<String>,
    },
    /// A system's interpreter is asked for by its series, and not every one of that gets the same.
    #[error(
        "environment `{environment}` is asked for on Python {series}, but what it needs depends on the patch version: \
         {first}; {other}"
    )]
    #[diagnostic(help(
        "write the version of the interpreter it is to run on, `python = \"{exact}\"`, under [environments.{environment}]; \
         or narrow `requires-python` in `{source_path}` to versions that agree"
    ))]
    Patch {
        /// The environment's name.
        environment: EnvironmentName,
        /// What is asked for.
        series: Version,
        /// What one version gets.
        first: String,
        /// What another one gets instead.
        other: String,
        /// The version of this machine, or one that has a solution.
        exact: Version,
        /// The environment's source file.
        source_path: String,
    },
    /// Whether a package is needed depends on the kernel, which no lock states.
    #[error(
        "environment `{environment}`: whether `{package}` is needed depends on the machine's kernel: {marker}"
    )]
    #[diagnostic(help(
        "decide it for all machines, under [environments.{environment}]: `overrides = [\"{package}\"]` to have it, \
         `exclude = [\"{package}\"]` not to; a dependency of your own you can write without that marker"
    ))]
    Kernel {
        /// The environment's name.
        environment: EnvironmentName,
        /// The package.
        package: String,
        /// The marker.
        marker: String,
    },
    /// An index does not say what files of a package are yanked.
    #[error(
        "environment `{environment}`: it cannot be known which files of `{package}` are yanked: {reason}"
    )]
    #[diagnostic(help(
        "the page of the package index with the package's files must be reachable from here"
    ))]
    Listing {
        /// The environment's name.
        environment: EnvironmentName,
        /// The package.
        package: String,
        /// The reason, as a part of a sentence.
        reason: String,
    },
    /// An answer that makes no sense.
    #[error("environment `{environment}`: {reason}")]
    Answer {
        /// The environment's name.
        environment: EnvironmentName,
        /// What is wrong with it.
        reason: String,
    },
}

/// A file with other bytes than those that are locked.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` ({origin}) has changed: its sha256 is {now}, and {locked} is locked")]
pub struct Change {
    /// Its package.
    pub package: pep508_rs::PackageName,
    /// Its name.
    pub file: String,
    /// Where it comes from.
    pub origin: crate::lock::Origin,
    /// The digest that is locked.
    pub locked: Digest,
    /// The digest it has.
    pub now: Digest,
}

/// Nothing could be decided.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// There is no resolver.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Uv(#[from] crate::uv::Error),
    /// There is no place to work in, or no way to download.
    #[error(transparent)]
    Files(#[from] crate::files::Error),
    /// There is no way to download.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
}

impl Failure {
    /// Whether another Python may have a solution where this one has none.
    pub(super) fn is_no_solution(&self) -> bool {
        matches!(self, Failure::Unsatisfiable { .. } | Failure::NoFile { .. })
    }

    /// The environment or the model that cannot be locked.
    pub fn subject(&self) -> Subject {
        match self {
            Failure::Unsatisfiable { environment, .. }
            | Failure::Resolver { environment, .. }
            | Failure::NoPython { environment, .. }
            | Failure::NoBuild { environment, .. }
            | Failure::Archive { environment, .. }
            | Failure::NoFile { environment, .. }
            | Failure::Build { environment, .. }
            | Failure::Repository { environment, .. }
            | Failure::BuildIndex { environment, .. }
            | Failure::Listing { environment, .. }
            | Failure::Patch { environment, .. }
            | Failure::Kernel { environment, .. }
            | Failure::Checksum { environment, .. }
            | Failure::Changed { environment, .. }
            | Failure::Learn { environment, .. }
            | Failure::Answer { environment, .. } => Subject::Environment(environment.clone()),
            Failure::Weights { model, .. } => Subject::Model(model.clone()),
        }
    }
}

/// What could not be locked, as one error.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{} could not be locked", count(.failures))]
pub struct Failures {
    /// Each of them.
    #[related]
    pub failures: Vec<Failure>,
}

/// `one environment`, `2 environments and one model`.
fn count(failures: &[Failure]) -> String {
    let is_model = |failure: &&Failure| matches!(failure, Failure::Weights { .. });
    let models = failures.iter().filter(is_model).count();
    let counted = |number: usize, what: &str| match number {
        0 => None,
        1 => Some(format!("one {what}")),
        n => Some(format!("{n} {what}s")),
    };
    let environments = counted(failures.len() - models, "environment");
    let both = [environments, counted(models, "model")];
    both.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}
