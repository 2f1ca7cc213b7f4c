//! `[rootstock]` and `[targets]`: what holds for all environments. Access and link modes are read here for clusters too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use semver::{Version, VersionReq};

use super::complaint::{Text, nearest};
use super::reader::{Placed, Section};
use super::{PythonSource, value};
use crate::access::Access;
use crate::files::link;
use crate::target::{self, Glibc, Target};

pub(super) struct General {
    pub(super) root: Option<PathBuf>,
    pub(super) targets: Vec<Target>,
    pub(super) exclude_newer: Option<String>,
    /// Where the interpreters of environments without `python-source` come from.
    pub(super) python_source: PythonSource,
    /// Where archives with managed interpreters are mirrored.
    pub(super) python_mirror: Option<String>,
    /// Who may use what is built.
    pub(super) access: Option<Access>,
    /// How files of the store are put into environments.
    pub(super) link_mode: Option<link::Mode>,
}

pub(super) fn check(text: &mut Text, here: &Path, top: &Section) -> General {
    let floors = glibc_floors(text, top);
    let mut general = General {
        root: None,
        targets: Vec::new(),
        exclude_newer: None,
        python_source: PythonSource::Managed,
        python_mirror: None,
        access: None,
        link_mode: None,
    };
    if let Some(section) = top.table(text, "rootstock", "`[rootstock]`") {
        section.check_keys(
            text,
            &[
                "requires",
                "root",
                "targets",
                "exclude-newer",
                "python-source",
                "python-mirror",
                "access",
                "link-mode",
            ],
        );
        if let Some(requires) = section.string(text, "requires") {
            check_requires(text, &requires);
        }
        general.root = section
            .string(text, "root")
            .map(|root| here.join(root.value));
        general.exclude_newer = section
            .string(text, "exclude-newer")
            .and_then(|m| value::moment(text, &m));
        if let Some(source) = section.string(text, "python-source") {
            general.python_source = python_source(text, &source);
        }
        general.python_mirror = section
            .string(text, "python-mirror")
            .filter(|mirror| value::mirror(text, mirror))
            .map(|mirror| absolute_mirror(here, &mirror.value));
        general.access = section
            .string(text, "access")
            .and_then(|policy| access(text, &policy));
        general.link_mode = section
            .string(text, "link-mode")
            .and_then(|mode| link_mode(text, &mode));
        for name in section.strings(text, "targets") {
            general.targets.extend(target(text, &name));
        }
    }
    if general.targets.is_empty() {
        general.targets.extend(Target::here());
    }
    for target in &mut general.targets {
        if let Some(glibc) = floors.get(target.name()) {
            target.glibc = *glibc;
        }
    }
    general.targets.sort_by_key(Target::name);
    general.targets.dedup();
    general
}

/// Who may use a root; anything but a policy is complained about.
pub(super) fn access(text: &mut Text, policy: &Placed<String>) -> Option<Access> {
    let found = policy.value.parse();
    if found.is_err() {
        let word = Some(policy.value.as_str()).filter(|text| !text.contains(':'));
        let near = word.and_then(|word| nearest(word, ["world", "owner"]));
        let help = near.map_or_else(
            || {
                format!(
                    "a group that uses the root is written `group:{0}`, one that maintains it for everybody `world:{0}`",
                    policy.value.rsplit(':').next().unwrap_or_default().trim()
                )
            },
            |near| format!("did you mean `{near}`?"),
        );
        text.complain(
            policy.span.clone(),
            format!("`{}` does not say who may use the root", policy.value),
            "`world`, `world:NAME`, `group:NAME` or `owner`",
            Some(help),
        );
    }
    found.ok()
}

/// How files of the store are put into environments; anything but a mode is complained about.
pub(super) fn link_mode(text: &mut Text, mode: &Placed<String>) -> Option<link::Mode> {
    let found = mode.value.parse();
    if found.is_err() {
        let near = nearest(&mode.value, link::MODES);
        text.complain(
            mode.span.clone(),
            format!("`{}` is no way to link files", mode.value),
            "`auto`, `reflink`, `hardlink` or `copy`",
            near.map(|near| format!("did you mean `{near}`?")),
        );
    }
    found.ok()
}

/// A directory is meant from the manifest on.
fn absolute_mirror(here: &Path, mirror: &str) -> String {
    if mirror.contains("://") {
        mirror.to_owned()
    } else {
        here.join(mirror).display().to_string()
    }
}

/// `managed` or `system`; anything else is complained about.
pub(super) fn python_source(text: &mut Text, source: &Placed<String>) -> PythonSource {
    match source.value.as_str() {
        "managed" => PythonSource::Managed,
        "system" => PythonSource::System,
        other => {
            let help = nearest(other, ["managed", "system"])
                .map_or("write `system`".into(), |near| {
                    format!("did you mean `{near}`?")
                });
            text.complain(
                source.span.clone(),
                format!("`{other}` is not a source of interpreters"),
                "`managed` or `system`",
                Some(help),
            );
            PythonSource::System
        }
    }
}

fn check_requires(text: &mut Text, requires: &Placed<String>) {
    let us: Version = env!("CARGO_PKG_VERSION")
        .parse()
        .expect("cargo checks a package's version");
    match requires.value.parse::<VersionReq>() {
        Ok(range) if range.matches(&us) => {}
        Ok(_) => text.complain(
            requires.span.clone(),
            format!(
                "this is rootstock {us}, but the manifest requires {}",
                requires.value
            ),
            "does not include this version",
            Some("install a rootstock of that range, or widen the range".into()),
        ),
        Err(error) => text.complain(
            requires.span.clone(),
            format!("`{}` is not a version range", requires.value),
            error.to_string(),
            Some("write it as Cargo does: `>=0.1, <0.3` or `^0.1`".into()),
        ),
    }
}

fn target(text: &mut Text, name: &Placed<String>) -> Option<Target> {
    let target = Target::named(&name.value);
    if target.is_none() {
        let help = format!("the targets are: {}", target::NAMES.join(", "));
        text.complain(
            name.span.clone(),
            format!("unknown target `{}`", name.value),
            "not known here",
            Some(help),
        );
    }
    target
}

fn glibc_floors(text: &mut Text, top: &Section) -> BTreeMap<String, Glibc> {
    let mut floors = BTreeMap::new();
    for (name, section) in top.tables(text, "targets", "a target") {
        section.check_keys(text, &["glibc"]);
        let known = target(text, &name);
        if let (Some(glibc), Some(target)) = (section.string(text, "glibc"), known) {
            match glibc.value.parse() {
                Ok(floor) => {
                    floors.insert(target.name().to_owned(), floor);
                }
                Err(()) => text.complain(
                    glibc.span.clone(),
                    format!("`{}` is not a version of glibc", glibc.value),
                    "here",
                    Some("write it as `ldd --version` does: `2.28`".into()),
                ),
            }
        }
    }
    floors
}
