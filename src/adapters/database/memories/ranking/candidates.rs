//! Selects candidates: the memories with the rarest terms of the query.

/// Number of index entries that a search reads before further terms only rank what was found.
pub(in super::super) const BUDGET: u64 = 10_000;

/// Minimum number of memories that are scored; a larger limit raises it.
pub(in super::super) const CANDIDATES: usize = 200;

/// How many times as many candidates as are wanted are ranked without asking which of them are hopeless.
const FEW: usize = 2;

/// More than the sum of the weights of all terms can be off by.
const ROUNDING: f64 = 1e-6;

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
    /// The memories with their weights, in ascending order. Those of hopeless ones are not up to date.
    weights: Vec<(i64, f64)>,
    /// The others, if any are hopeless.
    hopeful: Option<Vec<(i64, f64)>>,
    used: u64,
    started: bool,
    full: bool,
}

impl Gathering {
    /// Starts empty. Terms select memories until that has used `budget` entries of the index; the first one always does.
    pub(in super::super) fn new(budget: u64) -> Self {
        Self { budget, weights: Vec::new(), hopeful: None, used: 0, started: false, full: false }
    }

    /// The role of the next term, which `size` memories contain.
    pub(in super::super) fn role_of(&self, size: u64) -> TermRole {
        if self.full || (self.started && self.used + size > self.budget) {
            TermRole::RanksOnly
        } else {
            TermRole::Selects
        }
    }

    /// Adds a term with the weight `weight` that the memories `found` contain, in ascending order; `size` as in
    /// [`role_of`](Self::role_of).
    pub(in super::super) fn add(&mut self, weight: f64, size: u64, found: &[i64]) {
        match self.role_of(size) {
            TermRole::Selects => self.select(weight, size, found.iter().copied()),
            TermRole::RanksOnly => self.rank_only(weight, |memory| found.binary_search(&memory).is_ok()),
        }
    }

    /// Adds a term that [`selects`](TermRole::Selects) the memories `found`.
    pub(in super::super) fn select(&mut self, weight: f64, size: u64, found: impl Iterator<Item = i64>) {
        self.used += size;
        self.started = true;
        self.bring_in(weight, found);
    }

    /// Adds a term that [`ranks only`](TermRole::RanksOnly); `has` is asked for each candidate in ascending order.
    pub(in super::super) fn rank_only(&mut self, weight: f64, has: impl FnMut(i64) -> bool) {
        self.full = true;
        self.started = true;
        self.rank(weight, has);
    }

    /// Adds a term with the weight `weight` that selects the memories `found`, in ascending order.
    pub(in super::super) fn bring_in(&mut self, weight: f64, found: impl Iterator<Item = i64>) {
        let mut merged = Vec::with_capacity(self.weights.len() + found.size_hint().0);
        let mut found = found.peekable();
        for &(memory, sum) in &self.weights {
            while let Some(new) = found.next_if(|new| *new < memory) {
                merged.push((new, weight));
            }
            let again = found.next_if_eq(&memory).is_some();
            merged.push((memory, if again { sum + weight } else { sum }));
        }
        merged.extend(found.map(|new| (new, weight)));
        self.weights = merged;
    }

    /// Adds a term to those of the candidates that have it; `has` is asked for each in ascending order.
    pub(in super::super) fn rank(&mut self, weight: f64, mut has: impl FnMut(i64) -> bool) {
        for (memory, sum) in self.hopeful.as_mut().unwrap_or(&mut self.weights) {
            if has(*memory) {
                *sum += weight;
            }
        }
    }

    /// Ranks no longer those that will not be among the `count` heaviest, whichever of the other terms they have, which add `rest`
    /// to their weight.
    pub(in super::super) fn drop_hopeless(&mut self, count: usize, rest: &[f64]) {
        let hopeful = self.hopeful.as_ref().unwrap_or(&self.weights);
        if count == 0 || hopeful.len() < FEW * count {
            return;
        }
        let mut sums: Vec<f64> = hopeful.iter().map(|(_, sum)| *sum).collect();
        let (_, least, _) = sums.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        // Weights only grow.
        let needed = *least - rest.iter().sum::<f64>() - ROUNDING;
        self.hopeful = Some(hopeful.iter().copied().filter(|(_, sum)| *sum >= needed).collect());
    }

    /// Excludes the memories that do not pass.
    pub(in super::super) fn retain(&mut self, mut passes: impl FnMut(i64) -> bool) {
        self.weights.retain(|(memory, _)| passes(*memory));
        // The heaviest may be among those that are excluded.
        debug_assert!(self.hopeful.is_none(), "memories are excluded before any are hopeless");
    }

    /// Whether `memory` is a candidate.
    pub(in super::super) fn contains(&self, memory: i64) -> bool {
        self.weights.binary_search_by_key(&memory, |(candidate, _)| *candidate).is_ok()
    }

    /// How many there are.
    pub(in super::super) fn len(&self) -> usize {
        self.weights.len()
    }

    /// The `count` heaviest, heaviest first; of equal ones the newer first.
    pub(in super::super) fn heaviest(&self, count: usize) -> Vec<i64> {
        let mut sorted = self.hopeful.as_ref().unwrap_or(&self.weights).clone();
        let order = |a: &(i64, f64), b: &(i64, f64)| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0));
        if count < sorted.len() {
            sorted.select_nth_unstable_by(count, order);
            sorted.truncate(count);
        }
        sorted.sort_unstable_by(order);
        sorted.into_iter().map(|(memory, _)| memory).collect()
    }
}
