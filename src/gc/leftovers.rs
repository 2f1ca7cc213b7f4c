//! What nobody works on any more: staging and links of makers that are gone, downloads that broke off, the trash, managed
//! interpreters that no environment stands on.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::needs::Needs;
use super::{Item, Kind, LABEL, Looking, Survey, Why, generations};
use crate::files::{self, maker, times};
use crate::store::{Catalogue, Root, claims, trash};

/// What another host, or a container, is making cannot be seen to be abandoned. No build takes so long.
const BUILD: Duration = Duration::from_secs(48 * 3_600);

/// Whether something unfinished is abandoned: its maker is gone or, where that cannot be told, nobody has touched it for
/// long. A download that broke off is of use to the next sync, so it always waits for its time.
pub(super) fn abandoned(
    looking: &Looking,
    kind: Kind,
    path: &Path,
    maker: &str,
) -> files::Result<bool> {
    let is_gone = maker::is_gone(maker);
    if is_gone && kind != Kind::Part {
        return Ok(true);
    }
    if !is_gone && maker::is_here(maker) {
        return Ok(false);
    }
    let since = match times::changed(path) {
        Ok(since) => since,
        // Its maker was faster.
        Err(error) if error.is_missing() => return Ok(false),
        Err(error) => return Err(error),
    };
    // A part that was given up has no maker.
    let seen = is_gone || (kind == Kind::Part && maker.is_empty());
    let age = looking.now.duration_since(since).unwrap_or_default();
    Ok(looking.is_recent(since).is_none() && (seen || age >= BUILD))
}

/// Managed interpreters that nothing stands on.
pub(super) fn pythons(looking: &Looking, needs: &Needs, survey: &mut Survey) -> files::Result<()> {
    let pythons = looking.root.pythons();
    for name in files::names(&pythons)? {
        let path = pythons.join(&name);
        if name.starts_with('.') {
            hidden(looking, survey, path, &name)?;
            continue;
        }
        if needs.python(&name) {
            continue;
        }
        let kind = Kind::Python;
        let unknown = needs.unknown.clone().map(Why::Unknown);
        let since = times::changed(&path)?;
        let why = unknown.or_else(|| looking.spares(&path, since));
        survey.settle(Item { kind, name, path }, why);
    }
    Ok(())
}

/// Staging, links that were not renamed, parts of weights, the trash.
pub(super) fn survey(looking: &Looking, survey: &mut Survey) -> files::Result<()> {
    let root = looking.root;
    for environment in generations::environments(root)? {
        let directory = root.generations(&environment);
        for name in files::names(&directory)? {
            let path = directory.join(&name);
            let of = name.strip_prefix(".retired-");
            if name.starts_with('.') && !of.is_some_and(|id| files::exists(&directory.join(id))) {
                hidden(looking, survey, path, &name)?;
            }
        }
    }
    for directory in ["", "claims", "envs", "generations", "pins", "prefetched"] {
        let directory = root.path().join(directory);
        for name in files::names(&directory)? {
            if name.starts_with('.') {
                hidden(looking, survey, directory.join(&name), &name)?;
            }
        }
    }
    claims(looking, survey)?;
    parts_of_weights(looking, survey)?;
    for name in files::names(&root.trash())? {
        discarded(looking, survey, root.trash().join(&name), &name)?;
    }
    Ok(())
}

/// Everything unfinished that bears this name.
pub(super) fn made_by(root: &Root, maker: &str) -> files::Result<Vec<PathBuf>> {
    let (generations, store) = (root.path().join("generations"), root.store());
    let mut directories: Vec<PathBuf> = ["", "claims", "envs", "pins", "prefetched", "pythons"]
        .map(|directory| root.path().join(directory))
        .into();
    for above in [generations, store] {
        let below = files::names(&above)?.into_iter();
        let below = below.filter(|name| !name.starts_with('.'));
        directories.extend(below.map(|name| above.join(name)));
        directories.push(above);
    }
    let mut found = Vec::new();
    for directory in directories {
        let names = files::names(&directory)?.into_iter();
        let ours = names.filter(|name| {
            name.starts_with('.') && !name.starts_with(trash::ASIDE) && name.contains(maker)
        });
        found.extend(ours.map(|name| directory.join(name)));
    }
    Ok(found)
}

/// Something whose name begins with a dot: put aside, or unfinished. Its maker is named in it, or nobody knows him.
fn hidden(looking: &Looking, survey: &mut Survey, path: PathBuf, name: &str) -> files::Result<()> {
    if let Some(label) = name.strip_prefix(trash::ASIDE) {
        return discarded(looking, survey, path, label);
    }
    let kind = Kind::Unfinished;
    let maker = maker::in_name(name).unwrap_or_default();
    if abandoned(looking, kind, &path, maker)? {
        let name = name.to_owned();
        survey.items.push(Item { kind, name, path });
    }
    Ok(())
}

/// Something in the trash, or put aside. What we moved there was nobody's, and need not wait for its time.
fn discarded(
    looking: &Looking,
    survey: &mut Survey,
    path: PathBuf,
    label: &str,
) -> files::Result<()> {
    let (kind, name) = (Kind::Trash, label.to_owned());
    let since = if label.starts_with(&format!("{LABEL}-")) {
        SystemTime::UNIX_EPOCH
    } else {
        times::changed(&path)?
    };
    let why = looking.spares(&path, since);
    survey.settle(Item { kind, name, path }, why);
    Ok(())
}

/// Claims of builders that are gone.
fn claims(looking: &Looking, survey: &mut Survey) -> files::Result<()> {
    let directory = claims::directory(looking.root);
    for name in files::names(&directory)? {
        let path = directory.join(&name);
        let maker = claims::parse(&path).map_or_else(String::new, |claim| claim.maker);
        let kind = Kind::Unfinished;
        if !name.starts_with('.') && abandoned(looking, kind, &path, &maker)? {
            survey.items.push(Item { kind, name, path });
        }
    }
    Ok(())
}

/// Downloads of weights that broke off. Of the rest of a cache nobody knows who needs it.
fn parts_of_weights(looking: &Looking, survey: &mut Survey) -> files::Result<()> {
    // Where there is no catalogue that can be read, nothing is known of weights.
    let Ok(Some(catalogue)) = Catalogue::read(&looking.root.models()) else {
        return Ok(());
    };
    let weights = catalogue.models.values().flat_map(|model| &model.weights);
    let names = weights.flat_map(|weight| {
        // A file of the hub is downloaded to where the link of its name leads.
        let hub = weight.path.split_once("/snapshots/");
        let blob = hub.map(|(repository, _)| format!("{repository}/blobs/{}", weight.sha256));
        [Some(weight.path.clone()), blob].into_iter().flatten()
    });
    // Nothing is looked for, or removed, where a link leads out of the cache.
    let ours = |name: &String| files::check_below(looking.root.cache(), name).is_ok();
    let mut paths: Vec<PathBuf> = names
        .filter(ours)
        .map(|name| crate::store::weights::path(looking.root, &name))
        .collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        let (Some(directory), Some(file)) = (path.parent(), path.file_name()) else {
            continue;
        };
        let part = format!("{}.part", file.to_string_lossy());
        for name in files::names(directory)? {
            let Some(maker) = name.strip_prefix(&part) else {
                continue;
            };
            let path = directory.join(&name);
            let kind = Kind::Part;
            if abandoned(looking, kind, &path, maker.trim_start_matches('-'))? {
                survey.items.push(Item { kind, name, path });
            }
        }
    }
    Ok(())
}
