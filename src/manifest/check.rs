//! From `rootstock.toml` as written to the manifest as meant; every complaint about the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use semver::{Version, VersionReq};
use toml::de::DeTable;

use super::complaint::{Complaint, Complaints, Text, nearest};
use super::reader::{Placed, Section};
use super::{
    Cluster, Environment, ExcludeNewer, Index, Manifest, PythonSource, environment, model, value,
};
use crate::access::Access;
use crate::fetch;
use crate::files;
use crate::files::link;
use crate::name::{ClusterName, IndexName};
use crate::target::{self, Glibc, Target};

/// Checks a whole manifest. `here` is its directory, where environment sources are looked for.
pub(super) fn manifest(path: &Path, here: &Path, text: String) -> Result<Manifest, Complaints> {
    let mut text = Text::new(&path.display().to_string(), text);
    let shared = text.text();
    let (table, errors) = DeTable::parse_recoverable(&shared);
    for error in &errors {
        text.complain_syntax(error);
    }
    if !errors.is_empty() {
        // What follows a syntax error is guesswork; complaints about it would mislead.
        return Err(Complaints::new(text.complaints));
    }
    let top = Section {
        table: table.get_ref(),
        span: 0..0,
        what: "the manifest",
    };
    top.check_keys(
        &mut text,
        &[
            "rootstock",
            "targets",
            "clusters",
            "indexes",
            "environments",
            "models",
        ],
    );
    let general = general(&mut text, here, &top);
    let clusters = clusters(&mut text, here, &top);
    let indexes = indexes(&mut text, here, &top);
    let mut sources = Vec::new();
    let (environments, mut models) = environments(
        &mut text,
        &Surroundings {
            here,
            python_source: general.python_source,
            indexes: &indexes,
        },
        &top,
        &mut sources,
    );
    models.extend(model::long_forms(&mut text, &top, &environments));
    let models = model::unique(&mut text, models);
    let mut complaints = text.complaints;
    complaints.sort_by_key(Complaint::place);
    complaints.append(&mut sources);
    if !complaints.is_empty() {
        return Err(Complaints::new(complaints));
    }
    Ok(Manifest {
        path: path.to_owned(),
        root: general.root,
        targets: general.targets,
        exclude_newer: general.exclude_newer,
        python_mirror: general.python_mirror,
        access: general.access,
        link_mode: general.link_mode,
        clusters,
        indexes,
        environments: environments
            .into_iter()
            .filter_map(|(_, environment)| environment)
            .collect(),
        models,
    })
}

/// Checks only what says where the root is.
pub(super) fn root(
    path: &Path,
    here: &Path,
    text: String,
    cluster: Option<&str>,
) -> Result<Option<Cluster>, Complaints> {
    let mut text = Text::new(&path.display().to_string(), text);
    let shared = text.text();
    let table = match DeTable::parse(&shared) {
        Ok(table) => table,
        Err(error) => {
            text.complain_syntax(&error);
            return Err(Complaints::new(text.complaints));
        }
    };
    let top = Section {
        table: table.get_ref(),
        span: 0..0,
        what: "the manifest",
    };
    let found = match cluster {
        Some(name) => {
            let clusters = clusters(&mut text, here, &top);
            let found = clusters
                .iter()
                .find(|(known, _)| known.as_str() == name)
                .map(|(_, cluster)| cluster.clone());
            if found.is_none() && text.complaints.is_empty() {
                let known: Vec<&str> = clusters.keys().map(ClusterName::as_str).collect();
                let help = if known.is_empty() {
                    "it declares none".into()
                } else {
                    format!("it has: {}", known.join(", "))
                };
                text.complain(
                    top.key_span("clusters"),
                    format!("the manifest has no cluster `{name}`"),
                    "looked for here",
                    Some(help),
                );
            }
            found
        }
        None => top
            .table(&mut text, "rootstock", "`[rootstock]`")
            .and_then(|section| section.string(&mut text, "root"))
            .map(|root| Cluster {
                root: here.join(root.value),
                cache: None,
                access: None,
                link_mode: None,
            }),
    };
    if text.complaints.is_empty() {
        Ok(found)
    } else {
        Err(Complaints::new(text.complaints))
    }
}

struct General {
    root: Option<PathBuf>,
    targets: Vec<Target>,
    exclude_newer: Option<String>,
    /// Where the interpreters of environments that say nothing come from.
    python_source: PythonSource,
    /// Where archives with managed interpreters are mirrored.
    python_mirror: Option<String>,
    /// Who may use what is built.
    access: Option<Access>,
    /// How files of the store are put into environments.
    link_mode: Option<link::Mode>,
}

fn general(text: &mut Text, here: &Path, top: &Section) -> General {
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
            .and_then(|access| self::access(text, &access));
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
fn access(text: &mut Text, access: &Placed<String>) -> Option<Access> {
    let found = access.value.parse();
    if found.is_err() {
        let word = Some(access.value.as_str()).filter(|text| !text.contains(':'));
        let near = word.and_then(|word| nearest(word, ["world", "owner"]));
        let help = near.map_or_else(
            || {
                format!(
                    "a group that uses the root is written `group:{0}`, one that maintains it for everybody `world:{0}`",
                    access.value.rsplit(':').next().unwrap_or_default().trim()
                )
            },
            |near| format!("did you mean `{near}`?"),
        );
        text.complain(
            access.span.clone(),
            format!("`{}` does not say who may use the root", access.value),
            "`world`, `world:NAME`, `group:NAME` or `owner`",
            Some(help),
        );
    }
    found.ok()
}

/// How files of the store are put into environments; anything but a mode is complained about.
fn link_mode(text: &mut Text, mode: &Placed<String>) -> Option<link::Mode> {
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

fn clusters(text: &mut Text, here: &Path, top: &Section) -> BTreeMap<ClusterName, Cluster> {
    let mut clusters = BTreeMap::new();
    for (name, section) in top.tables(text, "clusters", "a cluster") {
        section.check_keys(text, &["root", "cache", "access", "link-mode"]);
        let link_mode = section
            .string(text, "link-mode")
            .and_then(|mode| self::link_mode(text, &mode));
        let access = section
            .string(text, "access")
            .and_then(|access| self::access(text, &access));
        let cache = section
            .string(text, "cache")
            .map(|cache| here.join(cache.value));
        let Some(root) = section.string(text, "root") else {
            if !section.has("root") {
                text.complain(
                    section.span,
                    format!("cluster `{}` has no root", name.value),
                    "here",
                    Some("add `root = \"/…\"`".into()),
                );
            }
            continue;
        };
        if let Some(name) = value::name(text, &name) {
            clusters.insert(
                name,
                Cluster {
                    root: here.join(root.value),
                    cache,
                    access,
                    link_mode,
                },
            );
        }
    }
    clusters
}

fn indexes(text: &mut Text, here: &Path, top: &Section) -> BTreeMap<IndexName, Index> {
    let mut indexes = BTreeMap::new();
    for (name, section) in top.tables(text, "indexes", "an index") {
        section.check_keys(text, &["url", "find-links", "exclude-newer"]);
        let links = section.has("find-links");
        if links == section.has("url") {
            let problem = if links {
                "both `url` and `find-links`"
            } else {
                "no url"
            };
            let help = "write one of `url = \"https://…\"`: where its simple API is, and `find-links`: a page with links to \
                        files, or a directory of files";
            text.complain(
                section.span,
                format!("index `{}` has {problem}", name.value),
                "here",
                Some(help.to_owned()),
            );
            continue;
        }
        let exclude_newer = index_exclude_newer(text, &section);
        let key = if links { "find-links" } else { "url" };
        let Some(mut address) = section.string(text, key) else {
            continue;
        };
        if links && !address.value.contains("://") {
            let there = here.join(&address.value);
            let there = files::absolute(&there).unwrap_or(there);
            address.value = fetch::file_address(&there);
        }
        if let (true, Some(name)) = (value::index_url(text, &address), value::name(text, &name)) {
            let url = address.value;
            let index = Index {
                url,
                links,
                exclude_newer,
            };
            indexes.insert(name, index);
        }
    }
    indexes
}

/// `false` or a moment.
fn index_exclude_newer(text: &mut Text, section: &Section) -> Option<ExcludeNewer> {
    const KEY: &str = "exclude-newer";
    if !section.is_boolean(KEY) {
        let moment = section.string(text, KEY)?;
        return value::moment(text, &moment).map(ExcludeNewer::Moment);
    }
    if section.boolean(text, KEY) == Some(false) {
        return Some(ExcludeNewer::Off);
    }
    text.complain(
        section.key_span(KEY),
        "`exclude-newer = true` names no moment".to_owned(),
        "here",
        Some(
            "leave it out to have that of `[rootstock]`, or write a moment, or `false` for none"
                .to_owned(),
        ),
    );
    None
}

pub(super) type Environments = Vec<(Placed<String>, Option<Environment>)>;

/// What an environment's table is read against.
pub(super) struct Surroundings<'a> {
    /// The manifest's directory.
    pub(super) here: &'a Path,
    /// Where the interpreter of an environment that says nothing comes from.
    pub(super) python_source: PythonSource,
    /// The declared indexes.
    pub(super) indexes: &'a BTreeMap<IndexName, Index>,
}

fn environments(
    text: &mut Text,
    surroundings: &Surroundings,
    top: &Section,
    sources: &mut Vec<Complaint>,
) -> (Environments, Vec<model::Placed>) {
    let mut environments = Vec::new();
    let mut models = Vec::new();
    for (name, section) in top.tables(text, "environments", "an environment") {
        let mut source_complaints = Vec::new();
        let found = environment::check(text, surroundings, &name, &section, &mut source_complaints);
        sources.append(&mut source_complaints);
        models.extend(model::short_forms(text, &name, &section));
        if found.is_empty() {
            environments.push((name, None));
            continue;
        }
        let placed = |environment: &Environment| Placed {
            value: environment.name.to_string(),
            span: name.span.clone(),
        };
        let found = found.into_iter();
        environments.extend(found.map(|found| (placed(&found), Some(found))));
    }
    environments.sort_by(|(a, _), (b, _)| a.value.cmp(&b.value));
    (environments, models)
}
