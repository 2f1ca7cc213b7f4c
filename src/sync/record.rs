//! The tree digests of what is built in a root, put into the lock: from then on a build with other files is refused,
//! wherever it is made.

use crate::build::record::{self, Built};
use crate::files;
use crate::lock::{Lock, LockedEnvironment};
use crate::name::EnvironmentName;
use crate::store::{Root, Verifier};

/// Nothing was recorded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// What is built is damaged, or another one than what is recorded; each in a line.
    #[error("nothing was recorded:\n{}", .0.join("\n"))]
    #[diagnostic(help(
        "find out which of the two is as it should be; what is recorded wrongly is forgotten by removing its line from \
         the lock, and with the last line the empty line and the title `[environment.target.trees]` above it"
    ))]
    Wrong(Vec<String>),
    /// Nothing is built.
    #[error("nothing in `{0}` is built from this lock")]
    #[diagnostic(help("build it first, with `rootstock sync`, and record it then"))]
    NotBuilt(String),
    /// A file operation failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Files(#[from] files::Error),
}

/// The lock with the trees of what is built in this root for this machine type: of these environments, or of all.
/// `skipped` is called with each environment of which there is nothing to record, and why. Uses the rayon pool it is
/// called in.
pub fn record(
    root: &Root,
    lock: &Lock,
    only: Option<&[EnvironmentName]>,
    machine: &str,
    skipped: &dyn Fn(&EnvironmentName, &str),
) -> Result<Lock, Error> {
    let mut new = lock.clone();
    let verifier = Verifier::default();
    let (mut wrong, mut any) = (Vec::new(), false);
    let asked = |environment: &&mut LockedEnvironment| {
        only.is_none_or(|only| only.contains(&environment.name))
    };
    for environment in new.environments.iter_mut().filter(asked) {
        let Some(target) = environment.target(machine) else {
            continue;
        };
        let name = environment.name.clone();
        match record::built(root, environment, target, &verifier)? {
            Built::Not(why) => skipped(&name, &why),
            Built::Damaged(path) => wrong.push(format!(
                "{name}: `{}` is not as it was built (`rootstock sync --repair {name}` builds it again)",
                path.display()
            )),
            Built::Whole { id, record } => match target.recorded(&id) {
                Some(tree) if *tree != record.tree => wrong.push(format!(
                    "{name}: generation {id} has the tree {} here, and {tree} is recorded",
                    record.tree
                )),
                _ => {
                    any = true;
                    let mut targets = environment.targets.iter_mut();
                    let target = targets.find(|target| target.target.name() == machine);
                    let target = target.expect("it was found above");
                    target.trees.insert(id, record);
                }
            },
        }
    }
    if !wrong.is_empty() {
        return Err(Error::Wrong(wrong));
    }
    if !any {
        return Err(Error::NotBuilt(root.path().display().to_string()));
    }
    Ok(new)
}
