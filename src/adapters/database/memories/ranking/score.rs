//! The relevance of memories to a query: BM25F over a memory's own words, its labels, and its neighbours.

use memgate_domain::memories::Priority;

/// BM25 k1: how fast repetitions of a term saturate.
const SATURATION: f64 = 1.2;
/// BM25 b: how much the length of a memory counts against it.
const LENGTH: f64 = 0.75;
/// Minimum length used for normalization: whether somebody says a thing in five words or in ten is irrelevant.
const SHORT: f64 = 15.0;
/// The weight of neighbours' words, at distance one and two.
const NEAR: f64 = 0.3;
const FAR: f64 = 0.1;
/// In a memory with more terms the neighbours count less, in proportion.
const NEEDS_CONTEXT: f64 = 30.0;
/// Additional weight of a question's words for the answer to it.
const ANSWER: f64 = 0.3;
/// Penalty of a memory that is a question: it does not state the fact that is searched.
const QUESTION: f64 = 0.25;
/// The weight of a term in the labels, and how much a match of the labels raises the whole score.
const ATTRIBUTE: f64 = 1.0;
const ATTRIBUTE_LIFT: f64 = 0.5;
/// The effect of priority: enough to decide between memories that match about equally well.
const PRIORITY: f64 = 0.05;
/// The advantage of the newest over the oldest of the compared memories: of two that match about equally well, a corrected
/// fact should win.
const NEWNESS: f64 = 0.02;

/// Maximum number of terms of a query: each has a place in [`Candidate::counts`], and a bit in [`Candidate::attributes`].
pub(in super::super) const MAX_TERMS: usize = 32;

/// The terms of a query with their weights.
#[derive(Debug)]
pub(in super::super) struct WeightedQuery {
    /// The weight of each term.
    pub(in super::super) weights: Vec<f64>,
    /// Average number of terms of a memory of the scope.
    pub(in super::super) average_length: f64,
}

/// One of the compared memories.
#[derive(Clone, Debug)]
pub(in super::super) struct Candidate {
    /// The frequency of each term of the query in its text.
    pub(in super::super) counts: [u32; MAX_TERMS],
    /// The terms of the query in its labels, one bit each.
    pub(in super::super) attributes: u32,
    /// Number of terms of its text.
    pub(in super::super) length: u32,
    /// Whether it is a question.
    pub(in super::super) question: bool,
    /// Its priority.
    pub(in super::super) priority: Priority,
    /// How recent it is among the compared ones: 0 for the oldest, 1 for the newest.
    pub(in super::super) newness: f64,
    /// The positions in the pool of its neighbours at the distances -2, -1, 1 and 2.
    pub(in super::super) neighbours: [Option<usize>; 4],
}

/// The score of each memory of `pool`: 0 for no match; about 1 for one of average length that contains every term.
pub(in super::super) fn scores(query: &WeightedQuery, pool: &[Candidate]) -> Vec<f64> {
    let total: f64 = query.weights.iter().sum();
    let labelled = pool.iter().fold(0, |bits, candidate| bits | candidate.attributes);
    let labels_total = weight_of(query, labelled);
    pool.iter()
        .map(|candidate| {
            let mut score = text_score(query, pool, candidate) / total;
            if labels_total > 0.0 {
                score *= 1.0 + ATTRIBUTE_LIFT * weight_of(query, candidate.attributes) / labels_total;
            }
            if candidate.question {
                score *= 1.0 - QUESTION;
            }
            score * priority_factor(candidate.priority) * (1.0 + NEWNESS * candidate.newness)
        })
        .collect()
}

/// Maps the score monotonically to 0..1: 0.5 to 0.5, 1 to 0.75.
pub(in super::super) fn relevance(score: f64) -> f64 {
    1.0 - 4_f64.powf(-score)
}

/// The counts of no neighbour.
const NONE: [u32; MAX_TERMS] = [0; MAX_TERMS];

fn text_score(query: &WeightedQuery, pool: &[Candidate], candidate: &Candidate) -> f64 {
    let length = f64::from(candidate.length);
    let norm = 1.0 - LENGTH + LENGTH * length.max(SHORT) / query.average_length.max(SHORT);
    let context = (NEEDS_CONTEXT / length.max(1.0)).min(1.0);
    let mut around = [(0.0, &NONE); 4];
    let mut count = 0;
    for (place, (neighbour, share)) in candidate.neighbours.iter().zip([FAR, NEAR, NEAR, FAR]).enumerate() {
        let Some(neighbour) = neighbour.and_then(|neighbour| pool.get(neighbour)) else { continue };
        let asked = place == 1 && neighbour.question;
        around[count] = (context * if asked { share + ANSWER } else { share }, &neighbour.counts);
        count += 1;
    }
    let mut score = 0.0;
    for (term, weight) in query.weights.iter().enumerate() {
        let own = f64::from(candidate.counts[term]) / norm;
        let nearby: f64 = around[..count].iter().map(|(share, counts)| share * f64::from(counts[term])).sum();
        let label = if candidate.attributes & (1 << term) == 0 { 0.0 } else { ATTRIBUTE };
        let frequency = own + nearby + label;
        // Most memories have few of the terms.
        if frequency > 0.0 {
            score += weight * frequency * (SATURATION + 1.0) / (SATURATION + frequency);
        }
    }
    score
}

fn weight_of(query: &WeightedQuery, bits: u32) -> f64 {
    query.weights.iter().enumerate().filter(|(term, _)| bits & (1 << term) != 0).map(|(_, weight)| weight).sum()
}

fn priority_factor(priority: Priority) -> f64 {
    match priority {
        Priority::Low => 1.0 - PRIORITY,
        Priority::Normal => 1.0,
        Priority::High => 1.0 + PRIORITY,
    }
}
