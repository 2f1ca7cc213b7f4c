//! What of the store no generation that is left was linked from. A sync that needs it again makes it again.

use std::collections::BTreeSet;

use super::needs::Needs;
use super::{Context, Item, Kept, Kind, Survey, Why};
use crate::files::{self, times};
use crate::store::wheels::{self, Content};

/// Decides about everything in the store.
pub(super) fn survey(context: &Context, needs: &Needs, survey: &mut Survey) -> files::Result<()> {
    let objects = wheels::contents(context.root)?;
    let needed: BTreeSet<String> = objects
        .iter()
        .filter_map(|object| match &object.content {
            Content::Wheel { sha256, record, .. } if needs.wheel(record.as_ref()) => {
                Some(sha256.clone())
            }
            _ => None,
        })
        .collect();
    if let Some(path) = &needs.unknown {
        survey.kept.push(Kept {
            kind: Kind::Wheel,
            name: "the store".into(),
            path: context.root.store(),
            because: Why::Unknown(path.clone()),
        });
    }
    for object in objects {
        let is_needed = match &object.content {
            Content::Wheel { sha256, .. } => needed.contains(sha256),
            Content::Bytecode { wheel, interpreter } => {
                needed.contains(wheel) && needs.interpreter(interpreter)
            }
            Content::Built(wheel) => wheel.as_ref().is_some_and(|wheel| needed.contains(wheel)),
            Content::Archive => false,
        };
        let shared = object.content != Content::Archive;
        if is_needed || (shared && needs.unknown.is_some()) {
            continue;
        }
        let file = object.path.file_name().unwrap_or_default();
        let file = file.to_string_lossy();
        let (kind, name) = match object.content {
            Content::Wheel { distribution, .. } => (Kind::Wheel, distribution),
            Content::Bytecode { wheel, .. } => (Kind::Bytecode, short(&wheel)),
            Content::Built(_) => (Kind::Built, short(&file)),
            Content::Archive => (Kind::Archive, short(&file)),
        };
        let path = object.path;
        let goes = match times::changed(&path) {
            Ok(since) => context.is_recent(since).is_none(),
            // A sync beside us is done with it.
            Err(error) if error.is_missing() => false,
            Err(error) => return Err(error),
        };
        if goes {
            survey.items.push(Item { kind, name, path });
        }
    }
    Ok(())
}

fn short(name: &str) -> String {
    name.chars().take(12).collect()
}
