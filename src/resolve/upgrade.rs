//! What an upgrade asks for, and whether it is there to be upgraded.

use std::collections::BTreeSet;

use super::{Moving, Upgrade};
use crate::lock::{Lock, LockedTarget};
use crate::manifest::{Manifest, nearest};
use crate::name::EnvironmentName;
use crate::report::listed;

/// An upgrade cannot be carried out.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// A name is no package's.
    #[error("`{0}` is not a package name")]
    #[diagnostic(help("write only the name: `--upgrade=torch`"))]
    Name(String),
    /// The manifest has no such environment.
    #[error("the manifest has no environment `{name}`")]
    #[diagnostic(help("{near}"))]
    Environment {
        /// The name.
        name: String,
        /// The name that was probably meant, or those there are.
        near: String,
    },
    /// No environment has the package.
    #[error("there is no package `{package}` to upgrade: {place} it")]
    #[diagnostic(help("{help}"))]
    Absent {
        /// The package.
        package: String,
        /// Where it was looked for.
        place: String,
        /// Advice, as a sentence.
        help: String,
    },
}

impl Upgrade {
    /// The upgrade of these packages (all, if none is named; nothing, if neither is given) in these environments.
    pub fn new(
        packages: Option<&[String]>,
        environments: Option<&[String]>,
        manifest: &Manifest,
    ) -> Result<Self, Error> {
        let what = match (packages, environments) {
            (None, None) => Moving::Nothing,
            (None | Some([]), _) => Moving::All,
            (Some(names), _) => {
                let package = |name: &String| name.parse().map_err(|_| Error::Name(name.clone()));
                Moving::Packages(names.iter().map(package).collect::<Result<_, _>>()?)
            }
        };
        let environments = environments.map(|names| {
            let find = |name: &String| find(name, manifest);
            names.iter().map(find).collect()
        });
        Ok(Self {
            what,
            environments: environments.transpose()?,
        })
    }

    /// Makes sure that every package which was to be upgraded is in one of the environments that could be, before or
    /// after.
    pub fn check(&self, old: Option<&Lock>, new: &Lock) -> Result<(), Error> {
        let Moving::Packages(asked) = &self.what else {
            return Ok(());
        };
        let locks = old.into_iter().chain([new]);
        let environments = locks.flat_map(|lock| &lock.environments).filter(|locked| {
            let named = self.environments.as_ref();
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
        let place = match &self.environments {
            None => "no environment has".to_owned(),
            Some(names) => {
                let names = names.iter().map(|name| format!("`{name}`"));
                format!("{} has not", names.collect::<Vec<_>>().join(", "))
            }
        };
        let near = nearest(absent.as_ref(), there.iter().map(AsRef::as_ref));
        Err(Error::Absent {
            package: absent.to_string(),
            place,
            help: near.map_or_else(
                || "nothing was written; `--upgrade` alone upgrades all packages".to_owned(),
                |near| format!("nothing was written; did you mean `{near}`?"),
            ),
        })
    }
}

/// The environment of this name.
fn find(name: &String, manifest: &Manifest) -> Result<EnvironmentName, Error> {
    let known = || manifest.environments.iter().map(|e| &e.name);
    let found = known().find(|known| known.as_str() == name);
    found.cloned().ok_or_else(|| Error::Environment {
        name: name.clone(),
        near: nearest(name, known().map(EnvironmentName::as_str)).map_or_else(
            || listed("it has", known().map(ToString::to_string)),
            |near| format!("did you mean `{near}`?"),
        ),
    })
}
