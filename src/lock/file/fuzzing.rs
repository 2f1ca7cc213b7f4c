//! Locks with any content: mutated ones have the digests of the one before, and would all be refused for that.

use super::verify::{Sections, environment, model, target};
use super::{Lock, Written};
use crate::digest::Digest;

/// The lock that a text would be if its author had computed the digests; `None` if it is none all the same.
pub(crate) fn resealed(text: &str) -> Option<Lock> {
    let written: Written = toml::from_str(text).ok()?;
    let sections = Sections::new(written.pythons, written.files);
    let mut lock = Lock {
        environments: Vec::new(),
        models: Vec::new(),
    };
    for mut written in written.environment {
        let targets = std::mem::take(&mut written.target);
        let mut environment = environment(written, &sections, &mut Vec::new());
        environment.inputs = Digest::of(environment.asked());
        for mut written in targets {
            written.trees.clear();
            let mut target = target(written, &sections, &mut |_| {})?;
            target.digest = Digest::of(environment.answer(&target));
            environment.targets.push(target);
        }
        lock.environments.push(environment);
    }
    for (id, written) in written.models {
        lock.models.push(model(id, written, &mut Vec::new()));
    }
    Some(lock)
}
