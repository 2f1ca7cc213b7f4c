//! How many structures a process gets at once. Where the environment computes several at once, as many as were asked for, or as
//! many as pay; otherwise as many as take a moment, so that messages cost little.

use std::time::Duration;

/// How long structures that are computed one after another take together.
const MOMENT: f64 = 0.05;
/// What sums of times may be off, in seconds.
const ROUNDING: f64 = 1e-9;
/// How many of them there are at most.
const MOST: usize = 256;
/// How many structures are tried at once of our own accord.
const LARGEST: usize = 1024;
/// By how much the rate must rise before more are tried.
const WORTHWHILE: f64 = 1.1;
/// How often a size is measured; the first time, in which libraries compile and allocate, does not count.
const MEASURED: u32 = 3;
/// How long a batch may take if there is a choice.
const PATIENCE: f64 = 20.0;

/// What was learned so far.
#[derive(Debug)]
pub(super) struct Batches {
    /// As it was asked for.
    fixed: Option<usize>,
    /// Whether the environment computes several at once; not known at first.
    at_once: Option<bool>,
    /// What an atom takes, in seconds.
    each: Option<f64>,
    size: usize,
    /// How often the size was measured, and its best rate, in atoms per second.
    measured: u32,
    rate: f64,
    /// The last size and its rate.
    before: Option<(usize, f64)>,
    settled: bool,
    /// What fits into memory.
    most: usize,
}

impl Batches {
    pub(super) fn new(fixed: Option<usize>) -> Self {
        Self {
            fixed,
            at_once: None,
            each: None,
            size: 1,
            measured: 0,
            rate: 0.0,
            before: None,
            settled: false,
            most: usize::MAX,
        }
    }

    /// Whether the environment computes several structures at once.
    pub(super) fn are_at_once(&self) -> bool {
        self.at_once == Some(true)
    }

    pub(super) fn learn_kind(&mut self, at_once: bool) {
        self.at_once = Some(at_once);
    }

    /// How many of these waiting structures, given by their atoms, a process gets.
    pub(super) fn size(&self, atoms: impl Iterator<Item = usize>) -> usize {
        if self.are_at_once() {
            return self.fixed.unwrap_or(self.size).min(self.most).max(1);
        }
        let Some(each) = self.each else { return 1 };
        let mut left = MOMENT;
        let fitting = atoms.take(MOST).take_while(|atoms| {
            left -= each * to_f64(*atoms);
            left > -ROUNDING
        });
        fitting.count().max(1)
    }

    /// The largest size that was settled on or used last.
    pub(super) fn used(&self) -> usize {
        self.fixed.unwrap_or(self.size).min(self.most)
    }

    /// So many structures with so many atoms have taken so long together; `largest` fitted into memory if not all did.
    pub(super) fn learn(
        &mut self,
        structures: usize,
        atoms: usize,
        took: Duration,
        largest: Option<usize>,
    ) {
        let (took, atoms) = (took.as_secs_f64().max(1e-6), to_f64(atoms.max(1)));
        if let Some(largest) = largest {
            self.most = self.most.min(largest.max(1));
            self.size = self.size.min(self.most);
            self.settled = true;
            return;
        }
        let each = took / atoms;
        self.each = Some(self.each.map_or(each, |known| 0.7 * known + 0.3 * each));
        if self.are_at_once() && self.fixed.is_none() && !self.settled && structures == self.size {
            self.climb(atoms / took, took);
        }
    }

    fn climb(&mut self, rate: f64, took: f64) {
        self.measured += 1;
        if self.measured > 1 {
            self.rate = self.rate.max(rate);
        }
        if self.measured < MEASURED {
            return;
        }
        match self.before {
            Some((size, before)) if self.rate < WORTHWHILE * before => {
                // The smaller one is as fast, and loses less when a process dies.
                self.size = if self.rate > before { self.size } else { size };
                self.settled = true;
            }
            _ if took > PATIENCE || self.size >= LARGEST => self.settled = true,
            _ => {
                self.before = Some((self.size, self.rate));
                self.size *= 2;
                self.measured = 0;
                self.rate = 0.0;
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of atoms are small")]
fn to_f64(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size after computing batches on a device where a batch takes this long.
    fn settled(took: impl Fn(usize) -> f64) -> usize {
        let mut batches = Batches::new(None);
        batches.learn_kind(true);
        for _ in 0..100 {
            let size = batches.size(std::iter::empty());
            let took = Duration::from_secs_f64(took(size));
            batches.learn(size, 64 * size, took, None);
        }
        batches.used()
    }

    #[test]
    fn batches_grow_as_long_as_that_pays() {
        let flat_to_32 = |size: usize| 0.01 * to_f64(size.max(32));
        assert!((32..=64).contains(&settled(flat_to_32)));
        assert_eq!(settled(|size| 0.01 * to_f64(size)), 1);
        assert_eq!(settled(|_| 0.01), LARGEST);
    }

    #[test]
    fn what_does_not_fit_is_not_tried_again() {
        let mut batches = Batches::new(Some(64));
        batches.learn_kind(true);
        assert_eq!(batches.size(std::iter::empty()), 64);
        batches.learn(64, 640, Duration::from_secs(1), Some(16));
        assert_eq!(batches.size(std::iter::empty()), 16);
    }

    #[test]
    fn one_after_another_as_many_as_take_a_moment() {
        let mut batches = Batches::new(Some(64));
        batches.learn_kind(false);
        assert_eq!(batches.size([10; 100].into_iter()), 1);
        batches.learn(1, 10, Duration::from_millis(10), None);
        assert_eq!(batches.size([10; 100].into_iter()), 5);
        assert_eq!(batches.size([1000].into_iter()), 1);
    }
}
