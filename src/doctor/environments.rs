//! Links, generations, stamps, trees and interpreters of a root. What they are made of is known to `store`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::digest::Digest;
use crate::files;
use crate::name::EnvironmentName;
use crate::store::installed::{Complete, Current, Generation, Installed};
use crate::store::interpreter::Base;
use crate::store::tree::{self, Here, What};
use crate::store::{Root, Tree, Verifier, inside};

use super::Finding;

/// Examines every environment of a root; every file of every generation of those that are to be read.
pub(super) fn examine<'a>(
    root: &Root,
    environments: &BTreeMap<EnvironmentName, Installed>,
    deep: &dyn Fn(&EnvironmentName) -> Option<&'a Verifier<'a>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, there) in environments {
        let deep = deep(name);
        let fix = format!("rootstock sync --repair {name}");
        if let Some(error) = &there.unreadable {
            findings.push(Finding {
                code: "unreadable",
                path: root.generations(name),
                message: error.clone(),
                fix: fix.clone(),
            });
        } else if let Some(finding) = link(root, name, &there.current, there.current()) {
            findings.push(finding);
        }
        for (id, generation) in &there.generations {
            let path = root.generation(name, id);
            match generation {
                Generation::Incomplete => findings.push(Finding {
                    code: "stamp-unreadable",
                    path: path.join(inside::STAMP),
                    message: "there is no stamp that can be read: the generation was not finished, or was changed".into(),
                    fix: fix.clone(),
                }),
                Generation::Unreadable(error) => findings.push(Finding {
                    code: "unreadable",
                    path,
                    message: error.clone(),
                    fix: fix.clone(),
                }),
                Generation::Newer(schema) => findings.push(Finding {
                    code: "stamp-newer",
                    path: path.join(inside::STAMP),
                    message: format!("a newer rootstock wrote it (schema {schema})"),
                    fix: "use that rootstock or a newer one".into(),
                }),
                Generation::Complete(complete) => {
                    let found = generation_findings(root, &path, complete, &fix, deep);
                    findings.extend(
                        found.unwrap_or_else(|error| vec![Finding::unreadable(&error, &fix)]),
                    );
                }
            }
        }
    }
    findings
}

/// Every environment that has a link or generations.
pub(super) fn names(root: &Root) -> files::Result<Vec<EnvironmentName>> {
    let linked = files::names(&root.environments())?;
    let built = files::names(&root.all_generations())?;
    let mut names: Vec<EnvironmentName> = linked
        .iter()
        .chain(&built)
        .filter_map(|name| name.parse().ok())
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn link(
    root: &Root,
    name: &EnvironmentName,
    current: &Current,
    there: Option<&Generation>,
) -> Option<Finding> {
    let (code, message) = match (current, there) {
        (Current::Nothing, _) => (
            "link-missing",
            "no link leads to a generation of this environment".into(),
        ),
        (Current::Elsewhere(path), _) => (
            "link-elsewhere",
            format!(
                "it leads to `{}`, which is no generation of this environment",
                path.display()
            ),
        ),
        (Current::Generation(id), None) => (
            "link-broken",
            format!("it leads to the generation {id}, which is not there"),
        ),
        (Current::Generation(_), Some(_)) => return None,
    };
    Some(Finding {
        code,
        path: root.current(name),
        message,
        fix: format!("rootstock sync {name}"),
    })
}

fn generation_findings(
    root: &Root,
    path: &Path,
    complete: &Complete,
    fix: &str,
    deep: Option<&Verifier>,
) -> files::Result<Vec<Finding>> {
    let Complete {
        stamp,
        base,
        damage,
        source: _,
    } = complete;
    let finding = |code, path: std::path::PathBuf, message: String| Finding {
        code,
        path,
        message,
        fix: fix.to_owned(),
    };
    let mut findings = Vec::new();
    if let Some(damage) = damage {
        findings.push(finding(
            "generation-damaged",
            path.to_owned(),
            damage.clone(),
        ));
    }
    findings.extend(base_finding(path, base, &finding));
    if let (Base::Same, Some(verifier)) = (base, deep) {
        for part in &stamp.interpreter {
            if verifier.digest_once(&part.path)? != part.sha256 {
                findings.push(finding(
                    "interpreter-changed",
                    part.path.clone(),
                    format!(
                        "`{}` was built on another file of this name",
                        path.display()
                    ),
                ));
            }
        }
    }
    let list = path.join(inside::TREE);
    if !files::exists(&list) {
        // Told as damage.
        return Ok(findings);
    }
    let text = files::read(&list)?;
    let is_known = Digest::of(&text) == stamp.tree;
    if !is_known {
        findings.push(finding(
            "tree-changed",
            list.clone(),
            format!(
                "its digest is not that of the stamp ({})",
                stamp.tree.short(12)
            ),
        ));
    }
    let tree = match Tree::parse(&String::from_utf8_lossy(&text)) {
        Ok(tree) => tree,
        Err(invalid) => {
            // Which file this is nobody knows, so that it is not quoted.
            if is_known {
                findings.push(finding("tree-changed", list, invalid.to_string()));
            }
            return Ok(findings);
        }
    };
    let python = &stamp.python;
    let differences = match deep {
        Some(verifier) => {
            let here = Here {
                executable: &python.executable,
                version: &python.identity.version,
                access: root.access(),
            };
            tree::differences(path, &tree, here, verifier)?
        }
        None => source_difference(complete, &tree),
    };
    for tree::Difference { path: below, what } in differences {
        let code = match what {
            What::Missing => "file-missing",
            What::Extra => "file-extra",
            What::Content => "file-changed",
            What::Mode => "file-mode",
            What::Unreadable => "file-unreadable",
        };
        findings.push(finding(code, path.join(&below), what.to_string()));
    }
    Ok(findings)
}

/// How the interpreter of a generation is not what it was.
fn base_finding(
    generation: &Path,
    base: &Base,
    finding: &dyn Fn(&'static str, std::path::PathBuf, String) -> Finding,
) -> Option<Finding> {
    let generation = generation.display();
    let (code, python, message) = match base {
        Base::Same => return None,
        Base::Changed(python) => (
            "interpreter-changed",
            python,
            format!("`{generation}` was built on another file of this name"),
        ),
        Base::Missing(python) => (
            "interpreter-missing",
            python,
            format!("`{generation}` was built on it"),
        ),
        Base::Closed(python) => (
            "interpreter-closed",
            python,
            format!("`{generation}` was built on it, and you may not read it"),
        ),
    };
    Some(finding(code, python.clone(), message))
}

/// The source is read in any case, and is what people are most tempted to edit in place.
fn source_difference(complete: &Complete, tree: &Tree) -> Vec<tree::Difference> {
    let listed = match tree.0.get(inside::SOURCE) {
        Some(tree::Item::File { sha256, .. }) => Some(*sha256),
        _ => None,
    };
    let what = match complete.source {
        None => What::Missing,
        found if found == listed => return Vec::new(),
        _ => What::Content,
    };
    vec![tree::Difference {
        path: inside::SOURCE.to_owned(),
        what,
    }]
}
