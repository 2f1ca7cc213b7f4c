//! From `rootstock.toml` as written to the manifest as meant; every complaint about the file.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::DeTable;

use super::about::{self, Declared};
use super::complaint::{Complaint, Complaints, Text};
use super::environment::{self, Context, Environments};
use super::general::{self, access, link_mode};
use super::reader::{Placed, Section};
use super::{Cluster, Environment, ExcludeNewer, Index, Manifest, model, runtime, value};
use crate::fetch;
use crate::files;
use crate::name::{ClusterName, IndexName};

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
            "runtime",
        ],
    );
    let install = runtime::read(&mut text, &top);
    let general = general::check(&mut text, here, &top);
    let clusters = clusters(&mut text, here, &top);
    let indexes = indexes(&mut text, here, &top);
    let mut sources = Vec::new();
    let (environments, mut models, declared) = environments(
        &mut text,
        &Context {
            here,
            python_source: general.python_source,
            exclude_newer: general.exclude_newer.as_deref(),
            indexes: &indexes,
        },
        &top,
        &mut sources,
    );
    let long_forms = model::long_forms(&mut text, here, &top, &environments, &declared);
    models.extend(long_forms);
    let models = model::unique(&mut text, here, models);
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
        install: install.unwrap_or_default(),
        clusters,
        indexes,
        environments: environments
            .into_iter()
            .filter_map(|(_, environment)| environment)
            .collect(),
        models,
    })
}

/// Checks only where the root is.
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
            let mut known = clusters.into_iter();
            known
                .find(|(known, _)| known.as_str() == name)
                .map(|(_, cluster)| cluster)
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

fn clusters(text: &mut Text, here: &Path, top: &Section) -> BTreeMap<ClusterName, Cluster> {
    let mut clusters = BTreeMap::new();
    for (name, section) in top.tables(text, "clusters", "a cluster") {
        section.check_keys(text, &["root", "cache", "access", "link-mode"]);
        clusters.extend(cluster(text, here, &name, &section));
    }
    clusters
}

/// A cluster of a manifest or of a configuration.
pub(super) fn cluster(
    text: &mut Text,
    here: &Path,
    name: &Placed<String>,
    section: &Section,
) -> Option<(ClusterName, Cluster)> {
    let link_mode = section
        .string(text, "link-mode")
        .and_then(|mode| link_mode(text, &mode));
    let access = section
        .string(text, "access")
        .and_then(|policy| access(text, &policy));
    let cache = section
        .string(text, "cache")
        .map(|cache| here.join(cache.value));
    let Some(root) = section.string(text, "root") else {
        if !section.has("root") {
            text.complain(
                section.span.clone(),
                format!("cluster `{}` has no root", name.value),
                "here",
                Some("add `root = \"/…\"`".into()),
            );
        }
        return None;
    };
    let cluster = Cluster {
        root: here.join(root.value),
        cache,
        access,
        link_mode,
    };
    Some((value::name(text, name)?, cluster))
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

fn environments(
    text: &mut Text,
    context: &Context,
    top: &Section,
    sources: &mut Vec<Complaint>,
) -> (Environments, Vec<model::Placed>, BTreeMap<String, Declared>) {
    let mut environments = Vec::new();
    let mut models = Vec::new();
    let mut declared = BTreeMap::new();
    for (name, section) in top.tables(text, "environments", "an environment") {
        let mut source_complaints = Vec::new();
        let found = environment::check(text, context, &name, &section, &mut source_complaints);
        sources.append(&mut source_complaints);
        let about = about::of_environment(text, context.here, &section);
        models.extend(model::short_forms(text, &name, &section, &about));
        let found = found.into_iter().map(|environment| Environment {
            about: about.about.clone(),
            ..environment
        });
        let found: Vec<Environment> = found.collect();
        declared.insert(name.value.clone(), about);
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
    (environments, models, declared)
}
