//! The ranking: from text to terms, from terms to candidates, from candidates to an order. It is independent of the
//! database, so that every database returns the same results. `docs/retrieval.md` has its quality.
//!
//! A change of how text becomes terms changes the index entries of every memory: it needs a new
//! [`INDEX_VERSION`](super::index::INDEX_VERSION) and a migration, and then all of them are reindexed.

mod candidates;
mod compounds;
mod document;
mod edits;
mod english;
mod fold;
mod meaning;
mod score;
mod terms;
#[cfg(test)]
mod tests;
mod words;

pub(super) use candidates::{BUDGET, CANDIDATES, Gathering, TermRole, inverse_frequency};
pub(super) use document::Document;
pub(super) use edits::is_one_edit_away;
pub(super) use english::uncut_stem as whole_stem;
pub(super) use meaning::{NEAREST, UNRELATED, Usual, with_meaning};
pub(super) use score::{Candidate, MAX_TERMS, WeightedQuery, relevance, scores};
pub(super) use terms::{QueryTerm, query_terms, terms as terms_of_text, terms_ending_with, word_term};
