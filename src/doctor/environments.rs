//! Links, generations, stamps, trees and interpreters of a root. Their formats are those of `store`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::files;
use crate::name::EnvironmentName;
use crate::store::installed::{Complete, Current, Generation, Installed};
use crate::store::interpreter::Base;
use crate::store::tree::{self, DifferenceKind, Placeholders};
use crate::store::{Root, Tree, Verifier, inside};

use super::finding::{Code, Finding};

/// Examines every environment of a root; every file of every generation of those that are to be read.
pub(super) fn examine<'a>(
    root: &Root,
    environments: &BTreeMap<EnvironmentName, Installed>,
    deep: &dyn Fn(&EnvironmentName) -> Option<&'a Verifier<'a>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, there) in environments {
        let fix = format!("rootstock sync --repair {name}");
        findings.extend(match &there.unreadable {
            Some(error) => Some(Finding::new(
                Code::Unreadable,
                root.generations(name),
                error,
                &fix,
            )),
            None => link(root, name, &there.current, there.current()),
        });
        for (id, generation) in &there.generations {
            let examination = Examination {
                root,
                path: root.generation(name, id),
                fix: &fix,
                deep: deep(name),
            };
            findings.extend(examination.generation(generation));
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
            Code::LinkMissing,
            "no link points to a generation of this environment".into(),
        ),
        (Current::Elsewhere(path), _) => (
            Code::LinkElsewhere,
            format!(
                "it points to `{}`, which is not a generation of this environment",
                path.display()
            ),
        ),
        (Current::Generation(id), None) => (
            Code::LinkBroken,
            format!("it points to the generation {id}, which is missing"),
        ),
        (Current::Generation(_), Some(_)) => return None,
    };
    let fix = format!("rootstock sync {name}");
    Some(Finding::new(code, root.current(name), message, fix))
}

/// The examination of one generation.
struct Examination<'a> {
    root: &'a Root,
    path: PathBuf,
    /// The command that repairs it.
    fix: &'a str,
    /// Where every file is to be read.
    deep: Option<&'a Verifier<'a>>,
}

impl Examination<'_> {
    fn finding(&self, code: Code, path: impl Into<PathBuf>, message: impl Into<String>) -> Finding {
        Finding::new(code, path, message, self.fix)
    }

    fn generation(&self, generation: &Generation) -> Vec<Finding> {
        let stamp = self.path.join(inside::STAMP);
        match generation {
            Generation::Incomplete => {
                let message =
                    "it has no readable stamp: the build was interrupted, or the stamp was changed";
                vec![self.finding(Code::StampUnreadable, stamp, message)]
            }
            Generation::Unreadable(error) => {
                vec![self.finding(Code::Unreadable, &self.path, error)]
            }
            Generation::Newer(schema) => {
                let message = format!("a newer rootstock wrote it (schema {schema})");
                let fix = "use that rootstock or a newer one";
                vec![Finding::new(Code::StampNewer, stamp, message, fix)]
            }
            Generation::Complete(complete) => self
                .complete(complete)
                .unwrap_or_else(|error| vec![Finding::unreadable(&error, self.fix)]),
        }
    }

    fn complete(&self, complete: &Complete) -> files::Result<Vec<Finding>> {
        let damage = complete.damage.iter();
        let damage = damage.map(|text| self.finding(Code::GenerationDamaged, &self.path, text));
        let mut findings: Vec<Finding> = damage.chain(self.interpreter(&complete.base)).collect();
        if let (Base::Same, Some(verifier)) = (&complete.base, self.deep) {
            findings.extend(self.interpreter_files(complete, verifier)?);
        }
        // A missing list is reported as damage.
        if files::exists(&self.path.join(inside::TREE)) {
            findings.extend(self.tree(complete)?);
        }
        Ok(findings)
    }

    /// How the interpreter differs from the one the generation was built on.
    fn interpreter(&self, base: &Base) -> Option<Finding> {
        let built = format!("`{}` was built on", self.path.display());
        let (code, python, message) = match base {
            Base::Same => return None,
            Base::Changed(python) => (
                Code::InterpreterChanged,
                python,
                format!("{built} another file of this name"),
            ),
            Base::Missing(python) => (Code::InterpreterMissing, python, format!("{built} it")),
            Base::Closed(python) => (
                Code::InterpreterClosed,
                python,
                format!("{built} it, and you may not read it"),
            ),
        };
        Some(self.finding(code, python, message))
    }

    /// Files of the interpreter whose digest is not that of the stamp.
    fn interpreter_files(
        &self,
        complete: &Complete,
        verifier: &Verifier,
    ) -> files::Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for part in &complete.stamp.interpreter {
            if verifier.digest_once(&part.path)? != part.sha256 {
                let generation = self.path.display();
                let message = format!("`{generation}` was built on another file of this name");
                findings.push(self.finding(Code::InterpreterChanged, &part.path, message));
            }
        }
        Ok(findings)
    }

    /// How the files differ from the list of them, and the list from the stamp.
    fn tree(&self, complete: &Complete) -> files::Result<Vec<Finding>> {
        let (stamp, list) = (&complete.stamp, self.path.join(inside::TREE));
        let text = files::read(&list)?;
        let is_known = Digest::of(&text) == stamp.tree;
        let mut findings = Vec::new();
        if !is_known {
            let message = format!(
                "its digest is not that of the stamp ({})",
                stamp.tree.short(12)
            );
            findings.push(self.finding(Code::TreeChanged, &list, message));
        }
        match Tree::parse(&String::from_utf8_lossy(&text)) {
            Ok(tree) => {
                findings.extend(self.extensions(complete, &tree));
                findings.extend(self.files(complete, &tree)?);
            }
            // The content of a replaced list may be anything: it is not quoted.
            Err(_) if !is_known => {}
            Err(invalid) => {
                findings.push(self.finding(Code::TreeChanged, list, invalid.to_string()));
            }
        }
        Ok(findings)
    }

    /// Compiled modules that the generation's Python cannot load.
    fn extensions(&self, complete: &Complete, tree: &Tree) -> Vec<Finding> {
        let soabi = &complete.stamp.python.identity.soabi;
        let foreign = tree.0.keys().filter_map(|path| {
            let tag = extension_tag(path).filter(|tag| tag != soabi)?;
            let message = format!("it is for `{tag}`, and this environment's Python is `{soabi}`");
            Some(self.finding(Code::ExtensionForeign, self.path.join(path), message))
        });
        foreign.collect()
    }

    fn files(&self, complete: &Complete, tree: &Tree) -> files::Result<Vec<Finding>> {
        let python = &complete.stamp.python;
        let differences = match self.deep {
            Some(verifier) => {
                let here = Placeholders {
                    executable: &python.executable,
                    version: &python.identity.version,
                    access: self.root.access(),
                };
                tree::differences(&self.path, tree, here, verifier)?
            }
            None => source_difference(complete, tree),
        };
        let finding = |tree::Difference { path, what }| {
            let code = match what {
                DifferenceKind::Missing => Code::FileMissing,
                DifferenceKind::Extra => Code::FileExtra,
                DifferenceKind::Content => Code::FileChanged,
                DifferenceKind::Mode => Code::FileMode,
                DifferenceKind::Unreadable => Code::FileUnreadable,
            };
            self.finding(code, self.path.join(path), what.to_string())
        };
        Ok(differences.into_iter().map(finding).collect())
    }
}

/// Which Python a compiled module is for, as its name says: `cpython-312-x86_64-linux-gnu`; `None` of other libraries, and of
/// those for the stable ABI.
fn extension_tag(path: &str) -> Option<&str> {
    let (_, tag) = path.strip_suffix(".so")?.rsplit_once('.')?;
    let of_interpreters = ["cpython-", "pypy", "graalpy"];
    of_interpreters
        .iter()
        .any(|of| tag.starts_with(of))
        .then_some(tag)
}

/// The source is always read: it is the file that people are most likely to edit in place.
fn source_difference(complete: &Complete, tree: &Tree) -> Vec<tree::Difference> {
    let listed = match tree.0.get(inside::SOURCE) {
        Some(tree::Item::File { sha256, .. }) => Some(*sha256),
        _ => None,
    };
    let what = match complete.source {
        None => DifferenceKind::Missing,
        found if found == listed => return Vec::new(),
        _ => DifferenceKind::Content,
    };
    vec![tree::Difference {
        path: inside::SOURCE.to_owned(),
        what,
    }]
}

#[cfg(test)]
mod tests {
    use super::extension_tag;

    #[test]
    fn a_name_says_which_python_a_library_is_for() {
        for (path, tag) in [
            (
                "a/_x.cpython-312-x86_64-linux-gnu.so",
                Some("cpython-312-x86_64-linux-gnu"),
            ),
            (
                "a/_x.pypy39-pp73-x86_64-linux-gnu.so",
                Some("pypy39-pp73-x86_64-linux-gnu"),
            ),
            ("a/_x.abi3.so", None),
            ("a/_x.so", None),
            ("numpy.libs/libopenblas-6cdc3b4a.so", None),
            ("a/libgfortran-040039e1.5.0.0.so", None),
            ("a/libx.so.1", None),
            ("a/cpython-312.py", None),
        ] {
            assert_eq!(extension_tag(path), tag, "{path}");
        }
    }
}
