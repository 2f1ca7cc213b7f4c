//! What the user asked for: `rootstock.toml` and the environment sources it names, as checked values.
//!
//! Everything wrong with them is reported at once ([`Complaints`]). Nothing here resolves, builds or runs anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::PackageName;

use crate::about::About;
use crate::access::Access;
use crate::digest::Digest;
use crate::files;
use crate::files::link;
use crate::name::{ClusterName, EnvironmentName, IndexName, ModelId};
use crate::target::Target;

mod about;
mod also_python;
mod bytecode;
mod check;
mod complaint;
pub(crate) mod configuration;
mod environment;
mod fragment;
mod general;
mod functions;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod local;
mod model;
mod named;
mod place;
mod reader;
mod reference;
mod runtime;
mod script;
mod syntax;
mod value;

pub use bytecode::Bytecode;
pub use complaint::{Complaint, Complaints};
pub(crate) use complaint::{Excerpt, Text, excerpt, nearest, nearest_path, path_advice};
pub use fragment::Fragment;
pub use named::UnknownNames;
pub use place::place;
pub(crate) use reader::{Placed, Section};
pub(crate) use reference::is_archive;
pub use reference::{Reference, Requirement};
pub use runtime::Install;
pub(crate) use script::block as script_block;
pub use value::{NotKept, cannot_be_kept};
pub(crate) use value::{moment, package, reference};

/// A checked manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The path of the file.
    pub path: PathBuf,
    /// The root it names, made absolute against the file's directory.
    pub root: Option<PathBuf>,
    /// What the lock must cover, sorted by name.
    pub targets: Vec<Target>,
    /// Nothing uploaded after this time is considered.
    pub exclude_newer: Option<String>,
    /// Roots of clusters.
    pub clusters: BTreeMap<ClusterName, Cluster>,
    /// Who may use what is built, where a cluster does not say it.
    pub access: Option<Access>,
    /// How files of the store are put into environments, where a cluster does not say it.
    pub link_mode: Option<link::Mode>,
    /// Where archives with managed interpreters are mirrored: an address or a directory.
    pub python_mirror: Option<String>,
    /// Whether `rootstock run` builds what it needs.
    pub install: Install,
    /// The indexes that packages can be routed to.
    pub indexes: BTreeMap<IndexName, Index>,
    /// Environments, sorted by name; those of `also-python` stand for themselves, as `mace@3.12`.
    pub environments: Vec<Environment>,
    /// Models, sorted by id.
    pub models: Vec<Model>,
}

/// Where a cluster keeps what is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its root.
    pub root: PathBuf,
    /// Its cache, if not below the root.
    pub cache: Option<PathBuf>,
    /// Who may use what is built there.
    pub access: Option<Access>,
    /// How files of the store are put into environments there.
    pub link_mode: Option<link::Mode>,
}

/// Where an interpreter comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PythonSource {
    /// Rootstock fetches it: the same bytes everywhere.
    Managed,
    /// It is one of the machine's own.
    System,
}

impl PythonSource {
    /// The word for it in manifest and lock.
    pub fn as_str(self) -> &'static str {
        match self {
            PythonSource::Managed => "managed",
            PythonSource::System => "system",
        }
    }
}

/// Where packages come from that are routed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its address.
    pub url: String,
    /// A page or a directory with links to files, not an index with its simple API (PEP 503).
    pub links: bool,
    /// Its own cut-off in place of the manifest's.
    pub exclude_newer: Option<ExcludeNewer>,
}

/// The cut-off of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExcludeNewer {
    /// None: an index that gives no upload times cannot have one.
    Off,
    /// A moment.
    Moment(String),
}

impl std::fmt::Display for ExcludeNewer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            ExcludeNewer::Off => "false",
            ExcludeNewer::Moment(moment) => moment,
        })
    }
}

/// An environment as asked for.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// Its source file, relative to the manifest, with `/`.
    pub source: String,
    /// Digest of the source file.
    pub sha256: Digest,
    /// The Python version asked for: `3.11` or `3.11.7`.
    pub python: Option<Version>,
    /// Where its interpreter comes from.
    pub python_source: PythonSource,
    /// The Python versions that the source supports.
    pub requires_python: Option<VersionSpecifiers>,
    /// The dependencies of source and manifest together.
    pub dependencies: Vec<Requirement>,
    /// What the dependencies name beside the manifest, by its path in normal form.
    pub local: BTreeMap<String, Local>,
    /// Bounds on packages that something else asks for.
    pub constraints: Vec<Requirement>,
    /// Bounds on packages that building source distributions takes.
    pub build_constraints: Vec<Requirement>,
    /// By package, requirements of its build beside those it declares.
    pub build_dependencies: BTreeMap<PackageName, Vec<Requirement>>,
    /// Requirements that replace those of the packages.
    pub overrides: Vec<Requirement>,
    /// Never installed.
    pub exclude: BTreeSet<PackageName>,
    /// Nothing uploaded after this time is considered: its own cut-off, or the manifest's.
    pub exclude_newer: Option<String>,
    /// Packages that come from an index of their own, wherever they appear, and nothing else from there.
    pub indexes: BTreeMap<PackageName, IndexName>,
    /// Source distributions that may be built.
    pub sdists: BTreeSet<PackageName>,
    /// Variables its workers run with.
    pub variables: BTreeMap<String, String>,
    /// Variables they inherit beside the usual ones: names, or beginnings of names with a `*` behind them.
    pub keep: BTreeSet<String>,
    /// Built only when named or with `--all`.
    pub optional: bool,
    /// Whether `sync` may call `setup()` of its models to have them fetch what they need.
    pub prefetch: bool,
    /// Which modules of its packages are compiled when it is built.
    pub bytecode: Bytecode,
    /// Functions and classes that `rootstock call` is meant for, `MODULE:NAME`.
    pub functions: BTreeSet<String>,
    /// What its models are for, where they do not declare it themselves.
    pub about: About,
}

/// A wheel, a source distribution or a project's directory beside the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Digest of the file, or of the archive that the directory is packed to.
    pub sha256: Digest,
    /// How many bytes that has.
    pub size: u64,
    /// Whether it is a directory.
    pub directory: bool,
}

/// A model as asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What users type.
    pub id: ModelId,
    /// The environment it runs in.
    pub environment: EnvironmentName,
    /// The argument of `setup`.
    pub argument: String,
    /// Extra keyword arguments of `setup`.
    pub setup: serde_json::Map<String, serde_json::Value>,
    /// Files it needs in the cache.
    pub weights: Vec<Weight>,
    /// What it is for.
    pub about: About,
    /// The file with its recorded numbers.
    pub reference: Option<RecordedNumbers>,
}

/// A file with numbers that a model has computed once, for others to compare theirs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedNumbers {
    /// Its path relative to the manifest, with `/`.
    pub path: String,
    /// The digest of its bytes; `None` if there is no such file yet.
    pub sha256: Option<Digest>,
}

/// A weight file as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// Where it is: an address, or a file of the hub (`hf://`).
    pub url: String,
    /// Where it goes below the cache, with `/`; a file of the hub goes to where its library looks if `None`.
    pub path: Option<String>,
    /// Its digest, if the manifest has it.
    pub sha256: Option<Digest>,
    /// Its size in bytes, if the manifest has it.
    pub size: Option<u64>,
}

/// The manifest cannot be used.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// It is not there.
    #[error("there is no manifest `{}`", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// Advice, as a sentence.
        #[help]
        advice: String,
    },
    /// It cannot be read.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// Something is wrong with it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Complaints(#[from] Complaints),
}

impl Manifest {
    /// Reads and checks the manifest and the sources it names. `directory` is where relative paths start if `path`
    /// itself is relative.
    pub fn load(path: &Path, directory: &Path) -> Result<Self, Error> {
        let text = read(path)?;
        let here = directory.join(path.parent().unwrap_or(Path::new("")));
        Ok(check::manifest(path, &here, text)?)
    }

    /// Checks a text that is to become the manifest at this path, with the sources that are there now.
    pub(crate) fn check(path: &Path, text: String) -> Result<Self, Complaints> {
        check::manifest(path, path.parent().unwrap_or(Path::new("")), text)
    }

    /// The environment of this name.
    pub fn environment(&self, name: &EnvironmentName) -> Option<&Environment> {
        self.environments.iter().find(|e| e.name == *name)
    }
}

/// The root (and cache) that a manifest names, or those of one of its clusters, without looking at anything else in it:
/// workers and `status` may be used beside a manifest that is being edited.
pub fn root(
    path: &Path,
    directory: &Path,
    cluster: Option<&str>,
) -> Result<Option<Cluster>, Error> {
    let text = read(path)?;
    let here = directory.join(path.parent().unwrap_or(Path::new("")));
    Ok(check::root(path, &here, text, cluster)?)
}

/// What `install` of `[runtime]` says, if it says something, without looking at anything else in the manifest.
pub(crate) fn install(path: &Path) -> Result<Option<Install>, Error> {
    Ok(runtime::install(path, read(path)?)?)
}

fn read(path: &Path) -> Result<String, Error> {
    let here = path.parent().unwrap_or(Path::new(""));
    let name = Path::new(path.file_name().unwrap_or_default());
    files::read_text_of_project(here, name).map_err(|error| {
        if error.is_missing() {
            let near = nearest_path(Path::new(""), path);
            Error::Missing {
                path: path.to_owned(),
                advice: near.map_or_else(
                    || {
                        "run rootstock in the directory of your `rootstock.toml`, or name the file with `--manifest FILE`"
                            .to_owned()
                    },
                    |near| format!("did you mean `--manifest {near}`?"),
                ),
            }
        } else {
            error.into()
        }
    })
}

/// Whether a Python version, exact or a series such as `3.11`, has a release that the specifiers allow.
pub(crate) fn python_allows(specifiers: &VersionSpecifiers, version: &Version) -> bool {
    if version.release().len() >= 3 {
        return specifiers.contains(version);
    }
    patches(Some(specifiers), version).next().is_some()
}

/// The versions of a series, such as 3.11, that the specifiers allow, lowest first.
pub(crate) fn patches(
    specifiers: Option<&VersionSpecifiers>,
    series: &Version,
) -> impl Iterator<Item = Version> {
    let exact = move |patch| {
        let mut release = series.release().to_vec();
        release.push(patch);
        Version::new(release)
    };
    // No series of CPython has had, or will have, more releases than this.
    let all = (0..100).map(exact);
    all.filter(move |version| specifiers.is_none_or(|specifiers| specifiers.contains(version)))
}

/// A requirement in normal form: two spellings of one requirement have one text.
pub(crate) fn normal_form(requirement: &Requirement) -> String {
    let mut requirement = requirement.clone();
    requirement.extras.sort();
    requirement.extras.dedup();
    if let Some(pep508_rs::VersionOrUrl::VersionSpecifier(specifiers)) = &requirement.version_or_url
    {
        let mut sorted: Vec<_> = specifiers.iter().cloned().collect();
        sorted.sort_by_key(ToString::to_string);
        sorted.dedup();
        requirement.version_or_url = Some(pep508_rs::VersionOrUrl::VersionSpecifier(
            sorted.into_iter().collect(),
        ));
    }
    requirement.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_allowed_if_one_of_its_releases_is() {
        let allows = |s: &str, v: &str| python_allows(&s.parse().unwrap(), &v.parse().unwrap());
        assert!(
            allows(">=3.11", "3.11") && allows(">=3.11.5", "3.11") && allows("==3.11.*", "3.11")
        );
        assert!(
            !allows(">=3.12", "3.11") && !allows("<3.11", "3.11") && !allows(">=3.11.5", "3.11.4")
        );
    }

    #[test]
    fn spelling_is_no_difference() {
        let normal = |text: &str| normal_form(&text.parse().unwrap());
        assert_eq!(
            normal("Foo_Bar [b,a] < 2 , >=1.0"),
            normal("foo-bar[a,b]>=1.0,<2")
        );
        assert_ne!(normal("foo>=1.0"), normal("foo>=1.1"));
    }
}
