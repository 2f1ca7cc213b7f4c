//! `[tool.uv]` of a script: what it asks for, in rootstock's terms, and a complaint about everything that rootstock has no
//! key for.

use std::collections::{BTreeMap, BTreeSet};

use pep508_rs::PackageName;
use toml::de::DeValue;

use super::Script;
use super::keys::{Meaning, meaning};
use super::{indexes, sources};
use crate::manifest::{Placed, Section, Text};

/// What a script asks for beside its dependencies.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// Lists of requirements by the manifest's key.
    pub(super) lists: BTreeMap<&'static str, Vec<String>>,
    /// Requirements of builds, by package.
    pub(super) build_dependencies: BTreeMap<PackageName, Vec<String>>,
    /// The cut-off.
    pub(super) exclude_newer: Option<String>,
    /// What is installed from an index of its own.
    pub(super) routes: BTreeMap<PackageName, String>,
    /// What is installed from an address, a repository or a path: the text behind `@`.
    pub(super) references: BTreeMap<PackageName, String>,
    /// Where the indexes are: `url` or `find-links`, and the address.
    pub(super) indexes: BTreeMap<String, (&'static str, String)>,
    /// What is left out, with its line.
    pub(super) remarks: Vec<(usize, String)>,
}

/// Reads `[tool.uv]`.
pub(super) fn read(text: &mut Text, script: &Script, uv: &Section) -> Settings {
    let mut settings = Settings::default();
    for (key, value) in uv.table {
        let name = key.get_ref().as_ref();
        let written = value.get_ref();
        let is_off = matches!(written, DeValue::Boolean(false));
        match meaning(name) {
            Meaning::Read => {}
            Meaning::RefusedUnless(usual, _) if written.as_str() == Some(usual) => {}
            Meaning::Refused(_) if is_off => {}
            Meaning::Idle(why) => {
                let line = script.line(&key.span());
                settings
                    .remarks
                    .push((line, format!("`{name}` is left out: {why}")));
            }
            Meaning::Refused(help) | Meaning::RefusedUnless(_, help) => text.complain(
                key.span(),
                format!("`{name}` cannot be taken over"),
                "rootstock has no such key",
                Some(help.to_owned()),
            ),
            Meaning::Unknown => text.complain(
                key.span(),
                format!("`{name}` is not a known key of `[tool.uv]`"),
                "what it decides is not known here",
                Some("remove it, if it decides nothing about what is installed".to_owned()),
            ),
        }
    }
    for (key, ours) in [
        ("constraint-dependencies", "constraints"),
        ("override-dependencies", "overrides"),
        ("build-constraint-dependencies", "build-constraints"),
        ("exclude-dependencies", "exclude"),
    ] {
        let values = uv.strings(text, key).into_iter().map(|placed| placed.value);
        settings.lists.insert(ours, values.collect());
    }
    settings.exclude_newer = exclude_newer(text, uv);
    settings.build_dependencies = build_dependencies(text, uv);
    let declared = indexes::declared(text, script, uv, &mut settings);
    sources::read(text, script, uv, &declared, &mut settings);
    indexes::settle(text, declared, &mut settings);
    indexes::find_links(text, script, uv, &mut settings);
    settings
}

fn exclude_newer(text: &mut Text, uv: &Section) -> Option<String> {
    let moment = uv.string(text, "exclude-newer")?;
    crate::manifest::moment(text, &moment)
}

/// `extra-build-dependencies = { NAME = ["torch", { requirement = "numpy", match-runtime = true }] }`. What the environment
/// has itself is taken in the same version in any case.
fn build_dependencies(text: &mut Text, uv: &Section) -> BTreeMap<PackageName, Vec<String>> {
    const KEY: &str = "extra-build-dependencies";
    let mut all = BTreeMap::new();
    let Some(section) = uv.table(text, KEY, "this table") else {
        return all;
    };
    for (name, value) in section.table {
        let name = Placed {
            value: name.get_ref().to_string(),
            span: name.span(),
        };
        let mut requirements = Vec::new();
        for item in value.get_ref().as_array().into_iter().flatten() {
            let table = item.get_ref().as_table();
            let requirement = table.and_then(|table| {
                let (_, value) = table
                    .iter()
                    .find(|(key, _)| key.get_ref() == "requirement")?;
                value.get_ref().as_str()
            });
            match item.get_ref().as_str().or(requirement) {
                Some(requirement) => requirements.push(requirement.to_owned()),
                None => text.complain(
                    item.span(),
                    "this is not a requirement of a build",
                    "here",
                    Some("write `\"torch\"` or `{ requirement = \"torch\" }`".to_owned()),
                ),
            }
        }
        if let Some(package) = crate::manifest::package(text, &name) {
            all.insert(package, requirements);
        }
    }
    all
}

impl Settings {
    /// What may be built: what has build requirements of its own, and what is no wheel.
    pub(super) fn sdists(&self, dependencies: &[String]) -> BTreeSet<String> {
        let built = self.build_dependencies.keys().map(ToString::to_string);
        let referred = self.references.iter();
        let referred = referred.filter(|(_, reference)| !is_wheel(reference));
        let direct = dependencies.iter().filter_map(|text| {
            let requirement = crate::name::requirement::<crate::manifest::Reference>(text).ok()?;
            match requirement.version_or_url {
                Some(pep508_rs::VersionOrUrl::Url(url)) if !is_wheel(&url.to_string()) => {
                    Some(requirement.name.to_string())
                }
                _ => None,
            }
        });
        built
            .chain(referred.map(|(name, _)| name.to_string()))
            .chain(direct)
            .collect()
    }
}

fn is_wheel(reference: &str) -> bool {
    let file = reference.split(['#', '?']).next().unwrap_or(reference);
    file.rsplit('.').next() == Some("whl")
}
