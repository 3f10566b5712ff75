//! The counts by which the ranking knows what is rare.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::DatabaseTransaction;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::ranking::Document;
use super::row::json_array;
use super::sql::Sql;

/// What a memory counts for, as it is kept beside it: terms with spaces between.
#[derive(Debug)]
pub(super) struct Words {
    terms: String,
    attributes: String,
}

impl Words {
    pub(super) fn of(document: &Document) -> Self {
        let attributes: Vec<&str> = document.attributes.iter().map(String::as_str).collect();
        Self { terms: document.terms.join(" "), attributes: attributes.join(" ") }
    }

    pub(super) fn stored(terms: String, attributes: String) -> Self {
        Self { terms, attributes }
    }

    pub(super) fn terms(&self) -> &str {
        &self.terms
    }

    pub(super) fn attributes(&self) -> &str {
        &self.attributes
    }

    /// How many terms the text has.
    pub(super) fn length(&self) -> i64 {
        i64::try_from(self.terms.split_ascii_whitespace().count()).unwrap_or(i64::MAX)
    }

    fn distinct(&self) -> BTreeSet<&str> {
        self.terms.split_ascii_whitespace().chain(self.attributes.split_ascii_whitespace()).collect()
    }
}

/// By how much the counts of each scope change.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<i64, Counts>);

#[derive(Debug, Default)]
struct Counts {
    memories: i64,
    length: i64,
    terms: BTreeMap<String, i64>,
}

impl Tally {
    /// A memory more.
    pub(super) fn add(&mut self, scope_id: i64, words: &Words) {
        self.change(scope_id, words, 1);
    }

    /// A memory less.
    pub(super) fn remove(&mut self, scope_id: i64, words: &Words) {
        self.change(scope_id, words, -1);
    }

    fn change(&mut self, scope_id: i64, words: &Words, by: i64) {
        let counts = self.0.entry(scope_id).or_default();
        counts.memories += by;
        counts.length += by * words.length();
        for term in words.distinct() {
            *counts.terms.entry(term.to_owned()).or_default() += by;
        }
    }

    /// Writes the changes.
    pub(super) async fn write(self, transaction: &DatabaseTransaction) -> Result<(), Failure> {
        for (scope_id, mut counts) in self.0 {
            Sql::new(transaction, "UPDATE memory_scopes SET memories = memories + ")
                .value(counts.memories)
                .then(", total_length = total_length + ")
                .value(counts.length)
                .then(" WHERE id = ")
                .value(scope_id)
                .run(transaction)
                .await?;
            counts.terms.retain(|_, by| *by != 0);
            let rarer: Vec<&str> =
                counts.terms.iter().filter(|(_, by)| **by < 0).map(|(term, _)| term.as_str()).collect();
            let rarer = (!rarer.is_empty()).then(|| json_array(rarer));
            let changes: Map<String, Value> = counts.terms.into_iter().map(|(term, by)| (term, by.into())).collect();
            if !changes.is_empty() {
                Sql::new(transaction, "INSERT INTO memory_term_counts (scope_id, term, memories) SELECT ")
                    .value(scope_id)
                    .then(", key, CAST(value AS bigint) FROM ")
                    .members(Value::Object(changes).to_string())
                    .then(" WHERE true ON CONFLICT (scope_id, term) ")
                    .then("DO UPDATE SET memories = memory_term_counts.memories + excluded.memories")
                    .run(transaction)
                    .await?;
            }
            if let Some(rarer) = rarer {
                Sql::new(transaction, "DELETE FROM memory_term_counts WHERE scope_id = ")
                    .value(scope_id)
                    .then(" AND memories <= 0 AND term IN (SELECT value FROM ")
                    .elements(rarer)
                    .then(")")
                    .run(transaction)
                    .await?;
            }
        }
        Ok(())
    }
}
