//! Trees and what the lock records of them: what was built here, to be recorded, and what to say of a build that is
//! another one. The lock is not written here.

use std::path::PathBuf;

use crate::digest::Digest;
use crate::files;
use crate::lock::{LockedEnvironment, LockedTarget, PythonSource, RecordedTree};
use crate::plan;
use crate::store::installed::{self, Generation};
use crate::store::{Root, Stamp, Tree, Verifier, inside, trash};

/// What was built is not what the lock records.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error(
    "what was built has the tree {built}, and the lock records {recorded} for it (generation {id}, Python {python}); \
     nothing was published"
)]
#[diagnostic(help("{help}"))]
pub struct TreeMismatch {
    /// The tree digest of what was built.
    pub built: Digest,
    /// What the lock records.
    pub recorded: Digest,
    /// The generation.
    pub id: String,
    /// The exact version of its interpreter.
    pub python: String,
    /// What may be the reason, and what to do.
    pub help: String,
}

/// Explains what differs, and keeps the list of what was built for people to look at.
pub(super) fn tree_mismatch(
    root: &Root,
    target: &LockedTarget,
    stamp: &Stamp,
    recorded: Digest,
    tree: &Tree,
) -> files::Result<TreeMismatch> {
    let label = format!("{}-{}", stamp.environment, stamp.id);
    let list = trash::keep(root, &label, inside::TREE, &tree.text())?;
    let python = &stamp.python.identity.version;
    let mut reasons = vec![
        "something in the store was changed, here or there: `rootstock sync --repair` makes it again".to_owned(),
    ];
    if !target.builds.is_empty() {
        let names: Vec<&str> = target.builds.keys().map(AsRef::as_ref).collect();
        let names = names.join(", ");
        reasons.push(format!(
            "built from source, and not the same with another compiler: {names}"
        ));
    }
    if target.python.source == PythonSource::System {
        reasons.push(format!(
            "the system's Python {python} here compiles to other bytecode: a managed one is the same everywhere"
        ));
    }
    let help = format!(
        "`diff` shows which files they are: `{}` lists those of this build, `{}` in the generation those of the recorded \
         one. Possible reasons:\n- {}",
        list.display(),
        inside::TREE,
        reasons.join("\n- ")
    );
    Ok(TreeMismatch {
        built: stamp.tree,
        recorded,
        id: stamp.id.clone(),
        python: python.clone(),
        help,
    })
}

/// What is there to be recorded of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Built {
    /// This generation, every byte of which is as in its tree.
    Whole {
        /// Its id.
        id: String,
        /// The lock's record of it.
        record: RecordedTree,
    },
    /// Nothing that is built from this answer; why.
    Not(String),
    /// This generation is damaged.
    Damaged(PathBuf),
}

/// Reads what is built of an environment to the end. Uses the rayon pool it is called in.
pub(crate) fn built(
    root: &Root,
    environment: &LockedEnvironment,
    target: &LockedTarget,
    verifier: &Verifier,
) -> files::Result<Built> {
    let mut all = installed::read(root, [&environment.name]);
    let installed = all.remove(&environment.name).unwrap_or_default();
    // What is recorded already is compared by the caller.
    let unrecorded = LockedTarget {
        trees: std::collections::BTreeMap::new(),
        ..target.clone()
    };
    if let Some(reason) = plan::reason(environment, &unrecorded, &installed) {
        return Ok(Built::Not(reason.to_string()));
    }
    let Some(Generation::Complete(there)) = installed.current() else {
        unreachable!("only a finished generation is without reason to change")
    };
    let stamp = &there.stamp;
    let path = root.generation(&environment.name, &stamp.id);
    if !installed::is_intact(root, &path, stamp, verifier)? {
        return Ok(Built::Damaged(path));
    }
    Ok(Built::Whole {
        id: stamp.id.clone(),
        record: RecordedTree {
            python: stamp.python.identity.version.clone(),
            tree: stamp.tree,
        },
    })
}
