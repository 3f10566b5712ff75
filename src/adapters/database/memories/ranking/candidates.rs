//! Selects candidates: the memories with the rarest terms of the query.

use std::collections::HashMap;

/// Number of index entries that a search reads before further terms only rank what was found.
pub(in super::super) const BUDGET: u64 = 10_000;

/// Minimum number of memories that are scored; a larger limit raises it.
pub(in super::super) const CANDIDATES: usize = 200;

/// The inverse document frequency of a term that `frequency` of `memories` memories contain.
#[expect(clippy::cast_precision_loss, reason = "counts of memories are far below 2^52")]
pub(in super::super) fn inverse_frequency(memories: u64, frequency: u64) -> f64 {
    let (memories, frequency) = (memories as f64, frequency as f64);
    (1.0 + (memories - frequency + 0.5) / (frequency + 0.5)).ln()
}

/// The role of a term of the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum TermRole {
    /// Memories with the term become candidates.
    Selects,
    /// It only adds to the weight of existing candidates.
    RanksOnly,
}

/// Gathers candidates term by term, rarest first.
#[derive(Debug)]
pub(in super::super) struct Gathering {
    budget: u64,
    weights: HashMap<i64, f64>,
    used: u64,
    started: bool,
    full: bool,
}

impl Gathering {
    /// Starts empty. Terms select memories until that has used `budget` entries of the index; the first one always does.
    pub(in super::super) fn new(budget: u64) -> Self {
        Self { budget, weights: HashMap::new(), used: 0, started: false, full: false }
    }

    /// The role of the next term, which `size` memories contain.
    pub(in super::super) fn role_of(&self, size: u64) -> TermRole {
        if self.full || (self.started && self.used + size > self.budget) {
            TermRole::RanksOnly
        } else {
            TermRole::Selects
        }
    }

    /// Adds a term with the weight `weight` that the memories `found` contain; `size` as in [`role_of`](Self::role_of).
    pub(in super::super) fn add(&mut self, weight: f64, size: u64, found: &[i64]) {
        if self.role_of(size) == TermRole::Selects {
            self.used += size;
            self.bring_in(weight, found);
        } else {
            self.full = true;
            self.rank(weight, found);
        }
        self.started = true;
    }

    /// Adds a term with the weight `weight` that selects the memories `found`.
    pub(in super::super) fn bring_in(&mut self, weight: f64, found: &[i64]) {
        for &memory in found {
            *self.weights.entry(memory).or_default() += weight;
        }
    }

    /// Adds a term to those of the memories `found` that are candidates already.
    pub(in super::super) fn rank(&mut self, weight: f64, found: &[i64]) {
        for memory in found {
            if let Some(sum) = self.weights.get_mut(memory) {
                *sum += weight;
            }
        }
    }

    /// Excludes `memory`.
    pub(in super::super) fn remove(&mut self, memory: i64) {
        self.weights.remove(&memory);
    }

    /// Whether `memory` is a candidate.
    pub(in super::super) fn contains(&self, memory: i64) -> bool {
        self.weights.contains_key(&memory)
    }

    /// How many there are.
    pub(in super::super) fn len(&self) -> usize {
        self.weights.len()
    }

    /// The `count` heaviest, heaviest first; of equal ones the newer first.
    pub(in super::super) fn heaviest(&self, count: usize) -> Vec<i64> {
        let mut sorted: Vec<(f64, i64)> = self.weights.iter().map(|(&memory, &weight)| (weight, memory)).collect();
        let order = |a: &(f64, i64), b: &(f64, i64)| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1));
        if count < sorted.len() {
            sorted.select_nth_unstable_by(count, order);
            sorted.truncate(count);
        }
        sorted.sort_unstable_by(order);
        sorted.into_iter().map(|(_, memory)| memory).collect()
    }
}
