//! What is not in use any more: staging and links of makers that are gone, downloads that broke off, the trash, managed
//! interpreters that no environment stands on.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::needs::Needs;
use super::{Context, Item, Kind, LABEL, Survey, Why};
use crate::files::{self, maker, times};
use crate::store::unfinished::{self, State, Unfinished};
use crate::store::{Catalogue, Root, claims, trash};

/// What another host, or a container, is making cannot be seen to be abandoned. No build takes so long.
const BUILD: Duration = Duration::from_secs(48 * 3_600);

/// Whether something unfinished is abandoned: its maker is gone or, where that cannot be seen, it has not been touched for
/// long. A download that broke off is of use to the next sync, so it always waits for its time.
pub(super) fn abandoned(
    context: &Context,
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
    let age = context.now.duration_since(since).unwrap_or_default();
    Ok(context.is_recent(since).is_none() && (seen || age >= BUILD))
}

/// Managed interpreters that nothing stands on.
pub(super) fn pythons(context: &Context, needs: &Needs, survey: &mut Survey) -> files::Result<()> {
    let pythons = context.root.pythons();
    for name in files::names(&pythons)? {
        let path = pythons.join(&name);
        if name.starts_with('.') || needs.python(&name) {
            continue;
        }
        let kind = Kind::Python;
        let unknown = needs.unknown.clone().map(Why::Unknown);
        let since = times::changed(&path)?;
        let why = unknown.or_else(|| context.reason_to_keep(&path, since));
        survey.add(Item { kind, name, path }, why);
    }
    Ok(())
}

/// What is unfinished, claims, parts of weights, the trash.
pub(super) fn survey(context: &Context, survey: &mut Survey) -> files::Result<()> {
    let root = context.root;
    for found in unfinished::unfinished(root)? {
        unfinished(context, survey, found)?;
    }
    claims(context, survey)?;
    parts_of_weights(context, survey)?;
    for name in files::names(&root.trash())? {
        discarded(context, survey, root.trash().join(&name), &name)?;
    }
    Ok(())
}

/// Everything that the process of this name was making. What it put aside, and downloads that broke off, stay.
pub(super) fn made_by(root: &Root, maker: &str) -> files::Result<Vec<PathBuf>> {
    let found = unfinished::unfinished(root)?.into_iter();
    let ours = found.filter(|found| found.state == State::Staging && found.is_of(maker));
    Ok(ours.map(|found| found.path).collect())
}

fn unfinished(context: &Context, survey: &mut Survey, found: Unfinished) -> files::Result<()> {
    let Unfinished {
        path, name, maker, ..
    } = found;
    let (kind, name) = match found.state {
        State::Aside => {
            let label = name.strip_prefix(trash::ASIDE).unwrap_or(&name);
            return discarded(context, survey, path, label);
        }
        State::Part => (Kind::Part, name.chars().take(12).collect()),
        State::Staging => (Kind::Unfinished, name),
    };
    if abandoned(context, kind, &path, &maker)? {
        survey.items.push(Item { kind, name, path });
    }
    Ok(())
}

/// Something in the trash, or put aside. What `gc` itself moved there was not in use, and need not wait for its time.
fn discarded(
    context: &Context,
    survey: &mut Survey,
    path: PathBuf,
    label: &str,
) -> files::Result<()> {
    let (kind, name) = (Kind::Trash, label.to_owned());
    let since = if label.starts_with(&format!("{LABEL}-")) {
        SystemTime::UNIX_EPOCH
    } else {
        match times::changed(&path) {
            Ok(since) => since,
            // It is gone, or its name is no text.
            Err(error) if error.is_missing() => return Ok(()),
            Err(error) => return Err(error),
        }
    };
    let why = context.reason_to_keep(&path, since);
    survey.add(Item { kind, name, path }, why);
    Ok(())
}

/// Claims of builders that are gone.
fn claims(context: &Context, survey: &mut Survey) -> files::Result<()> {
    let directory = context.root.claims();
    for name in files::names(&directory)? {
        let path = directory.join(&name);
        let maker = claims::parse(&path).map_or_else(String::new, |claim| claim.maker);
        let kind = Kind::Unfinished;
        if !name.starts_with('.') && abandoned(context, kind, &path, &maker)? {
            survey.items.push(Item { kind, name, path });
        }
    }
    Ok(())
}

/// Downloads of weights that broke off. Of the rest of a cache it is not known what needs it.
fn parts_of_weights(context: &Context, survey: &mut Survey) -> files::Result<()> {
    // Where there is no catalogue that can be read, nothing is known of weights.
    let Ok(Some(catalogue)) = Catalogue::read(&context.root.models()) else {
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
    let ours = |name: &String| files::check_below(context.root.cache(), name).is_ok();
    let mut paths: Vec<PathBuf> = names
        .filter(ours)
        .map(|name| crate::store::weights::path(context.root, &name))
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
            if abandoned(context, kind, &path, maker.trim_start_matches('-'))? {
                survey.items.push(Item { kind, name, path });
            }
        }
    }
    Ok(())
}
