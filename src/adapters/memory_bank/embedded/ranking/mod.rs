//! The ranking: from text to terms, from terms to candidates, from candidates to an order. It knows no database, so that
//! every database finds the same. `docs/retrieval.md` says how well it finds.
//!
//! Whoever changes how text becomes terms changes what is in the index of every memory: that needs a migration which
//! has all of them indexed again.

mod candidates;
mod document;
mod english;
mod score;
mod terms;
#[cfg(test)]
mod tests;
mod words;

pub(super) use candidates::{BUDGET, CANDIDATES, Gathering, Part, inverse_frequency};
pub(super) use document::Document;
pub(super) use score::{Candidate, MAX_TERMS, WeightedQuery, relevance, scores};
pub(super) use terms::query_terms;
