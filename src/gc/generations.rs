//! Which generations of each environment can go: those that no link, no pin and no process of this host leads to, that
//! are not among the last, and were left long enough ago.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Item, Kind, Looking, Survey, Why};
use crate::files::{self, maker, times};
use crate::name::EnvironmentName;
use crate::store::{Root, pins};

/// What is left of generations, so that what they need is left as well.
pub(super) type Left = Vec<PathBuf>;

/// Decides about each.
pub(super) fn survey(looking: &Looking, survey: &mut Survey) -> files::Result<Left> {
    let root = looking.root;
    let led = led_to(root)?;
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
            let why = match led.get(&(environment.clone(), id.clone())) {
                Some(link) => Some(Why::Led(link.clone())),
                None => pins.iter().any(pinned).then_some(Why::Pinned),
            };
            match why {
                None => unreferenced.push((since(root, &environment, &id)?, name, path)),
                led_to => survey.settle(Item { kind, name, path }, led_to),
            }
        }
        // The last ones first.
        unreferenced.sort_by(|a, b| b.cmp(a));
        for (index, (since, name, path)) in unreferenced.into_iter().enumerate() {
            let keep = looking.policy.keep;
            let newest = (index < keep).then_some(Why::Newest(keep));
            let why = newest.or_else(|| looking.spares(&path, since));
            survey.settle(Item { kind, name, path }, why);
        }
    }
    let left = survey.kept.iter().filter(|kept| kept.kind == kind);
    Ok(left.map(|kept| kept.path.clone()).collect())
}

/// Since when nothing leads to a generation: when its link was led elsewhere or, if there never was one, when it was
/// published.
fn since(root: &Root, environment: &EnvironmentName, id: &str) -> files::Result<SystemTime> {
    match times::modified(&root.retired(environment, id)) {
        Ok(time) => Ok(time),
        Err(error) if error.is_missing() => times::changed(&root.generation(environment, id)),
        Err(error) => Err(error),
    }
}

/// Every environment that has generations.
pub(super) fn environments(root: &Root) -> files::Result<Vec<EnvironmentName>> {
    let names = files::names(&root.path().join("generations"))?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// Every generation that a link below `envs` leads to, with the link's name: also links that people have made, and links
/// that a `sync` is about to put in their place.
pub(super) fn led_to(root: &Root) -> files::Result<BTreeMap<(EnvironmentName, String), String>> {
    let links = root.path().join("envs");
    let mut led = BTreeMap::new();
    for link in files::names(&links)? {
        if link.starts_with('.') && maker::in_name(&link).is_some_and(maker::is_gone) {
            continue;
        }
        // What is in a link's place, and is none, leads nowhere.
        let Ok(Some(target)) = files::link_target(&links.join(&link)) else {
            continue;
        };
        if let Some(generation) = last_two(&target) {
            led.insert(generation, link);
        }
    }
    Ok(led)
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
