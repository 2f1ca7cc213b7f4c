//! Which generations of each environment can go: those that no link, no pin and no process of this host leads to, that
//! are not among the last, and were left long enough ago.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Context, Item, Kind, Survey, Why};
use crate::files::{self, maker, times};
use crate::name::EnvironmentName;
use crate::store::{Catalogue, Root, link_to, pins};

/// What is left of generations, so that what they need is left as well.
pub(super) type Left = Vec<PathBuf>;

/// Decides about each.
pub(super) fn survey(context: &Context, survey: &mut Survey) -> files::Result<Left> {
    let root = context.root;
    let links = Links::read(root)?;
    let pins = pins::read(root)?;
    let kind = Kind::Generation;
    for environment in environments(root)? {
        let mut unreferenced = Vec::new();
        for id in files::names(&root.generations(&environment))? {
            // Names with a dot are staging.
            if id.starts_with('.') {
                continue;
            }
            let path = root.generation(&environment, &id);
            let name = format!("{environment}@{id}");
            let pinned = |pin: &pins::Pin| pin.environment == environment && pin.id == id;
            let why = match links.led.get(&(environment.clone(), id.clone())) {
                Some(link) => Some(Why::Led(link.clone())),
                None => pins.iter().any(pinned).then_some(Why::Pinned),
            };
            match why {
                None => unreferenced.push((since(root, &links, &environment, &id)?, name, path)),
                led_to => survey.add(Item { kind, name, path }, led_to),
            }
        }
        // The last ones first.
        unreferenced.sort_by(|a, b| b.cmp(a));
        for (index, (since, name, path)) in unreferenced.into_iter().enumerate() {
            // An environment that was dropped has nothing to go back to.
            let keep = if links.dropped.contains_key(&environment) {
                0
            } else {
                context.policy.keep
            };
            let newest = (index < keep).then_some(Why::Newest(keep));
            let why = newest.or_else(|| context.reason_to_keep(&path, since));
            survey.add(Item { kind, name, path }, why);
        }
    }
    for (name, id) in &links.dropped {
        let generation = root.generation(name, id);
        let stays = survey.kept.iter().any(|kept| kept.path == generation);
        let path = root.current(name);
        // A link that leads to nothing has its own age.
        let why = if files::exists(&generation) {
            None
        } else {
            context.is_recent(dropped_since(root, name)?)
        };
        if !stays && why.is_none() {
            let (kind, name) = (Kind::Link, name.to_string());
            survey.items.push(Item { kind, name, path });
        }
    }
    let left = survey.kept.iter().filter(|kept| kept.kind == kind);
    Ok(left.map(|kept| kept.path.clone()).collect())
}

/// Since when nothing leads to a generation: when its link was led elsewhere, or its environment dropped, or, if there
/// never was a link, when it was published.
fn since(
    root: &Root,
    links: &Links,
    environment: &EnvironmentName,
    id: &str,
) -> files::Result<SystemTime> {
    match times::modified(&root.retired(environment, id)) {
        Ok(time) => Ok(time),
        Err(error) if !error.is_missing() => Err(error),
        // It was dropped before that was written down.
        Err(_) if links.dropped.get(environment).is_some_and(|to| to == id) => {
            dropped_since(root, environment)
        }
        Err(_) => times::changed(&root.generation(environment, id)),
    }
}

/// When an environment was dropped at the latest: when its link was made, or the catalogue was last written.
fn dropped_since(root: &Root, environment: &EnvironmentName) -> files::Result<SystemTime> {
    let catalogue = times::modified(&root.models())?;
    Ok(catalogue.max(times::changed(&root.current(environment))?))
}

/// Every environment that has generations.
pub(super) fn environments(root: &Root) -> files::Result<Vec<EnvironmentName>> {
    let names = files::names(&root.all_generations())?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// Where the links below `envs` lead.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Generations that are to stay, with the link's name: also links that people have made, and links that a `sync` is
    /// about to put in their place.
    pub(super) led: BTreeMap<(EnvironmentName, String), String>,
    /// Environments that the catalogue does not have any more, with the generation that their own link leads to.
    pub(super) dropped: BTreeMap<EnvironmentName, String>,
}

impl Links {
    /// Reads them. Where there is no catalogue that can be read, nothing is dropped.
    pub(super) fn read(root: &Root) -> files::Result<Self> {
        let catalogue = Catalogue::read(&root.models()).ok().flatten();
        let is_dropped = |name: &EnvironmentName| {
            let known = catalogue.as_ref().map(|there| &there.environments);
            known.is_some_and(|known| !known.contains_key(name))
        };
        let directory = root.environments();
        let mut links = Self::default();
        for link in files::names(&directory)? {
            if link.starts_with('.') && maker::in_name(&link).is_some_and(maker::is_gone) {
                continue;
            }
            // What is in a link's place, and is none, leads nowhere.
            let Ok(Some(target)) = files::link_target(&directory.join(&link)) else {
                continue;
            };
            let Some((environment, id)) = last_two(&target) else {
                continue;
            };
            // One that a person has made has a name of its own, or is written in another way.
            let is_own = environment.as_str() == link && target == link_to(&environment, &id);
            if is_own && is_dropped(&environment) {
                links.dropped.insert(environment, id);
            } else {
                links.led.insert((environment, id), link);
            }
        }
        Ok(links)
    }
}

/// Environment and id of a generation.
pub(super) fn of(item: &Item) -> Option<(EnvironmentName, String)> {
    (item.kind == Kind::Generation).then(|| last_two(&item.path))?
}

fn last_two(path: &Path) -> Option<(EnvironmentName, String)> {
    let id = path.file_name()?.to_str()?.to_owned();
    let environment = path.parent()?.file_name()?.to_str()?.parse().ok()?;
    Some((environment, id))
}
