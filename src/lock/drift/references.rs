//! Recorded numbers of models: whether they still belong to what is locked, and are those that were recorded. Apart from the
//! other differences, because nothing that is built depends on them.

use super::{Code, Finding, Findings, Subject};
use crate::lock::{Lock, LockedModel};
use crate::manifest::{Manifest, RecordedNumbers};

/// Every model whose numbers must be recorded again.
pub fn findings(manifest: &Manifest, lock: &Lock) -> Vec<Finding> {
    let mut found = Findings::default();
    for model in &manifest.models {
        // One that is not locked is a difference by itself.
        if let Some(locked) = lock.models.iter().find(|locked| locked.id == model.id) {
            found.subject = Subject::Model(model.id.clone());
            compare(&mut found, model.reference.as_ref(), locked, lock);
        }
    }
    found.all
}

fn compare(
    found: &mut Findings,
    asked: Option<&RecordedNumbers>,
    locked: &LockedModel,
    lock: &Lock,
) {
    let again = format!("record them with `rootstock probe {} --record`", locked.id);
    let (asked, record) = match (asked, &locked.reference) {
        (None, None) => return,
        (Some(asked), None) => {
            let message = format!("its numbers `{}` are not recorded: {again}", asked.path);
            let now = Some(asked.path.clone());
            return found.add(Code::ReferenceMissing, message, None, now);
        }
        (None, Some(record)) => {
            let message =
                "its recorded numbers are no longer in the manifest: run `rootstock lock`";
            let was = Some(record.path.clone());
            return found.add(Code::ReferenceChanged, message, was, None);
        }
        (Some(asked), Some(record)) => (asked, record),
    };
    if asked.path != record.path {
        let (was, now) = (record.path.clone(), asked.path.clone());
        let message = format!("its numbers were recorded in `{was}`, not in `{now}`: {again}");
        found.add(Code::ReferenceChanged, message, Some(was), Some(now));
        return;
    }
    if asked.sha256 != Some(record.sha256) {
        let state = if asked.sha256.is_some() {
            "is not what was recorded"
        } else {
            "is missing"
        };
        let message = format!(
            "`{}` {state}: restore it from version control, or {again}",
            asked.path
        );
        let was = Some(record.sha256.to_string());
        let now = asked.sha256.map(|sha256| sha256.to_string());
        found.add(Code::ReferenceChanged, message, was, now);
    }
    if let Some((what, was, now)) = stale(locked, lock) {
        let message = format!("its numbers were recorded with {what}: {again}");
        found.add(Code::ReferenceStale, message, Some(was), Some(now));
    }
}

/// What is another one than when the numbers were recorded.
fn stale(locked: &LockedModel, lock: &Lock) -> Option<(&'static str, String, String)> {
    let record = locked.reference.as_ref()?;
    let identity = locked.identity();
    if record.model != identity {
        let what = "other arguments or other weights";
        return Some((what, record.model.to_string(), identity.to_string()));
    }
    let environment = lock.environment(&locked.environment)?;
    let target = environment.target(&record.target);
    let answer = target.map_or_else(|| "none".to_owned(), |target| target.digest.to_string());
    let was = record.answer.to_string();
    (was != answer).then_some(("another answer of its environment", was, answer))
}
