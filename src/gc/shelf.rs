//! What of the store no generation that is left was linked from. Who needs it again makes it again.

use std::collections::BTreeSet;

use super::leftovers::abandoned;
use super::needs::Needs;
use super::{Item, Kept, Kind, Looking, Survey, Why};
use crate::build::shelf::{self, What};
use crate::files::{self, times};

/// Decides about everything in the store.
pub(super) fn survey(looking: &Looking, needs: &Needs, survey: &mut Survey) -> files::Result<()> {
    let objects = shelf::contents(looking.root)?;
    let needed: BTreeSet<String> = objects
        .iter()
        .filter_map(|object| match &object.what {
            What::Wheel { sha256, record, .. } if needs.wheel(record.as_ref()) => {
                Some(sha256.clone())
            }
            _ => None,
        })
        .collect();
    if let Some(path) = &needs.unknown {
        survey.kept.push(Kept {
            kind: Kind::Wheel,
            name: "the store".into(),
            path: looking.root.store(),
            because: Why::Unknown(path.clone()),
        });
    }
    for object in objects {
        let is_needed = match &object.what {
            What::Wheel { sha256, .. } => needed.contains(sha256),
            What::Bytecode { wheel, interpreter } => {
                needed.contains(wheel) && needs.interpreter(interpreter)
            }
            What::Built(wheel) => wheel.as_ref().is_some_and(|wheel| needed.contains(wheel)),
            What::Archive | What::Part(_) | What::Unfinished(_) => false,
        };
        let shared = !matches!(
            object.what,
            What::Archive | What::Part(_) | What::Unfinished(_)
        );
        if is_needed || (shared && needs.unknown.is_some()) {
            continue;
        }
        let short = |name: &str| name.chars().take(12).collect::<String>();
        let file = object.path.file_name().unwrap_or_default();
        let file = file.to_string_lossy().into_owned();
        let (kind, name, maker) = match object.what {
            What::Wheel { distribution, .. } => (Kind::Wheel, distribution, None),
            What::Bytecode { wheel, .. } => (Kind::Bytecode, short(&wheel), None),
            What::Built(_) => (Kind::Built, short(&file), None),
            What::Archive => (Kind::Archive, short(&file), None),
            What::Part(maker) => (Kind::Part, short(&file), Some(maker)),
            What::Unfinished(maker) => (Kind::Unfinished, file, Some(maker)),
        };
        let path = object.path;
        let goes = match maker {
            Some(maker) => abandoned(looking, kind, &path, &maker)?,
            None => match times::changed(&path) {
                Ok(since) => looking.is_recent(since).is_none(),
                // A sync beside us is done with it.
                Err(error) if error.is_missing() => false,
                Err(error) => return Err(error),
            },
        };
        if goes {
            survey.items.push(Item { kind, name, path });
        }
    }
    Ok(())
}
