//! The counts that the ranking needs to know what is rare.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sea_orm::QueryResult;
use serde_json::json;

use super::failure::MemoryStoreError;
use super::index::{set_entry, set_json};
use super::index_cache::{LEAST_MEMORIES, NOTED};
use super::ranking::Document;
use super::row::categories;
use super::sql::Sql;
use crate::adapters::database::connections::PooledTransaction;
use crate::adapters::database::row::{Row, json_array};
use memgate_domain::applications::Category;

/// The first version of the index that counts combinations of categories.
const COUNTS_SETS: i64 = 1;

/// The columns of [`Words`], of the table `memories` under the name `m`.
pub(super) const WORDS_COLUMNS: &str = "m.terms, m.attributes, m.categories, m.index_version";

/// The counted words of a memory, as stored with it: terms separated by spaces.
#[derive(Debug)]
pub(super) struct Words {
    terms: String,
    attributes: String,
    /// How many terms the text has.
    length: i64,
    /// Its combination of categories, if it has any.
    set: Option<String>,
}

impl Words {
    pub(super) fn of(document: &Document, categories: &[Category]) -> Self {
        let attributes: Vec<&str> = document.attributes.iter().map(String::as_str).collect();
        let set = (!categories.is_empty()).then(|| set_json(categories));
        let length = i64::try_from(document.terms.len()).unwrap_or(i64::MAX);
        Self { terms: document.terms.join(" "), attributes: attributes.join(" "), length, set }
    }

    /// Reads [`WORDS_COLUMNS`], which begin with the column number `first`.
    pub(super) fn of_row(row: &QueryResult, first: usize) -> Result<Self, MemoryStoreError> {
        let version: i64 = row.try_get_by_index(first + 3)?;
        // Rows that are invalid were not counted either.
        let categories = if version < COUNTS_SETS {
            Vec::new()
        } else {
            categories(&Row::new("memories", ""), &row.try_get_by_index::<String>(first + 2)?).unwrap_or_default()
        };
        let set = (!categories.is_empty()).then(|| set_json(&categories));
        let terms: String = row.try_get_by_index(first)?;
        let length = i64::try_from(terms.split_ascii_whitespace().count()).unwrap_or(i64::MAX);
        Ok(Self { terms, attributes: row.try_get_by_index(first + 1)?, length, set })
    }

    pub(super) fn terms(&self) -> &str {
        &self.terms
    }

    pub(super) fn attributes(&self) -> &str {
        &self.attributes
    }

    /// How many terms the text has.
    pub(super) fn length(&self) -> i64 {
        self.length
    }

    fn distinct(&self) -> HashSet<&str> {
        self.terms.split_ascii_whitespace().chain(self.attributes.split_ascii_whitespace()).collect()
    }
}

/// Changes of the counts of scopes, and of combinations of categories in them.
#[derive(Debug, Default)]
pub(super) struct CountChanges {
    scopes: BTreeMap<i64, Counts>,
    sets: BTreeMap<(i64, String), Counts>,
    /// The changed memories.
    changed: BTreeMap<i64, BTreeSet<i64>>,
}

#[derive(Debug, Default)]
struct Counts {
    memories: i64,
    length: i64,
    terms: HashMap<String, i64>,
}

impl CountChanges {
    /// Adds the memory `seq`.
    pub(super) fn add(&mut self, scope_id: i64, seq: i64, words: &Words) {
        self.change(scope_id, seq, words, 1);
    }

    /// Removes the memory `seq`.
    pub(super) fn remove(&mut self, scope_id: i64, seq: i64, words: &Words) {
        self.change(scope_id, seq, words, -1);
    }

    fn change(&mut self, scope_id: i64, seq: i64, words: &Words, by: i64) {
        self.changed.entry(scope_id).or_default().insert(seq);
        let terms = words.distinct();
        self.scopes.entry(scope_id).or_default().change(words.length, &terms, by);
        if let Some(set) = &words.set {
            self.sets.entry((scope_id, set.clone())).or_default().change(words.length, &terms, by);
        }
    }

    /// Writes the changes.
    pub(super) async fn write(self, transaction: &PooledTransaction) -> Result<(), MemoryStoreError> {
        for (scope_id, counts) in self.scopes {
            Sql::new(transaction, "UPDATE memory_scopes SET memories = memories + ")
                .value(counts.memories)
                .then(", total_length = total_length + ")
                .value(counts.length)
                .then(" WHERE id = ")
                .value(scope_id)
                .run(transaction)
                .await?;
            counts.write_terms(transaction, scope_id, None).await?;
        }
        for ((scope_id, set), counts) in self.sets {
            let entry = set_entry(&set);
            Sql::new(transaction, "INSERT INTO memory_category_sets (scope_id, entry, categories, memories, ")
                .then("total_length) VALUES (")
                .value(scope_id)
                .then(", ")
                .value(entry.as_str())
                .then(", ")
                .value(set)
                .then(", ")
                .value(counts.memories)
                .then(", ")
                .value(counts.length)
                .then(") ON CONFLICT (scope_id, entry) DO UPDATE SET ")
                .then("memories = memory_category_sets.memories + excluded.memories, ")
                .then("total_length = memory_category_sets.total_length + excluded.total_length")
                .run(transaction)
                .await?;
            // Also what came and went in this transaction.
            if counts.memories <= 0 {
                Sql::new(transaction, "DELETE FROM memory_category_sets WHERE memories <= 0 AND scope_id = ")
                    .value(scope_id)
                    .then(" AND entry = ")
                    .value(entry.as_str())
                    .run(transaction)
                    .await?;
            }
            counts.write_terms(transaction, scope_id, Some(&entry)).await?;
        }
        for (scope_id, seqs) in self.changed {
            note(transaction, scope_id, seqs).await?;
        }
        Ok(())
    }
}

/// Notes which memories of a scope this transaction changed, for the [indexes in memory](super::index_cache). Its number was
/// raised when the counts of the scope were written.
async fn note(transaction: &PooledTransaction, scope_id: i64, seqs: BTreeSet<i64>) -> Result<(), MemoryStoreError> {
    let noted = Sql::new(transaction, "INSERT INTO memory_changes (scope_id, revision, seqs) SELECT id, revision, ")
        .value(json_array(seqs))
        .then(" FROM memory_scopes WHERE id = ")
        .value(scope_id)
        .then(" AND memories >= ")
        .value(LEAST_MEMORIES)
        .run(transaction)
        .await?;
    if noted.rows_affected() > 0 {
        Sql::new(transaction, "DELETE FROM memory_changes WHERE scope_id = ")
            .value(scope_id)
            .then(" AND revision <= (SELECT revision FROM memory_scopes WHERE id = ")
            .value(scope_id)
            .then(") - ")
            .value(NOTED)
            .run(transaction)
            .await?;
    }
    Ok(())
}

impl Counts {
    fn change(&mut self, length: i64, terms: &HashSet<&str>, by: i64) {
        self.memories += by;
        self.length += by * length;
        for &term in terms {
            match self.terms.get_mut(term) {
                Some(memories) => *memories += by,
                None => drop(self.terms.insert(term.to_owned(), by)),
            }
        }
    }

    /// Writes the changes of the terms of a scope, or of the combination `entry` in it.
    async fn write_terms(
        mut self,
        transaction: &PooledTransaction,
        scope_id: i64,
        entry: Option<&str>,
    ) -> Result<(), MemoryStoreError> {
        let (table, key) = match entry {
            None => ("memory_term_counts", "scope_id"),
            Some(_) => ("memory_set_term_counts", "scope_id, entry"),
        };
        self.terms.retain(|_, by| *by != 0);
        let rarer: Vec<&str> = self.terms.iter().filter(|(_, by)| **by < 0).map(|(term, _)| term.as_str()).collect();
        let rarer = (!rarer.is_empty()).then(|| json_array(rarer));
        // In the order of the table, so that each of its pages is visited once.
        let changes: BTreeMap<String, i64> = self.terms.into_iter().collect();
        if !changes.is_empty() {
            let mut sql = Sql::new(transaction, &format!("INSERT INTO {table} ({key}, term, memories) SELECT "));
            sql = sql.value(scope_id);
            if let Some(entry) = entry {
                sql = sql.then(", ").value(entry);
            }
            sql.then(", key, CAST(value AS bigint) FROM ")
                .members(json!(changes).to_string())
                .then(&format!(" WHERE true ON CONFLICT ({key}, term) DO UPDATE "))
                .then(&format!("SET memories = {table}.memories + excluded.memories"))
                .run(transaction)
                .await?;
        }
        if let Some(rarer) = rarer {
            let mut sql = Sql::new(transaction, &format!("DELETE FROM {table} WHERE scope_id = ")).value(scope_id);
            if let Some(entry) = entry {
                sql = sql.then(" AND entry = ").value(entry);
            }
            sql.then(" AND memories <= 0 AND term IN (SELECT value FROM ")
                .elements(rarer)
                .then(")")
                .run(transaction)
                .await?;
        }
        Ok(())
    }
}
