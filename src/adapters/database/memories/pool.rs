//! The memories that are scored: the candidates and their neighbours.

use std::collections::{HashMap, HashSet};

use super::ranking::Candidate;

/// Maximum distance of neighbours that join a candidate.
pub(super) const REACH: usize = 2;

/// Maximum number of terms read for all memories together; the rest is not scored.
pub(super) const READ_AT_MOST: u32 = 500_000;
/// Minimum number of memories read per statement.
const LEAST_CHUNK: usize = 16;

pub(super) struct Pool {
    /// Where each is in its scope.
    pub(super) seqs: Vec<i64>,
    pub(super) candidates: Vec<Candidate>,
    /// Whether each was gathered, and did not just join.
    pub(super) gathered: Vec<bool>,
    /// How many were gathered in all.
    pub(super) total_gathered: usize,
}

impl Pool {
    /// Room for so many memories, of a search that gathered `total_gathered`.
    pub(super) fn with_capacity(memories: usize, total_gathered: usize) -> Self {
        Self {
            seqs: Vec::with_capacity(memories),
            candidates: Vec::with_capacity(memories),
            gathered: Vec::with_capacity(memories),
            total_gathered,
        }
    }

    pub(super) fn push(&mut self, seq: i64, candidate: Candidate, gathered: bool) {
        self.seqs.push(seq);
        self.candidates.push(candidate);
        self.gathered.push(gathered);
    }

    /// Makes those neighbours that are next to each other in their conversations.
    pub(super) fn introduce(&mut self, conversations: &Conversations) {
        let places: HashMap<i64, usize> = self.seqs.iter().enumerate().map(|(place, &seq)| (seq, place)).collect();
        for (candidate, &seq) in self.candidates.iter_mut().zip(&self.seqs) {
            candidate.neighbours = conversations.neighbours(seq).map(|other| places.get(&other?).copied());
        }
    }

    /// Computes how recent each is, from when each has occurred.
    pub(super) fn compare_ages(&mut self, occurred: impl Iterator<Item = i64>) {
        let mut oldest_first: Vec<(i64, i64, usize)> =
            occurred.zip(&self.seqs).enumerate().map(|(place, (occurred, &seq))| (occurred, seq, place)).collect();
        oldest_first.sort_unstable();
        for (age, (.., place)) in oldest_first.into_iter().enumerate() {
            self.candidates[place].newness = ratio(age + 1, self.seqs.len());
        }
    }
}

/// The candidates, and then those of the others that are not among them.
pub(super) fn with_others(mut candidates: Vec<i64>, others: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut others = others.peekable();
    if others.peek().is_none() {
        return candidates;
    }
    let known: HashSet<i64> = candidates.iter().copied().collect();
    candidates.extend(others.filter(|other| !known.contains(other)));
    candidates
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// How many memories of this average length to read per statement, so that it reads no more than needed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and rounded down")]
pub(super) fn chunk_size(average_length: f64) -> usize {
    let memories = f64::from(READ_AT_MOST / 4) / average_length.max(1.0);
    (memories as usize).max(LEAST_CHUNK)
}

/// The order of the conversations, as far as it is needed.
#[derive(Default)]
pub(super) struct Conversations {
    joining: HashSet<i64>,
    after: HashMap<i64, i64>,
    before: HashMap<i64, i64>,
}

impl Conversations {
    /// The numbers of visible memories before and after a candidate that are looked at. After it, twice as far: two memories
    /// that join different candidates may be neighbours of each other.
    pub(super) const BEFORE: usize = REACH;
    pub(super) const AFTER: usize = 2 * REACH;

    /// Adds a candidate with the memories before and after it, oldest first.
    pub(super) fn add(&mut self, seq: i64, before: Vec<i64>, after: Vec<i64>) {
        let own = before.len();
        let mut run = before;
        run.push(seq);
        run.extend(after);
        for pair in run.windows(2) {
            self.after.insert(pair[0], pair[1]);
            self.before.insert(pair[1], pair[0]);
        }
        self.joining.extend(run.into_iter().take(own + REACH + 1));
    }

    /// The candidates, and then those that join them.
    pub(super) fn with_joining(&self, candidates: &[i64]) -> Vec<i64> {
        let mut joining: Vec<i64> = self.joining.iter().copied().collect();
        joining.sort_unstable();
        let mut known: HashSet<i64> = HashSet::new();
        let mut all = candidates.to_vec();
        all.extend(joining);
        all.retain(|seq| known.insert(*seq));
        all
    }

    /// The neighbours of the memory `seq` at the distances -2, -1, 1 and 2.
    fn neighbours(&self, seq: i64) -> [Option<i64>; 4] {
        let step = |map: &HashMap<i64, i64>, from: Option<i64>| map.get(&from?).copied();
        let (before, after) = (step(&self.before, Some(seq)), step(&self.after, Some(seq)));
        [step(&self.before, before), before, after, step(&self.after, after)]
    }
}
