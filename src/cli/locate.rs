//! Where this run works: the directory, the manifest and the root, from options, variables, the manifest and configurations.
//!
//! The manifest is that of `--manifest`, or the first `rootstock.toml` in this directory and those above it. The root is the
//! first of: `--root` · `ROOTSTOCK_ROOT` · the cluster of `--cluster`, or else of `ROOTSTOCK_CLUSTER` · the manifest's own · the
//! cluster in whose `hosts` this host is. A cluster by name is looked for in the manifest, then in the configurations:
//! `ROOTSTOCK_CONFIG`, the user's, the site's.

use std::fmt;
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, context, root, show};
use crate::files;
use crate::files::maker;
use crate::files::trust::Trust;
use crate::manifest::configuration::Configuration;
use crate::manifest::{Cluster, Manifest};
use crate::report::{listed, sentence};

/// The name of a manifest.
const MANIFEST: &str = "rootstock.toml";

/// The variable that names a configuration.
const CONFIGURATION: &str = "ROOTSTOCK_CONFIG";

/// The configuration of a site.
const OF_THE_SITE: &str = "/etc/rootstock/config.toml";

/// From where a root is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// `--root`, or its variable.
    Given(&'static str),
    /// The manifest.
    Manifest(PathBuf),
    /// A cluster of the manifest or of a configuration, by name.
    Cluster { name: String, file: PathBuf },
    /// A cluster of a configuration, by the name of this host.
    Host {
        name: String,
        file: PathBuf,
        host: String,
    },
}

impl Origin {
    /// The name of the cluster, if it is one.
    pub(super) fn cluster(&self) -> Option<&str> {
        match self {
            Origin::Given(_) | Origin::Manifest(_) => None,
            Origin::Cluster { name, .. } | Origin::Host { name, .. } => Some(name),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Given(how) => out.write_str(how),
            Origin::Manifest(file) => write!(out, "{}", file.display()),
            Origin::Cluster { name, file } => write!(out, "cluster {name} of {}", file.display()),
            Origin::Host { name, file, host } => {
                write!(out, "cluster {name} of {}, for host {host}", file.display())
            }
        }
    }
}

/// Goes to the directory of `-C`.
pub(super) fn enter(directory: &Path) -> Result<(), Failure> {
    std::env::set_current_dir(directory).map_err(|error| {
        Failure::usage(
            &format!(
                "cannot go to the directory `{}`: {error}",
                directory.display()
            ),
            "name an existing directory with `-C DIR`",
        )
    })
}

/// The manifest of this run, if none was named: the first in this directory and those above it. One that another user has put
/// above it is not used: it would decide what code runs.
pub(super) fn manifest() -> PathBuf {
    let here = PathBuf::from(MANIFEST);
    let Ok(directory) = files::absolute(Path::new(".")) else {
        return here;
    };
    if files::exists(&here) {
        return here;
    }
    let above = directory.ancestors().skip(1);
    let Some(found) = above
        .map(|above| above.join(MANIFEST))
        .find(|path| files::exists(path))
    else {
        return here;
    };
    match Trust::of(&context::kept_environment()).check(&found) {
        Ok(()) => found,
        Err(exposed) => {
            let help = format!(
                "name it with `--manifest {}` to use it",
                files::quoted(&found)
            );
            show::remark(&format!(
                "warning: the manifest `{}` is not used: {}; {help}",
                found.display(),
                sentence(&exposed)
            ));
            here
        }
    }
}

/// Prints which manifest and which root this run uses, and why.
pub(super) fn explain(shared: &Shared) {
    let manifest = shared.manifest.display();
    let is_there = if files::exists(&shared.manifest) {
        ""
    } else {
        " (not there)"
    };
    show::remark(&format!("manifest: {manifest}{is_there}"));
    match root::located_alone(shared) {
        Ok((root, origin)) => show::remark(&format!("root: {} ({origin})", root.path().display())),
        Err(failure) => show::remark(&format!("root: {}", failure.report)),
    }
}

/// The cluster that was asked for by name, with the file that it was found in.
pub(super) fn cluster(
    shared: &Shared,
    of_manifest: impl FnOnce(&str) -> Option<Cluster>,
) -> Result<Option<(Cluster, Origin)>, Failure> {
    let Some(name) = &shared.cluster else {
        return Ok(None);
    };
    let found = |cluster: Cluster, file: &Path| {
        let (name, file) = (name.clone(), file.to_owned());
        (cluster, Origin::Cluster { name, file })
    };
    if let Some(cluster) = of_manifest(name) {
        return Ok(Some(found(cluster, &shared.manifest)));
    }
    let configurations = configurations()?;
    for configuration in &configurations {
        if let Some(cluster) = configuration.named(name) {
            return Ok(Some(found(cluster.clone(), &configuration.path)));
        }
    }
    Err(unknown(name, shared, &configurations))
}

/// The cluster of a configuration that this host belongs to.
pub(super) fn cluster_of_this_host() -> Result<Option<(Cluster, Origin)>, Failure> {
    let host = maker::host();
    for configuration in configurations()? {
        match configuration.of_host(&host).as_slice() {
            [] => {}
            [(name, cluster)] => {
                let origin = Origin::Host {
                    name: name.to_string(),
                    file: configuration.path.clone(),
                    host,
                };
                return Ok(Some(((*cluster).clone(), origin)));
            }
            several => {
                let names = several.iter().map(|(name, _)| name.to_string());
                return Err(Failure::usage(
                    &format!(
                        "this host, `{host}`, belongs to several clusters of `{}`",
                        configuration.path.display()
                    ),
                    &listed("choose with `--cluster` or `ROOTSTOCK_CLUSTER`:", names),
                ));
            }
        }
    }
    Ok(None)
}

/// The configurations that are there: that of `ROOTSTOCK_CONFIG`, the user's, the site's.
fn configurations() -> Result<Vec<Configuration>, Failure> {
    let trust = Trust::of(&context::kept_environment());
    let mut all = Vec::new();
    if let Some(named) = context::variable(CONFIGURATION) {
        // Whose it is was decided by who set the variable, as with programs on PATH.
        all.push(read(Path::new(&named), &trust.clone().with_any_owner())?);
    }
    for path in [user_configuration(), Some(PathBuf::from(OF_THE_SITE))] {
        if let Some(path) = path.filter(|path| files::exists(path)) {
            all.push(read(&path, &trust)?);
        }
    }
    Ok(all)
}

fn user_configuration() -> Option<PathBuf> {
    let directory = context::variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(context::variable("HOME")?).join(".config"));
    let directory = directory.filter(|path| path.is_absolute()).or_else(home)?;
    Some(directory.join("rootstock/config.toml"))
}

/// A configuration decides which root code runs from: one that others can change is not read.
fn read(path: &Path, trust: &Trust) -> Result<Configuration, Failure> {
    if !files::exists(path) {
        return Err(Failure::usage(
            &format!("there is no configuration `{}`", path.display()),
            &format!("correct the path in {CONFIGURATION}, or unset it"),
        ));
    }
    trust.check(path).map_err(|exposed| {
        let message = format!(
            "the configuration `{}` is not read, because it decides which code runs: {exposed}",
            path.display()
        );
        let help = crate::report::help(&exposed);
        Failure::new(Exit::Usage, &message, help.as_deref())
    })?;
    Configuration::read(path).or_exit(Exit::Usage)
}

fn unknown(name: &str, shared: &Shared, configurations: &[Configuration]) -> Failure {
    let manifest = Manifest::load(&shared.manifest, Path::new("")).ok();
    let of_manifest = manifest
        .iter()
        .flat_map(|manifest| manifest.clusters.keys());
    let others = configurations.iter().flat_map(|one| one.clusters.keys());
    let mut names: Vec<String> = of_manifest.chain(others).map(ToString::to_string).collect();
    names.sort();
    names.dedup();
    let places = if configurations.is_empty() {
        "the manifest has no cluster"
    } else {
        "neither the manifest nor a configuration has a cluster"
    };
    Failure::usage(
        &format!("{places} `{name}`"),
        &listed("there are:", names.into_iter()),
    )
}
