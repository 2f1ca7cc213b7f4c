//! Which root a command works on, and which environments it is about.

use std::path::Path;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, show};
use crate::access::Access;
use crate::files::{self, link, standing};
use crate::manifest::{self, Cluster, Manifest};
use crate::name::EnvironmentName;
use crate::store::{Catalogue, Policy, Root, layout};
use crate::target::Target;

/// The root of this run: `--root` before `ROOTSTOCK_ROOT` before `--cluster` before the manifest's own.
pub(super) fn root(shared: &Shared, manifest: &Manifest) -> Result<Root, Failure> {
    let cluster = cluster(shared, manifest)?;
    let cache = cluster.and_then(|cluster| cluster.cache.as_deref());
    let path = shared
        .root
        .as_deref()
        .or(cluster.map(|cluster| cluster.root.as_path()))
        .or(manifest.root.as_deref());
    let Some(path) = path else {
        return Err(Failure::usage(
            "no root is named",
            "name the directory everything is built in with `--root DIR` or `ROOTSTOCK_ROOT`, or write `root = \"root\"` \
             into the manifest's `[rootstock]`",
        ));
    };
    at(path, cache)
}

/// The root of this run under its policy, for who writes in it: what the cluster says, or the manifest, or the root
/// itself. New files of this process follow it from here on.
pub(super) fn policed(shared: &Shared, manifest: &Manifest) -> Result<Root, Failure> {
    let root = root(shared, manifest)?;
    if standing::is_open_to_all(root.path()) {
        let path = root.path().display();
        return Err(Failure::new(
            Exit::Failed,
            &format!("everybody can write in the root `{path}`, and so decide what runs from it"),
            Some(&format!(
                "look whether everything in it is yours, then `chmod o-w {path}`"
            )),
        ));
    }
    let cluster = cluster(shared, manifest)?;
    let wanted = match cluster {
        Some(cluster) => cluster.access.clone(),
        None => manifest.access.clone(),
    };
    let access = match wanted {
        Some(access) => Some(access),
        None => layout::access(&root).or_exit(Exit::Failed)?,
    };
    under(root, access)
}

/// How files of the store are put into environments: what the cluster says, or the manifest.
pub(super) fn link_mode(shared: &Shared, manifest: &Manifest) -> Result<link::Mode, Failure> {
    let cluster = cluster(shared, manifest)?;
    let mode = cluster.and_then(|cluster| cluster.link_mode);
    Ok(mode.or(manifest.link_mode).unwrap_or_default())
}

/// A root that is there, under the policy it says it has, for who writes in it without a manifest.
pub(super) fn under_its_own_policy(root: Root) -> Result<Root, Failure> {
    let access = layout::access(&root).or_exit(Exit::Failed)?;
    under(root, access)
}

fn under(root: Root, access: Option<Access>) -> Result<Root, Failure> {
    let policy = access.map(Policy::of).transpose().or_exit(Exit::Usage)?;
    if let Some(policy) = &policy {
        standing::set_umask(policy.access().umask());
    }
    Ok(root.under(policy))
}

/// A root and its cache, from the top of the filesystem: workers and commands may run elsewhere.
fn at(path: &Path, cache: Option<&Path>) -> Result<Root, Failure> {
    let path = files::absolute(path).or_exit(Exit::Usage)?;
    let cache = cache.map(files::absolute).transpose();
    Ok(Root::at(&path, cache.or_exit(Exit::Usage)?.as_deref()))
}

/// Where the environments are. The manifest is asked last, and for nothing else: what is built runs also where
/// there is no manifest, or one that somebody is editing.
pub(super) fn built(shared: &Shared) -> Result<Root, Failure> {
    let found = match &shared.root {
        Some(path) => Some((path.clone(), None)),
        None if files::exists(&shared.manifest) => {
            manifest::root(&shared.manifest, Path::new(""), shared.cluster.as_deref())
                .or_exit(Exit::Usage)?
                .map(|cluster| (cluster.root, cluster.cache))
        }
        None => None,
    };
    let Some((path, cache)) = found else {
        return Err(Failure::usage(
            "nobody says where the environments are",
            "name the root with `--root DIR`, in ROOTSTOCK_ROOT, or in a `rootstock.toml` here",
        ));
    };
    let root = at(&path, cache.as_deref())?;
    if cache.is_some() {
        return Ok(root);
    }
    // `sync` has written down where the cache is. A catalogue that cannot be read is told by who needs more of it.
    let catalogue = Catalogue::read(&root.models()).ok().flatten();
    Ok(match catalogue.and_then(|catalogue| catalogue.cache) {
        Some(cache) => Root::at(root.path(), Some(&cache)),
        None => root,
    })
}

/// Warns who is about to run something from a root in which everybody can replace it.
pub(super) fn warn_of_open(root: &Root) {
    if standing::is_open_to_all(root.path()) {
        show::remark(&format!(
            "warning: everybody can write in the root `{}`, and so decide what runs from it",
            root.path().display()
        ));
    }
}

/// The cluster that was named, if one was.
fn cluster<'a>(shared: &Shared, manifest: &'a Manifest) -> Result<Option<&'a Cluster>, Failure> {
    let Some(name) = &shared.cluster else {
        return Ok(None);
    };
    let mut known = manifest.clusters.iter();
    let found = known.find(|(known, _)| known.as_str() == name);
    found.map(|(_, cluster)| Some(cluster)).ok_or_else(|| {
        let names = manifest.clusters.keys().map(ToString::to_string);
        Failure::usage(
            &format!("the manifest has no cluster `{name}`"),
            &show::listed("it has", names),
        )
    })
}

/// The name of the machine type we run on.
pub(super) fn target() -> Result<&'static str, Failure> {
    Target::here().map(|target| target.name()).ok_or_else(|| {
        Failure::usage(
            "rootstock does not know this machine type",
            &show::listed(
                "it knows",
                crate::target::NAMES.iter().map(ToString::to_string),
            ),
        )
    })
}

/// The environments that these names of environments and models stand for. Without names: all that are not optional,
/// or all.
pub(super) fn environments(
    names: &[String],
    all: bool,
    manifest: &Manifest,
) -> Result<Vec<EnvironmentName>, Failure> {
    if names.is_empty() {
        let chosen = manifest.environments.iter().filter(|e| all || !e.optional);
        return Ok(chosen.map(|e| e.name.clone()).collect());
    }
    let (mut chosen, mut unknown) = (Vec::new(), Vec::new());
    for name in names {
        let environments = manifest.environments.iter().map(|e| &e.name);
        let models = manifest.models.iter();
        let found = environments
            .map(|e| (e.as_str(), e))
            .chain(models.map(|m| (m.id.as_str(), &m.environment)))
            .find(|(known, _)| known == name);
        match found {
            Some((_, environment)) if chosen.contains(environment) => {}
            Some((_, environment)) => chosen.push(environment.clone()),
            None => unknown.push(format!("`{name}`")),
        }
    }
    if unknown.is_empty() {
        return Ok(chosen);
    }
    let environments = manifest.environments.iter().map(|e| e.name.to_string());
    let models = manifest.models.iter().map(|m| m.id.to_string());
    let help = format!(
        "{}\n{}",
        show::listed("environments:", environments),
        show::listed("models:", models)
    );
    let verb = if unknown.len() == 1 { "is" } else { "are" };
    let what = "neither an environment nor a model of the manifest";
    Err(Failure::usage(
        &format!("{} {verb} {what}", unknown.join(", ")),
        &help,
    ))
}
