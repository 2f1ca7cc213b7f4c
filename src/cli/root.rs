//! The root that a command works on, and the environments that it is about.

use std::path::Path;

use super::exit::{Exit, Failure, OrExit};
use super::locate::{self, Origin};
use super::{Shared, context, show};
use crate::access::Access;
use crate::files::trust::{Exposed, Trust};
use crate::files::{self, link, ownership};
use crate::manifest::{self, Cluster, Manifest};
use crate::report::{listed, sentence};
use crate::runtime::Selected;
use crate::store::{Catalogue, Chosen, Policy, Root, inside, layout};
use crate::target::Target;

/// The root of this run: see [`locate`].
pub(super) fn named(shared: &Shared, manifest: &Manifest) -> Result<Root, Failure> {
    located(shared, manifest).map(|(root, _)| root)
}

/// The same, and from where it is known.
pub(super) fn located(shared: &Shared, manifest: &Manifest) -> Result<(Root, Origin), Failure> {
    let cluster = cluster(shared, manifest)?;
    let cache = cluster
        .as_ref()
        .and_then(|(cluster, _)| cluster.cache.as_deref());
    let of_manifest = || Origin::Manifest(manifest.path.clone());
    let (path, origin) = match (&shared.root, &cluster, &manifest.root) {
        (Some(path), ..) => (path, shared.root_origin()),
        (None, Some((cluster, origin)), _) => (&cluster.root, origin.clone()),
        (None, None, Some(root)) => (root, of_manifest()),
        (None, None, None) => return Err(no_root()),
    };
    Ok((at(path, cache)?, origin))
}

fn no_root() -> Failure {
    Failure::usage(
        "no root given",
        "name the directory of everything that is built: `--root DIR`, `ROOTSTOCK_ROOT`, `root = \"root\"` in the `[rootstock]` of \
         a manifest here or above, or a cluster in a configuration (`~/.config/rootstock/config.toml`)",
    )
}

/// The root of this run with its access policy: that of the cluster, of the manifest, or of the root itself. Refuses a root
/// that everyone can write in.
pub(super) fn with_policy(shared: &Shared, manifest: &Manifest) -> Result<Root, Failure> {
    let root = named(shared, manifest)?;
    check_who_writes(&root)?;
    let cluster = cluster(shared, manifest)?;
    let wanted = match cluster {
        Some((cluster, _)) => cluster.access,
        None => manifest.access.clone(),
    };
    let access = match wanted {
        Some(access) => Some(access),
        None => layout::access(&root).or_exit(Exit::Failed)?,
    };
    under(root, access)
}

/// The link mode of the cluster, or of the manifest.
pub(super) fn link_mode(shared: &Shared, manifest: &Manifest) -> Result<link::Mode, Failure> {
    let cluster = cluster(shared, manifest)?;
    let mode = cluster.and_then(|(cluster, _)| cluster.link_mode);
    Ok(mode.or(manifest.link_mode).unwrap_or_default())
}

/// An existing root with the policy that is recorded in it.
pub(super) fn with_own_policy(root: Root) -> Result<Root, Failure> {
    check_who_writes(&root)?;
    let access = layout::access(&root).or_exit(Exit::Failed)?;
    under(root, access)
}

/// Makes sure that a root can be written in: not everybody can write in it too, and its folders lead nowhere else.
fn check_who_writes(root: &Root) -> Result<(), Failure> {
    if ownership::is_open_to_all(root.path()) {
        let path = root.path().display();
        return Err(Failure::new(
            Exit::Failed,
            &format!("everyone can write in the root `{path}`, and so replace what runs from it"),
            Some(&format!(
                "check that everything in it is yours, then run `chmod o-w {}`",
                files::quoted(root.path())
            )),
        ));
    }
    layout::check_folders(root).or_exit(Exit::Failed)
}

pub(super) fn under(root: Root, access: Option<Access>) -> Result<Root, Failure> {
    let policy = access.map(Policy::of).transpose().or_exit(Exit::Usage)?;
    Ok(root.under(policy))
}

/// Sets the umask of this process to that of a root's policy, so that new files follow it.
pub(super) fn apply_umask(root: &Root) {
    if let Some(access) = root.access() {
        ownership::set_umask(access.umask());
    }
}

/// A root and its cache, as absolute paths: workers and commands may run in other directories.
fn at(path: &Path, cache: Option<&Path>) -> Result<Root, Failure> {
    let path = files::absolute(path).or_exit(Exit::Usage)?;
    let cache = cache.map(files::absolute).transpose();
    Ok(Root::at(&path, cache.or_exit(Exit::Usage)?.as_deref()))
}

/// The root of built environments. Of the manifest only the root is read, and only if nothing else names it: environments
/// run also without a manifest, or while it is being edited.
pub(super) fn built(shared: &Shared) -> Result<Root, Failure> {
    located_alone(shared).map(|(root, _)| root)
}

/// The same, and from where it is known.
pub(super) fn located_alone(shared: &Shared) -> Result<(Root, Origin), Failure> {
    let (cluster, origin) = place(shared)?;
    let Cluster {
        root: path, cache, ..
    } = cluster;
    let chosen = context::variable("ROOTSTOCK_GENERATION").unwrap_or_default();
    let chosen = Chosen::parse(&chosen.to_string_lossy()).or_exit(Exit::Usage)?;
    let root = at(&path, cache.as_deref())?.choosing(chosen);
    if cache.is_some() {
        return Ok((root, origin));
    }
    // `sync` has recorded the cache. A catalogue that cannot be read is reported where more of it is needed.
    let catalogue = Catalogue::read(&root.models()).ok().flatten();
    let root = match catalogue.and_then(|catalogue| catalogue.cache) {
        Some(cache) => root.with_cache(&cache),
        None => root,
    };
    Ok((root, origin))
}

/// Root and cache, from the first that names them.
fn place(shared: &Shared) -> Result<(Cluster, Origin), Failure> {
    if let Some(root) = &shared.root {
        let cluster = Cluster {
            root: root.clone(),
            cache: None,
            access: None,
            link_mode: None,
        };
        return Ok((cluster, shared.root_origin()));
    }
    let of_manifest = |name: Option<&str>| {
        if files::exists(&shared.manifest) {
            manifest::root(&shared.manifest, Path::new(""), name).or_exit(Exit::Usage)
        } else {
            Ok(None)
        }
    };
    if let Some(name) = &shared.cluster {
        let of_manifest = of_manifest(Some(name))?;
        return locate::cluster(shared, |_| of_manifest)?.ok_or_else(no_root);
    }
    if let Some(cluster) = of_manifest(None)? {
        return Ok((cluster, Origin::Manifest(shared.manifest.clone())));
    }
    locate::cluster_of_this_host()?.ok_or_else(no_root)
}

/// Warns before something runs from a root that everyone can write in.
pub(super) fn warn_of_open(root: &Root) {
    if ownership::is_open_to_all(root.path()) {
        show::remark(&format!(
            "warning: everyone can write in the root `{}`, and so replace what runs from it",
            root.path().display()
        ));
    }
}

/// Warns who is about to run an environment whose interpreter everybody can replace. Who owns it was decided by who built on it.
pub(super) fn warn_of_exposed_python(selected: &Selected) {
    // Of the root itself there is a warning already.
    let python = selected.generation.join(inside::PYTHON);
    let python = files::real_path(&python).unwrap_or(python);
    let what = format!("the Python of environment `{}`", selected.environment);
    warn_of_exposed(&what, &python);
}

/// Warns who is about to run what everybody can replace.
pub(super) fn warn_of_exposed(what: &str, path: &Path) {
    let trust = Trust::of(&context::kept_environment()).with_any_owner();
    if let Err(exposed @ Exposed::Writable { .. }) = trust.check(path) {
        show::remark(&format!(
            "warning: {what} can be replaced: {}",
            sentence(&exposed)
        ));
    }
}

/// The cluster that was asked for or, if nothing else names the root, that of this host.
fn cluster(shared: &Shared, manifest: &Manifest) -> Result<Option<(Cluster, Origin)>, Failure> {
    let of_manifest = |name: &str| {
        let mut known = manifest.clusters.iter();
        let found = known.find(|(known, _)| known.as_str() == name);
        found.map(|(_, cluster)| cluster.clone())
    };
    let named = locate::cluster(shared, of_manifest)?;
    if named.is_some() || shared.root.is_some() || manifest.root.is_some() {
        return Ok(named);
    }
    locate::cluster_of_this_host()
}

/// The name of this machine's target.
pub(super) fn target() -> Result<&'static str, Failure> {
    Target::here().map(|target| target.name()).ok_or_else(|| {
        Failure::usage(
            "rootstock does not know this machine type",
            &listed(
                "it knows",
                crate::target::NAMES.iter().map(ToString::to_string),
            ),
        )
    })
}
