//! What `rootstock lock --upgrade[=PACKAGE]` and `--upgrade-env=NAME` ask for, and whether it is there to be upgraded.

use std::collections::BTreeSet;

use super::exit::Failure;
use crate::lock::{Lock, LockedTarget};
use crate::manifest::{Manifest, nearest};
use crate::name::EnvironmentName;
use crate::report::listed;
use crate::resolve::{Moving, Upgrade};

/// The upgrade that these arguments ask for.
pub(super) fn from_words(
    packages: Option<&[String]>,
    environments: Option<&[String]>,
    manifest: &Manifest,
) -> Result<Upgrade, Failure> {
    let what = match (packages, environments) {
        (None, None) => Moving::Nothing,
        (None | Some([]), _) => Moving::All,
        (Some(names), _) => {
            let mut packages = BTreeSet::new();
            for name in names {
                let package = name.parse().map_err(|_| {
                    let help = "write only the name: `--upgrade=torch`";
                    Failure::usage(&format!("`{name}` is not a package name"), help)
                })?;
                packages.insert(package);
            }
            Moving::Packages(packages)
        }
    };
    let known = || manifest.environments.iter().map(|e| &e.name);
    let environments = environments.map(|names| {
        let find = |name: &String| {
            let found = known().find(|known| known.as_str() == name);
            found.cloned().ok_or_else(|| {
                let message = format!("the manifest has no environment `{name}`");
                let help = nearest(name, known().map(EnvironmentName::as_str)).map_or_else(
                    || listed("it has", known().map(ToString::to_string)),
                    |near| format!("did you mean `{near}`?"),
                );
                Failure::usage(&message, &help)
            })
        };
        names.iter().map(find).collect()
    });
    Ok(Upgrade {
        what,
        environments: environments.transpose()?,
    })
}

/// Makes sure that every package which was to be upgraded is in one of the environments that could be, before or after.
pub(super) fn check(upgrade: &Upgrade, old: Option<&Lock>, new: &Lock) -> Result<(), Failure> {
    let Moving::Packages(asked) = &upgrade.what else {
        return Ok(());
    };
    let locks = old.into_iter().chain([new]);
    let environments = locks.flat_map(|lock| &lock.environments).filter(|locked| {
        let named = upgrade.environments.as_ref();
        named.is_none_or(|names| names.contains(&locked.name))
    });
    let targets = environments.flat_map(|locked| &locked.targets);
    let there: BTreeSet<_> = targets
        .flat_map(LockedTarget::files)
        .map(|package| &package.name)
        .collect();
    let Some(absent) = asked.iter().find(|name| !there.contains(name)) else {
        return Ok(());
    };
    let place = match &upgrade.environments {
        None => "no environment has".to_owned(),
        Some(names) => {
            let names = names.iter().map(|name| format!("`{name}`"));
            format!("{} has not", names.collect::<Vec<_>>().join(", "))
        }
    };
    let near = nearest(absent.as_ref(), there.iter().map(AsRef::as_ref));
    let help = near.map_or_else(
        || "nothing was written; `--upgrade` alone upgrades all packages".to_owned(),
        |near| format!("nothing was written; did you mean `{near}`?"),
    );
    let message = format!("there is no package `{absent}` to upgrade: {place} it");
    Err(Failure::usage(&message, &help))
}
