//! Which process has which instance, and which instances were lost with their process.

use std::collections::BTreeMap;

/// How many lost instances are remembered.
const REMEMBERED: usize = 10_000;

/// The instances of all processes.
#[derive(Debug, Default)]
pub(super) struct Instances {
    places: BTreeMap<String, usize>,
    /// Why each was lost.
    lost: BTreeMap<String, String>,
}

impl Instances {
    /// The process that has this instance.
    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// Whether the process in this place has instances.
    pub(super) fn are_in(&self, place: usize) -> bool {
        self.places.values().any(|known| *known == place)
    }

    /// From now on this process has the instance.
    pub(super) fn put(&mut self, id: String, place: usize) {
        self.lost.remove(&id);
        self.places.insert(id, place);
    }

    /// The instance is gone, as was asked for.
    pub(super) fn remove(&mut self, id: &str) {
        self.places.remove(id);
    }

    /// The instances of this process are gone, for this reason.
    pub(super) fn lose(&mut self, place: usize, why: &str) {
        let (gone, kept) = std::mem::take(&mut self.places)
            .into_iter()
            .partition(|(_, known)| *known == place);
        self.places = kept;
        let gone: BTreeMap<String, usize> = gone;
        if self.lost.len() + gone.len() <= REMEMBERED {
            self.lost
                .extend(gone.into_keys().map(|id| (id, why.to_owned())));
        }
    }

    /// Why there is no such instance.
    pub(super) fn why_none(&self, id: &str) -> String {
        match self.lost.get(id) {
            Some(why) => format!("it was lost with its process: {why}"),
            None => {
                let known: Vec<&str> = self.places.keys().map(String::as_str).take(20).collect();
                if known.is_empty() {
                    "there are no instances: `--stream` keeps them from one request to the next"
                        .to_owned()
                } else {
                    format!("there are {}", known.join(", "))
                }
            }
        }
    }
}
