//! `rootstock lock --record`: the tree digests of what is built here, into the lock. From then on a build that is
//! another one is refused, wherever it is made.

use std::path::Path;

use super::exit::{Exit, Failure, OrExit};
use super::{Shared, lock, place, show};
use crate::build::record::{self, Built};
use crate::lock::drift::Finding;
use crate::lock::{Lock, LockedEnvironment};
use crate::manifest::Manifest;
use crate::name::EnvironmentName;
use crate::store::Verifier;

/// The lock with what is built here in it; or what the manifest and the lock differ in.
pub(super) fn record(
    shared: &Shared,
    manifest: &Manifest,
    path: &Path,
    only: Option<&[EnvironmentName]>,
) -> Result<Result<(Lock, Lock), Vec<Finding>>, Failure> {
    let old = match lock::current(manifest, path, only)? {
        Ok(current) => current.lock,
        Err(findings) => return Ok(Err(findings)),
    };
    let root = place::root(shared, manifest)?;
    let machine = place::target()?;
    let mut new = old.clone();
    let verifier = Verifier::default();
    let (mut wrong, mut any) = (Vec::new(), false);
    let asked =
        |environment: &&LockedEnvironment| only.is_none_or(|only| only.contains(&environment.name));
    for environment in old.environments.iter().filter(asked) {
        let name = &environment.name;
        let Some(target) = environment.target(machine) else {
            continue;
        };
        match record::built(&root, environment, target, &verifier).or_exit(Exit::Failed)? {
            Built::Not(why) => show::remark(&format!("{name}: nothing to record: {why}")),
            Built::Damaged(path) => wrong.push(format!(
                "{name}: `{}` is not as it was built (`rootstock sync --repair {name}` mends it)",
                path.display()
            )),
            Built::Whole { id, record } => match target.recorded(&id) {
                Some(tree) if *tree != record.tree => wrong.push(format!(
                    "{name}: generation {id} has the tree {} here, and {tree} is recorded",
                    record.tree
                )),
                _ => {
                    any = true;
                    let environments = new.environments.iter_mut();
                    let targets = environments.filter(|e| e.name == *name);
                    let mut targets = targets.flat_map(|e| &mut e.targets);
                    let target = targets.find(|t| t.target.name() == machine);
                    target
                        .expect("it is a copy of the one it was found in")
                        .trees
                        .insert(id, record);
                }
            },
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            &format!("nothing was recorded:\n{}", wrong.join("\n")),
            Some(
                "find out which of the two is as it should be; what is recorded wrongly is forgotten by removing its line \
                 from the lock, and with the last line the empty line and the title `[environment.target.trees]` above it",
            ),
        ));
    }
    if !any {
        return Err(Failure::new(
            Exit::Environment,
            &format!(
                "nothing in `{}` is built from this lock",
                root.path().display()
            ),
            Some("build it first, with `rootstock sync`, and record it then"),
        ));
    }
    Ok(Ok((old, new)))
}
