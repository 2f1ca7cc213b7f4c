//! What a generation offers: its import names, and the distributions they belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pep440_rs::Version;
use pep508_rs::{ExtraName, MarkerEnvironment, PackageName, VerbatimUrl};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::name;

type Requirement = pep508_rs::Requirement<VerbatimUrl>;

/// The packages of a generation.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Where they are.
    pub(crate) site_packages: PathBuf,
    /// The names in that directory.
    entries: Vec<String>,
    /// The `.dist-info` directory and the version of each distribution.
    distributions: BTreeMap<PackageName, (String, Version)>,
}

/// Some distributions of an environment, and all that these need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chosen {
    /// What can be imported, without the parts of namespace packages.
    pub(crate) names: BTreeSet<String>,
    /// Their names in normal form.
    pub(crate) distributions: BTreeSet<PackageName>,
}

/// The environment has no distribution of this name.
#[derive(Debug, thiserror::Error)]
#[error("the environment has no package `{name}`")]
pub(crate) struct Unknown {
    /// As it was asked for.
    pub(crate) name: String,
    /// Those it has.
    pub(crate) known: Vec<String>,
}

/// A requirement of a distribution of the environment.
#[derive(Debug)]
pub(super) struct Required {
    /// The distribution that requires it.
    pub(super) by: String,
    /// The requirement, as metadata of that distribution has it.
    pub(super) requirement: Requirement,
}

impl Contents {
    /// Those of the generation at this path, built for a Python of this series.
    pub(crate) fn read(generation: &Path, (major, minor): (u64, u64)) -> files::Result<Self> {
        let site_packages = generation.join(format!("lib/python{major}.{minor}/site-packages"));
        let entries = files::names(&site_packages)?;
        let distribution = |entry: &String| {
            let (name, version) = entry.strip_suffix(".dist-info")?.split_once('-')?;
            let directory = entry.clone();
            Some((name.parse().ok()?, (directory, version.parse().ok()?)))
        };
        Ok(Self {
            distributions: entries.iter().filter_map(distribution).collect(),
            site_packages,
            entries,
        })
    }

    /// Everything that can be imported; the parts of namespace packages with a dot: `nvidia.cublas`.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let each = self.entries.iter();
        each.flat_map(|entry| names_of(&self.site_packages, entry))
            .collect()
    }

    /// Those of them that are, or are parts of, one of these.
    pub(crate) fn names_among(&self, some: &BTreeSet<String>) -> BTreeSet<String> {
        let top = |name: &str| name.split('.').next().map(str::to_owned);
        let mut names = self.names();
        names.retain(|name| top(name).is_some_and(|top| some.contains(&top)));
        names
    }

    /// These distributions, by names as people write them, with all that they require.
    pub(crate) fn choose(
        &self,
        packages: &[String],
        markers: &MarkerEnvironment,
    ) -> Result<Chosen, Unknown> {
        let mut pending: Vec<(PackageName, Vec<ExtraName>)> = Vec::new();
        for package in packages {
            let found = package.parse().ok();
            let found = found.filter(|name| self.distributions.contains_key(name));
            let name = found.ok_or_else(|| Unknown {
                name: package.clone(),
                known: self.distributions.keys().map(ToString::to_string).collect(),
            })?;
            pending.push((name, Vec::new()));
        }
        let mut done = BTreeSet::new();
        while let Some((name, extras)) = pending.pop() {
            if !done.insert((name.clone(), extras.clone())) {
                continue;
            }
            let requirements = self.requirements(&name).into_iter();
            let needed = requirements.filter(|one| one.evaluate_markers(markers, &extras));
            let needed = needed.filter(|one| self.distributions.contains_key(&one.name));
            pending.extend(needed.map(|one| (one.name, one.extras)));
        }
        let distributions: BTreeSet<PackageName> = done.into_iter().map(|(name, _)| name).collect();
        Ok(Chosen {
            names: self.names_of_distributions(&distributions),
            distributions,
        })
    }

    /// The import names, without the parts of namespace packages, of these distributions.
    fn names_of_distributions(&self, distributions: &BTreeSet<PackageName>) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for name in distributions {
            for path in self.record(name).lines() {
                let top = path.split(['/', ',']).next().unwrap_or_default();
                names.extend(importable(top).map(str::to_owned));
                // A package, or a directory that has modules somewhere below it.
                if path.contains(".py,") || path.contains(".so,") {
                    names.extend(
                        Some(top)
                            .filter(|top| is_identifier(top))
                            .map(str::to_owned),
                    );
                }
            }
        }
        names
    }

    /// The distribution that an import name belongs to, with its version.
    pub(super) fn owner(&self, name: &str) -> Option<(&PackageName, &Version)> {
        let path = name.replace('.', "/");
        let (directory, module) = (format!("{path}/"), format!("{path}."));
        let owns = |distribution: &PackageName| {
            let record = self.record(distribution);
            let mut lines = record.lines();
            lines.any(|line| {
                line.starts_with(&directory)
                    || line.starts_with(&module) && !line.contains(".dist-info/")
            })
        };
        // Most are called as what they offer.
        let plain: Option<PackageName> = name.parse().ok();
        let plain = plain.and_then(|plain| self.distributions.get_key_value(&plain));
        let plain = plain.filter(|(name, _)| owns(name));
        let mut all = self.distributions.iter();
        let (name, (_, version)) = plain.or_else(|| all.find(|(name, _)| owns(name)))?;
        Some((name, version))
    }

    /// Everything that the chosen distributions, or all, require of a Python with these markers.
    pub(super) fn required(
        &self,
        chosen: Option<&Chosen>,
        markers: &MarkerEnvironment,
    ) -> Vec<Required> {
        let is_chosen =
            |name: &PackageName| chosen.is_none_or(|chosen| chosen.distributions.contains(name));
        let each = self
            .distributions
            .iter()
            .filter(|(name, _)| is_chosen(name));
        let each = each.flat_map(|(name, (_, version))| {
            let requirements = self.requirements(name).into_iter();
            requirements.map(move |requirement| Required {
                by: format!("{name} {version}"),
                requirement,
            })
        });
        each.filter(|one| one.requirement.evaluate_markers(markers, &[]))
            .collect()
    }

    /// Every distribution with its version.
    pub(crate) fn distributions(&self) -> impl Iterator<Item = (&PackageName, &Version)> {
        let each = self.distributions.iter();
        each.map(|(name, (_, version))| (name, version))
    }

    /// What a distribution requires, whatever the markers.
    pub(crate) fn requirements(&self, name: &PackageName) -> Vec<Requirement> {
        let metadata = self.text(name, "METADATA");
        // A line of blanks goes on with a field, such as the text of a licence; only an empty one ends the header.
        let headers = metadata.lines().take_while(|line| !line.is_empty());
        let headers = headers.filter(|line| !line.starts_with([' ', '\t']));
        let headers = headers.filter_map(|line| line.split_once(':'));
        headers
            .filter(|(key, _)| key.eq_ignore_ascii_case("requires-dist"))
            .filter_map(|(_, value)| name::requirement(value.trim()).ok())
            .collect()
    }

    fn record(&self, name: &PackageName) -> String {
        self.text(name, "RECORD")
    }

    /// A file of a distribution's metadata; empty if it cannot be read.
    fn text(&self, name: &PackageName, file: &str) -> String {
        let Some((directory, _)) = self.distributions.get(name) else {
            return String::new();
        };
        let bytes = files::read(&self.site_packages.join(directory).join(file));
        // Old wheels have names of authors in other encodings there.
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }
}

/// What an entry of a directory on the search path lets Python import.
fn names_of(directory: &Path, entry: &str) -> Vec<String> {
    if let Some(module) = importable(entry) {
        return vec![module.to_owned()];
    }
    if !is_identifier(entry) || entry == "__pycache__" {
        return Vec::new();
    }
    let inside = files::names(&directory.join(entry)).unwrap_or_default();
    if inside
        .iter()
        .any(|name| importable(name) == Some("__init__"))
    {
        return vec![entry.to_owned()];
    }
    // The parts of a namespace package: modules, and directories with an `__init__`.
    let is_package = |name: &String| {
        let inside = files::names(&directory.join(entry).join(name)).unwrap_or_default();
        inside
            .iter()
            .any(|name| importable(name) == Some("__init__"))
    };
    let parts = inside.iter().filter_map(|name| match importable(name) {
        Some(module) => Some(module),
        None => Some(name.as_str()).filter(|_| is_identifier(name) && is_package(name)),
    });
    parts.map(|part| format!("{entry}.{part}")).collect()
}

/// The name of a module that is a single file: `six` of `six.py`, `_cffi` of `_cffi.cpython-312-x86_64-linux-gnu.so`.
fn importable(file: &str) -> Option<&str> {
    let stem = file
        .strip_suffix(".py")
        .or_else(|| file.strip_suffix(".so")?.split('.').next())?;
    is_identifier(stem).then_some(stem)
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c == '_' || c.is_ascii_alphanumeric() || !c.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_stand_behind_fields_of_several_lines_too() {
        let generation = tempfile::tempdir().unwrap();
        let place = generation
            .path()
            .join("lib/python3.11/site-packages/demo-1.0.dist-info");
        files::create_directories(&place).unwrap();
        let metadata = "Name: demo\nLicense: one\n        \n        Requires-Dist: none\nRequires-Dist: other>=1\n\nRequires-Dist: text\n";
        files::write(&place.join("METADATA"), metadata.as_bytes()).unwrap();
        let contents = Contents::read(generation.path(), (3, 11)).unwrap();
        let required = contents.requirements(&"demo".parse().unwrap());
        let required: Vec<String> = required.iter().map(ToString::to_string).collect();
        assert_eq!(required, ["other>=1"]);
    }

    #[test]
    fn files_are_modules_by_their_names() {
        for (file, module) in [
            ("six.py", Some("six")),
            ("_x.cpython-312-x86_64-linux-gnu.so", Some("_x")),
            ("_x.abi3.so", Some("_x")),
            ("_x.so", Some("_x")),
            ("libx.so.1", None),
            ("lib-x.so", None),
            ("a-b.py", None),
            ("distutils-precedence.pth", None),
            ("README.txt", None),
        ] {
            assert_eq!(importable(file), module, "{file}");
        }
    }
}
