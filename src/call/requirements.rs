//! Whether an environment has what a request requires: its `dependencies` against the metadata of what is installed. Installs
//! nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pep440_rs::Version;
use pep508_rs::{
    ExtraName, MarkerEnvironment, PackageName, Requirement, VerbatimUrl, VersionOrUrl,
};

use super::failure::{Failure, Kind};
use crate::files;
use crate::name::requirement;
use crate::python::Interpreter;
use crate::target::Target;

/// The packages of a generation.
pub(super) struct Installed {
    environment: String,
    packages: BTreeMap<PackageName, (Version, PathBuf)>,
    markers: Option<MarkerEnvironment>,
}

impl Installed {
    /// Reads the names of the directories with metadata.
    pub(super) fn read(environment: &str, generation: &Path, python: &Interpreter) -> Self {
        let (major, minor) = python.series();
        let packages = generation.join(format!("lib/python{major}.{minor}/site-packages"));
        let names = files::names(&packages).unwrap_or_default();
        let packages = names.iter().filter_map(|name| {
            let (package, version) = name.strip_suffix(".dist-info")?.rsplit_once('-')?;
            let metadata = packages.join(name).join("METADATA");
            Some((package.parse().ok()?, (version.parse().ok()?, metadata)))
        });
        let version = python.version();
        Self {
            environment: environment.to_owned(),
            packages: packages.collect(),
            markers: Target::here()
                .zip(version)
                .map(|(target, version)| target.markers(&version)),
        }
    }

    /// Checks requirements (PEP 508); each that is not met is named.
    pub(super) fn check(&self, texts: &[String]) -> Result<(), Failure> {
        let mut unmet = Vec::new();
        for text in texts {
            let requirement = requirement::<VerbatimUrl>(text).map_err(|error| {
                Failure::bad_request(
                    format!(
                        "`dependencies`: `{text}` is no requirement: {}",
                        error.message
                    ),
                    "write a name with versions, as in `numpy>=1.26`",
                )
            })?;
            unmet.extend(self.unmet(&requirement, 0));
        }
        if unmet.is_empty() {
            return Ok(());
        }
        unmet.dedup();
        let environment = &self.environment;
        let wanted: Vec<String> = unmet
            .iter()
            .map(|(wanted, _)| format!("`{wanted}`"))
            .collect();
        let reasons: Vec<String> = unmet
            .iter()
            .map(|(wanted, why)| format!("`{wanted}` ({why})"))
            .collect();
        Err(Failure::new(
            Kind::RequirementsUnmet,
            format!("environment `{environment}` lacks {}", reasons.join(", ")),
            format!(
                "add {} to the environment's `dependencies` in rootstock.toml, then run `rootstock lock && rootstock sync \
                 {environment}`",
                wanted.join(", ")
            ),
        ))
    }

    /// What is not met of a requirement, and of its extras, and why.
    fn unmet(&self, wanted: &Requirement<VerbatimUrl>, depth: u32) -> Vec<(String, String)> {
        if let Some(markers) = &self.markers
            && !wanted.evaluate_markers(markers, &[])
        {
            return Vec::new();
        }
        let unmet = |why: String| vec![(wanted.to_string(), why)];
        let Some((version, metadata)) = self.packages.get(&wanted.name) else {
            return unmet("not installed".to_owned());
        };
        match &wanted.version_or_url {
            Some(VersionOrUrl::VersionSpecifier(versions)) if !versions.contains(version) => {
                return unmet(format!("{version} is installed"));
            }
            Some(VersionOrUrl::Url(_)) => {
                return unmet(format!(
                    "{version} is installed; from where is not compared"
                ));
            }
            _ => {}
        }
        if wanted.extras.is_empty() || depth > 8 {
            return Vec::new();
        }
        let needs = self.of_extras(metadata, &wanted.extras);
        needs
            .iter()
            .flat_map(|need| self.unmet(need, depth + 1))
            .collect()
    }

    /// What a package requires for these extras alone.
    fn of_extras(&self, metadata: &Path, extras: &[ExtraName]) -> Vec<Requirement<VerbatimUrl>> {
        let text = files::read_text(metadata).unwrap_or_default();
        let headers = text.lines().take_while(|line| !line.trim().is_empty());
        let required = headers.filter_map(|line| line.strip_prefix("Requires-Dist:"));
        let required = required.filter_map(|text| requirement::<VerbatimUrl>(text.trim()).ok());
        let Some(markers) = &self.markers else {
            return Vec::new();
        };
        let of_extras = required.filter(|need| {
            need.evaluate_markers(markers, extras) && !need.evaluate_markers(markers, &[])
        });
        of_extras
            .map(|need| Requirement {
                marker: pep508_rs::MarkerTree::default(),
                ..need
            })
            .collect()
    }
}
