//! The configuration of a user or of a site: clusters with their roots, and the hosts that belong to each.
//!
//! ```toml
//! [clusters.della]
//! root = "/scratch/shared/rootstock"
//! cache = "/scratch/shared/weights"   # if not in the root
//! hosts = ["della*", "della-gpu?"]    # by name, with or without its domain
//! ```
//!
//! It is no manifest and names no environments. Where it lies, and whether it may be believed, is decided elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::complaint::{Complaints, Text};
use super::reader::{Placed, Section};
use super::{Cluster, check};
use crate::files;
use crate::name::ClusterName;

/// A configuration.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its clusters.
    pub(crate) clusters: BTreeMap<ClusterName, Cluster>,
    /// The hosts of each, as patterns.
    hosts: BTreeMap<ClusterName, Vec<String>>,
}

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum Error {
    /// It cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
    /// Something is wrong with it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Complaints(#[from] Complaints),
}

impl Configuration {
    /// Reads and checks a configuration.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let real = files::real_path(path)?;
        let here = real.parent().unwrap_or(Path::new("/"));
        let name = Path::new(real.file_name().unwrap_or_default());
        let written = files::read_text_of_project(here, name)?;
        let mut text = Text::new(&path.display().to_string(), written);
        let configuration = Self::check(&mut text, path, directory);
        if text.complaints.is_empty() {
            return Ok(configuration);
        }
        let what = format!("wrong with the configuration `{}`", path.display());
        Err(Complaints::with_headline(text.complaints, &what).into())
    }

    fn check(text: &mut Text, path: &Path, directory: &Path) -> Self {
        let mut configuration = Self {
            path: path.to_owned(),
            clusters: BTreeMap::new(),
            hosts: BTreeMap::new(),
        };
        let content = text.text();
        let (table, errors) = DeTable::parse_recoverable(&content);
        for error in &errors {
            text.complain_syntax(error);
        }
        if !errors.is_empty() {
            return configuration;
        }
        let top = Section {
            table: table.get_ref(),
            span: 0..0,
            what: "a configuration",
        };
        top.check_keys(text, &["clusters"]);
        for (name, section) in top.tables(text, "clusters", "a cluster") {
            section.check_keys(text, &["root", "cache", "access", "link-mode", "hosts"]);
            let hosts = section.strings(text, "hosts");
            for key in ["root", "cache"] {
                absolute(text, &section, key);
            }
            let hosts: Vec<String> = hosts.into_iter().map(|host| host.value).collect();
            if let Some((name, cluster)) = check::cluster(text, directory, &name, &section) {
                configuration.hosts.insert(name.clone(), hosts);
                configuration.clusters.insert(name, cluster);
            }
        }
        configuration
    }

    /// The cluster of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Cluster> {
        let mut clusters = self.clusters.iter();
        let found = clusters.find(|(known, _)| known.as_str() == name);
        found.map(|(_, cluster)| cluster)
    }

    /// The clusters that a host belongs to.
    pub(crate) fn of_host(&self, host: &str) -> Vec<(&ClusterName, &Cluster)> {
        let short = host.split('.').next().unwrap_or(host);
        let is_of = |name: &ClusterName| {
            let mut patterns = self.hosts[name].iter();
            patterns.any(|pattern| matches(pattern, host) || matches(pattern, short))
        };
        self.clusters
            .iter()
            .filter(|(name, _)| is_of(name))
            .collect()
    }
}

/// Complains about a path that means another place in every directory.
fn absolute(text: &mut Text, section: &Section, key: &str) {
    let Some(Placed { value, span }) = section.string(text, key) else {
        return;
    };
    if !Path::new(&value).is_absolute() {
        text.complain(
            span,
            format!("`{value}` is not an absolute path"),
            "here",
            Some("begin it with `/`".to_owned()),
        );
    }
}

/// Whether a host's name is like a pattern, in which `*` stands for anything and `?` for one character. Capitals are no
/// difference (RFC 4343).
fn matches(pattern: &str, host: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let host: Vec<char> = host.to_lowercase().chars().collect();
    let (mut p, mut h, mut star) = (0, 0, None);
    while h < host.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, h));
                p += 1;
            }
            Some(c) if *c == '?' || *c == host[h] => {
                p += 1;
                h += 1;
            }
            _ => match star {
                Some((at, begin)) => {
                    // The star stands for one character more.
                    star = Some((at, begin + 1));
                    p = at + 1;
                    h = begin + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_names_of_hosts() {
        for (pattern, host, expected) in [
            ("della*", "della-gpu", true),
            ("della*", "della", true),
            ("della?", "della", false),
            ("della?", "Della8", true),
            ("*gpu*1", "della-gpu-gpu-11", true),
            ("*", "", true),
            ("", "x", false),
            ("nid??????", "nid001234", true),
            ("a*b*c", "a-b-d", false),
        ] {
            assert_eq!(matches(pattern, host), expected, "{pattern} {host}");
        }
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
    }
}
