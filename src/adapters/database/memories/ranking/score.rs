//! How well memories fit a query: BM25F over a memory's own words, its labels, and what was said around it.

use memgate_domain::memories::Priority;

/// How fast repetitions of a term stop to count.
const SATURATION: f64 = 1.2;
/// How much the length of a memory counts against it.
const LENGTH: f64 = 0.75;
/// Of memories with fewer terms none is longer than another, so to speak: whether somebody says a thing in five words or in
/// ten tells nothing.
const SHORT: f64 = 15.0;
/// The share of a neighbour's words that counts, next to a memory and one further.
const NEAR: f64 = 0.3;
const FAR: f64 = 0.1;
/// A memory with more terms says by itself what it is about: the more, the less its neighbours count.
const NEEDS_CONTEXT: f64 = 30.0;
/// How much more of a question's words counts for the answer to it.
const ANSWER: f64 = 0.3;
/// What a memory that is a question loses: it does not state the fact that is looked for.
const QUESTION: f64 = 0.25;
/// What a term counts that labels a memory, and how much a match of the labels lifts the whole.
const ATTRIBUTE: f64 = 1.0;
const ATTRIBUTE_LIFT: f64 = 0.5;
/// What priority adds or takes: enough to decide between memories that fit about equally well.
const PRIORITY: f64 = 0.05;
/// What the newest of the memories that are compared gains over the oldest: a fact that was corrected should be found as
/// it is now, if both say it about equally well.
const NEWNESS: f64 = 0.02;

/// No query is scored by more terms: each has a bit in [`Candidate::attributes`].
pub(in super::super) const MAX_TERMS: usize = 32;

/// The terms of a query with what they weigh.
#[derive(Debug)]
pub(in super::super) struct WeightedQuery {
    /// The weight of each term.
    pub(in super::super) weights: Vec<f64>,
    /// How many terms a memory of the scope has on average.
    pub(in super::super) average_length: f64,
}

/// One of the memories that are compared.
#[derive(Clone, Debug)]
pub(in super::super) struct Candidate {
    /// How often each term of the query is in its text.
    pub(in super::super) counts: Vec<u32>,
    /// Which terms of the query are in its labels, a bit each.
    pub(in super::super) attributes: u32,
    /// How many terms its text has.
    pub(in super::super) length: u32,
    /// Whether it is a question.
    pub(in super::super) question: bool,
    /// How much it matters.
    pub(in super::super) priority: Priority,
    /// How new it is among those that are compared: 0 for the oldest, 1 for the newest.
    pub(in super::super) newness: f64,
    /// Where in the pool the memories are that were said two before, one before, one after and two after it.
    pub(in super::super) neighbours: [Option<usize>; 4],
}

/// How well each memory of `pool` fits: 0 for not at all; about 1 for one of average length with every term in it.
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

/// The score as a number from 0 to 1, which grows with it: 0.5 for 0.5, 0.75 for 1.
pub(in super::super) fn relevance(score: f64) -> f64 {
    1.0 - 4_f64.powf(-score)
}

fn text_score(query: &WeightedQuery, pool: &[Candidate], candidate: &Candidate) -> f64 {
    let length = f64::from(candidate.length);
    let norm = 1.0 - LENGTH + LENGTH * length.max(SHORT) / query.average_length.max(SHORT);
    let context = (NEEDS_CONTEXT / length.max(1.0)).min(1.0);
    let around: Vec<(f64, &[u32])> = candidate
        .neighbours
        .iter()
        .zip([FAR, NEAR, NEAR, FAR])
        .enumerate()
        .filter_map(|(place, (neighbour, share))| {
            let neighbour = pool.get((*neighbour)?)?;
            let asked = place == 1 && neighbour.question;
            Some((context * if asked { share + ANSWER } else { share }, neighbour.counts.as_slice()))
        })
        .collect();
    let terms = query.weights.iter().enumerate().map(|(term, weight)| {
        let own = f64::from(candidate.counts[term]) / norm;
        let nearby: f64 = around.iter().map(|(share, counts)| share * f64::from(counts[term])).sum();
        let label = if candidate.attributes & (1 << term) == 0 { 0.0 } else { ATTRIBUTE };
        let frequency = own + nearby + label;
        weight * frequency * (SATURATION + 1.0) / (SATURATION + frequency)
    });
    terms.sum()
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
