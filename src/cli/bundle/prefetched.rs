//! What models without weights have fetched by themselves, on its way into a bundle. Nothing is built and no model is
//! loaded here: `sync` into the manifest's root has recorded it, or has not.

use super::{Failures, entry};
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::cli::{Shared, context, outcome, place, show};
use crate::digest::Digest;
use crate::lock::{Lock, LockedModel};
use crate::manifest::Manifest;
use crate::name::EnvironmentName;
use crate::plan;
use crate::prefetch;
use crate::store::bundle::Entry;
use crate::store::{Root, prefetched};

/// Models without weights, which fetch what they need themselves.
pub(super) struct Prefetched<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) lock: &'a Lock,
    pub(super) targets: &'a [String],
    pub(super) chosen: &'a [EnvironmentName],
}

impl Prefetched<'_> {
    /// Carries what is on record, and says of which models nothing is.
    pub(super) fn fill(
        &self,
        to: &Root,
        shared: &Shared,
    ) -> Result<(Vec<Entry>, Failures), Failure> {
        let environments = self.manifest.environments.iter();
        let wanted =
            |name: &&EnvironmentName| environments.clone().any(|e| e.name == **name && e.prefetch);
        let chosen: Vec<EnvironmentName> = self.chosen.iter().filter(wanted).cloned().collect();
        // Without a root nothing was recorded.
        let root = place::root(shared, self.manifest).ok();
        let (mut entries, mut failures, mut unknown) = (Vec::new(), Failures::new(), Vec::new());
        for model in plan::prefetched_of(self.lock, &chosen) {
            let keys = self.keys(&model)?;
            let there = root
                .as_ref()
                .map(|root| prefetched::read(root, &model.id, false));
            let there = there.transpose().or_exit(Exit::Failed)?.flatten();
            let (Some(root), Some(there)) = (&root, there) else {
                unknown.push(model.id.to_string());
                continue;
            };
            let record = there.record;
            if !keys.contains(&record.key) {
                unknown.push(model.id.to_string());
                continue;
            }
            let variables = context::kept_environment();
            match prefetch::carry(&model.id, &record, (root, to), &variables) {
                Ok(()) => {
                    for file in &record.files {
                        let name = format!("left by {}", model.id);
                        entries.push(entry(to, &file.path, &name)?);
                    }
                }
                Err(error) => failures.push((
                    format!("model {}: {}", model.id, outcome::chain(&error)),
                    Some("look after it with `rootstock sync --check` and `rootstock sync`".into()),
                )),
            }
        }
        if !unknown.is_empty() {
            show::remark(&format!(
                "what these models fetch by themselves is not in the bundle, because no `rootstock sync` into this \
                 manifest's root has loaded them yet: {}",
                unknown.join(", ")
            ));
        }
        Ok((entries, failures))
    }

    /// What their records are found by, for each machine type.
    fn keys(&self, model: &LockedModel) -> Result<Vec<Digest>, Failure> {
        let Some(environment) = self.lock.environment(&model.environment) else {
            return Ok(Vec::new());
        };
        let key = |name: &String| {
            let target = plan::target(environment, name).or_exit(Exit::Usage)?;
            Ok(plan::prefetch_key(environment, target, model))
        };
        self.targets.iter().map(key).collect()
    }
}
