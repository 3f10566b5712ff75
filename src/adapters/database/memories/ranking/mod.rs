//! The ranking: from text to terms, from terms to candidates, from candidates to an order. It knows no database, so that
//! every database finds the same. `docs/retrieval.md` says how well it finds.
//!
//! Whoever changes how text becomes terms changes what is in the index of every memory: that needs a new
//! [`INDEX_VERSION`](super::index::INDEX_VERSION), by which all of them are indexed again.

mod candidates;
mod compounds;
mod document;
mod edits;
mod english;
mod fold;
mod score;
mod terms;
#[cfg(test)]
mod tests;
mod words;

pub(super) use candidates::{BUDGET, CANDIDATES, Gathering, TermRole, inverse_frequency};
pub(super) use document::Document;
pub(super) use edits::is_one_edit_away;
pub(super) use english::uncut_stem as whole_stem;
pub(super) use score::{Candidate, MAX_TERMS, WeightedQuery, relevance, scores};
pub(super) use terms::{QueryTerm, query_terms, terms as terms_of_text, terms_ending_with, word_term};
