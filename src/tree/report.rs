//! The packages of an environment, for people as a tree and for programs as a list.

use std::collections::BTreeSet;
use std::fmt::{self, Formatter};

use pep508_rs::PackageName;
use serde::{Serialize, Serializer};

use super::{Edge, Package, Tree};
use crate::report::line;

/// From where the tree is looked at.
#[derive(Debug)]
pub(crate) enum View {
    /// From what the environment asks for.
    Whole,
    /// From one package to those that ask for it.
    Inverted(PackageName),
}

/// A tree and how it is looked at.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) tree: Tree,
    pub(crate) view: View,
}

/// A package in JSON.
#[derive(Serialize)]
struct Entry<'a> {
    name: String,
    version: String,
    /// Where it comes from, if not from the default index.
    origin: Option<&'a str>,
    requires: Vec<Required>,
    required_by: Vec<Required>,
}

/// A requirement in JSON; of the environment itself if `name` is null.
#[derive(Serialize)]
struct Required {
    name: Option<String>,
    extras: Vec<String>,
    bound: String,
}

impl Required {
    fn of(name: Option<&PackageName>, edge: &Edge) -> Self {
        Self {
            name: name.map(ToString::to_string),
            extras: edge.extras.iter().map(ToString::to_string).collect(),
            bound: edge.bound.clone(),
        }
    }
}

impl Tree {
    /// Those that ask for a package; the environment itself is no package.
    fn asking(&self, name: &PackageName) -> Vec<(Option<&PackageName>, &Edge)> {
        let own = self.roots.iter().map(|edge| (None, edge));
        let packages = self.packages.iter();
        let others = packages
            .flat_map(|(by, package)| package.requires.iter().map(move |edge| (Some(by), edge)));
        own.chain(others)
            .filter(|(_, edge)| edge.name == *name)
            .collect()
    }

    fn entry(&self, name: &PackageName) -> Entry<'_> {
        let package = &self.packages[name];
        let requires = package.requires.iter();
        let asking = self.asking(name).into_iter();
        Entry {
            name: name.to_string(),
            version: package.version.to_string(),
            origin: package.origin.as_deref(),
            requires: requires
                .map(|edge| Required::of(Some(&edge.name), edge))
                .collect(),
            required_by: asking.map(|(by, edge)| Required::of(by, edge)).collect(),
        }
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tree = &self.tree;
        match &self.view {
            View::Whole => {
                serializer.collect_seq(tree.packages.keys().map(|name| tree.entry(name)))
            }
            View::Inverted(name) => tree.entry(name).serialize(serializer),
        }
    }
}

/// `numpy 2.4.0 (>=1.21) from index own`.
fn label(name: &PackageName, package: Option<&Package>, edge: Option<&Edge>) -> String {
    let extras = edge
        .map(|edge| &edge.extras)
        .filter(|extras| !extras.is_empty());
    let extras = extras.map_or(String::new(), |extras| {
        let names: Vec<String> = extras.iter().map(ToString::to_string).collect();
        format!("[{}]", names.join(","))
    });
    let version = package.map_or("not installed".to_owned(), |package| {
        package.version.to_string()
    });
    let bound = edge
        .map(|edge| edge.bound.as_str())
        .filter(|bound| !bound.is_empty());
    let bound = bound.map_or(String::new(), |bound| format!(" ({bound})"));
    let origin = package.and_then(|package| package.origin.as_ref());
    let origin = origin.map_or(String::new(), |origin| format!(" from {origin}"));
    format!("{name}{extras} {version}{bound}{origin}")
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let tree = &self.tree;
        let mut drawing = Drawing {
            tree,
            seen: BTreeSet::new(),
            repeats: false,
        };
        match &self.view {
            View::Whole => {
                line(out, &tree.environment)?;
                let edges: Vec<&Edge> = tree.roots.iter().collect();
                drawing.down(out, &edges, "")?;
            }
            View::Inverted(name) => {
                line(out, label(name, tree.packages.get(name), None))?;
                drawing.seen.insert(name);
                drawing.up(out, name, "")?;
            }
        }
        if drawing.repeats {
            line(out, "(*) shown above")?;
        }
        Ok(())
    }
}

/// What was drawn so far: a package with its branches is drawn once.
struct Drawing<'t> {
    tree: &'t Tree,
    seen: BTreeSet<&'t PackageName>,
    repeats: bool,
}

impl<'t> Drawing<'t> {
    fn branch(is_last: bool) -> (&'static str, &'static str) {
        if is_last {
            ("└── ", "    ")
        } else {
            ("├── ", "│   ")
        }
    }

    fn down(&mut self, out: &mut Formatter<'_>, edges: &[&'t Edge], indent: &str) -> fmt::Result {
        for (at, edge) in edges.iter().enumerate() {
            let (begin, more) = Self::branch(at + 1 == edges.len());
            let package = self.tree.packages.get(&edge.name);
            let below: Vec<&Edge> =
                package.map_or_else(Vec::new, |package| package.requires.iter().collect());
            let repeated = !self.seen.insert(&edge.name) && !below.is_empty();
            self.repeats |= repeated;
            let mark = if repeated { " (*)" } else { "" };
            line(
                out,
                format_args!(
                    "{indent}{begin}{}{mark}",
                    label(&edge.name, package, Some(edge))
                ),
            )?;
            if !repeated {
                self.down(out, &below, &format!("{indent}{more}"))?;
            }
        }
        Ok(())
    }

    /// Those that ask for a package, with the bound that each has for it.
    fn up(&mut self, out: &mut Formatter<'_>, name: &PackageName, indent: &str) -> fmt::Result {
        let asking = self.tree.asking(name);
        for (at, (by, edge)) in asking.iter().enumerate() {
            let (begin, more) = Self::branch(at + 1 == asking.len());
            let bound = match edge.bound.as_str() {
                "" => "any version".to_owned(),
                bound => bound.to_owned(),
            };
            let Some(by) = by else {
                let environment = &self.tree.environment;
                line(
                    out,
                    format_args!("{indent}{begin}environment {environment} asks for {bound}"),
                )?;
                continue;
            };
            let known = self.tree.packages.get_key_value(*by);
            let Some((by, package)) = known else { continue };
            let repeated = !self.seen.insert(by);
            self.repeats |= repeated;
            let mark = if repeated { " (*)" } else { "" };
            line(
                out,
                format_args!(
                    "{indent}{begin}{by} {} asks for {bound}{mark}",
                    package.version
                ),
            )?;
            if !repeated {
                self.up(out, by, &format!("{indent}{more}"))?;
            }
        }
        Ok(())
    }
}
