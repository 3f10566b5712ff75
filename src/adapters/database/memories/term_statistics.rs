//! How common terms are.

use std::collections::HashMap;

use super::ranking::{MAX_TERMS, inverse_frequency};

/// How common terms are in a scope.
pub(super) struct TermStatistics {
    memories: u64,
    total_length: u64,
    frequencies: HashMap<String, u64>,
    /// The share of its weight that a term has, unless it has all of it.
    shares: HashMap<String, f64>,
}

impl TermStatistics {
    pub(super) fn new(memories: u64, total_length: u64, frequencies: HashMap<String, u64>) -> Self {
        Self { memories: memories.max(1), total_length, frequencies, shares: HashMap::new() }
    }

    /// Adds a term that substitutes another, with `share` of its own weight.
    pub(super) fn add(&mut self, term: &str, memories: u64, share: f64) {
        self.frequencies.insert(term.to_owned(), memories);
        self.shares.insert(term.to_owned(), share);
    }

    /// Whether a memory has `term`.
    pub(super) fn occurs(&self, term: &str) -> bool {
        self.frequency(term) > 0
    }

    /// The terms to search by: all of a question, and of a long text the rarest that occur at all.
    pub(super) fn most_telling(&self, terms: Vec<String>) -> Vec<String> {
        if terms.len() <= MAX_TERMS {
            return terms;
        }
        let mut known: Vec<(u64, usize)> = terms.iter().map(|term| self.frequency(term)).zip(0..).collect();
        known.retain(|(frequency, _)| *frequency > 0);
        known.sort_unstable();
        let mut kept: Vec<usize> = known.into_iter().take(MAX_TERMS).map(|(_, number)| number).collect();
        kept.sort_unstable();
        kept.into_iter().map(|number| terms[number].clone()).collect()
    }

    /// Those of `terms` that occur, the rarest first, with the number of memories that have each.
    pub(super) fn rarest_first<'t>(&self, terms: &'t [String]) -> Vec<(u64, &'t str)> {
        let sizes = terms.iter().map(|term| (self.frequency(term), term.as_str()));
        let mut rarest_first: Vec<(u64, &str)> = sizes.filter(|(size, _)| *size > 0).collect();
        rarest_first.sort_unstable();
        rarest_first
    }

    /// How many memories have `term`.
    fn frequency(&self, term: &str) -> u64 {
        self.frequencies.get(term).copied().unwrap_or(0).min(self.memories)
    }

    /// How much `term` weighs.
    pub(super) fn weight(&self, term: &str) -> f64 {
        self.shares.get(term).unwrap_or(&1.0) * inverse_frequency(self.memories, self.frequency(term))
    }

    /// How many terms a memory has on average.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub(super) fn average_length(&self) -> f64 {
        if self.total_length == 0 { 1.0 } else { self.total_length as f64 / self.memories.max(1) as f64 }
    }
}
