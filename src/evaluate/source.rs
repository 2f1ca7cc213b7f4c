//! Structures on their way to a process: read or received, not yet computed.

use std::collections::VecDeque;

use serde::Deserialize;

/// A structure that is to be computed.
#[derive(Debug)]
pub(super) struct Item {
    /// Its number in the input.
    pub(super) index: u64,
    pub(super) atoms: usize,
    /// What identifies its content; empty where nothing is compared.
    pub(super) digest: String,
    /// As Python unpacks it.
    pub(super) packed: Vec<u8>,
    /// How many processes have ended while they computed it alone.
    pub(super) deaths: u32,
    /// Whether it is computed alone, because a process has ended while it computed this and others.
    pub(super) alone: bool,
}

/// What Python says of a structure that it has read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) index: u64,
    pub(super) atoms: usize,
    #[serde(default)]
    pub(super) digest: String,
    pub(super) length: usize,
}

impl Item {
    pub(super) fn new(head: Head, packed: &[u8]) -> Self {
        Self {
            index: head.index,
            atoms: head.atoms,
            digest: head.digest,
            packed: packed.to_owned(),
            deaths: 0,
            alone: false,
        }
    }
}

/// The structures that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
}

impl Queue {
    /// How many bytes wait at most, but for one structure.
    pub(super) const BYTES: usize = 64 << 20;

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether there is room for more.
    pub(super) fn has_room(&self, enough: usize) -> bool {
        self.items.len() < enough && self.bytes < Self::BYTES
    }

    pub(super) fn push(&mut self, item: Item) {
        self.bytes += item.packed.len();
        self.items.push_back(item);
    }

    /// Puts structures that were with a process back to the front.
    pub(super) fn put_back(&mut self, items: Vec<Item>) {
        for item in items.into_iter().rev() {
            self.bytes += item.packed.len();
            self.items.push_front(item);
        }
    }

    /// The numbers of atoms of those that can be computed together with the first.
    pub(super) fn atoms(&self) -> impl Iterator<Item = usize> {
        let together = self.items.iter().take_while(|item| !item.alone);
        together.map(|item| item.atoms)
    }

    /// How many can be computed together with the first.
    pub(super) fn together(&self, most: usize) -> usize {
        let together = self.items.iter().take(most).take_while(|item| !item.alone);
        together.count().max(1).min(self.items.len())
    }

    /// Takes the first ones.
    pub(super) fn take(&mut self, count: usize) -> Vec<Item> {
        let taken: Vec<Item> = self.items.drain(..count.min(self.items.len())).collect();
        self.bytes -= taken.iter().map(|item| item.packed.len()).sum::<usize>();
        taken
    }
}
