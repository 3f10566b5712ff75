//! The full-text index entries of a memory.
//!
//! Every entry begins with the ID of the memory's scope, so a search reads no entry of another scope, and both databases see
//! plain words: their parsers, stemmers and stop lists have no effect. Besides its terms a memory has an entry for each
//! category, for the combination of all of them, for each member of its metadata that a filter can name, and for the period of
//! its creation.

use memgate_domain::applications::Category;
use memgate_domain::ids::MemoryId;
use memgate_domain::memories::{Condition, DateRange, MemoryFilter, Metadata, Scalar, ValueTest};
use memgate_domain::system::Timestamp;
use sha2::{Digest, Sha256};

use super::failure::MemoryStoreError;
use super::ranking::Document;
use super::row::categories_json;
use super::sql::{Entries, Sql, parts};
use sea_orm::ConnectionTrait;

/// The version of the entries, and of the terms among them. Memories with a lower version are reindexed. Changing the number
/// requires a migration that creates the index `memories_stale_idx` anew, with the condition [`stale`].
pub(super) const INDEX_VERSION: i64 = 1;

/// The condition that memories with a lower version meet. It has the number itself, since SQLite takes no index with a
/// condition for a parameter.
pub(super) fn stale() -> String {
    format!("index_version < {INDEX_VERSION}")
}

/// The length of a period, in bits of milliseconds: 25 days.
const PERIOD_BITS: u32 = 31;
/// Maximum number of periods in an index query.
const MAX_PERIODS: i64 = 64;

/// The entries of one memory, without the ID of its scope.
#[derive(Debug)]
pub(super) struct IndexEntries(Vec<String>);

impl IndexEntries {
    pub(super) fn of(document: &Document, categories: &[Category], metadata: &Metadata, created_at: Timestamp) -> Self {
        let terms = document.distinct_terms().into_iter().map(term_entry);
        let members = metadata.as_object().iter();
        let members = members.filter_map(|(name, value)| Some(member_entry(name, &Scalar::from_json(value)?)));
        let period = period_entry(created_at.unix_millis() >> PERIOD_BITS);
        Self(terms.chain(listings(categories)).chain(members).chain([period]).collect())
    }

    /// All of them, with spaces between.
    pub(super) fn in_scope(&self, scope: i64) -> String {
        let scope = scope.to_string();
        let mut text = String::with_capacity(self.0.iter().map(|entry| scope.len() + entry.len() + 1).sum());
        for entry in &self.0 {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&scope);
            text.push_str(entry);
        }
        text
    }
}

/// The entry of a term in a scope.
pub(super) fn term(scope: i64, term: &str) -> String {
    format!("{scope}{}", term_entry(term))
}

/// The entry of a category in a scope.
pub(super) fn category(scope: i64, category: &Category) -> String {
    format!("{scope}{}", category_entry(category))
}

/// The listings of a memory with `categories`: one per category, and that of their combination.
pub(super) fn listings(categories: &[Category]) -> Vec<String> {
    let set = (!categories.is_empty()).then(|| set_entry(&set_json(categories)));
    categories.iter().map(category_entry).chain(set).collect()
}

/// A combination of categories as text, independent of their order.
pub(super) fn set_json(categories: &[Category]) -> String {
    let mut sorted: Vec<&Category> = categories.iter().collect();
    sorted.sort_unstable();
    categories_json(sorted)
}

/// The entry of a combination of categories, which is named as by [`set_json`].
pub(super) fn set_entry(set: &str) -> String {
    format!("s{}", digest(set, ""))
}

/// The entries of the periods of `range` in a scope whose memories were created from `oldest` to `newest`; `None` if there
/// are too many to narrow a search.
pub(super) fn periods(scope: i64, range: DateRange, oldest: i64, newest: i64) -> Option<Vec<String>> {
    let start = range.start().map_or(oldest, |start| start.unix_millis().max(oldest)) >> PERIOD_BITS;
    let end = range.end().map_or(newest, |end| end.unix_millis().min(newest)) >> PERIOD_BITS;
    let few = end - start < MAX_PERIODS;
    few.then(|| (start..=end.max(start)).map(|period| format!("{scope}{}", period_entry(period))).collect())
}

/// The entries that every memory of a scope that passes `filter` has. Others may have them too.
pub(super) fn entries(scope: i64, filter: &MemoryFilter) -> Entries {
    let mut entries = Entries::default();
    if !filter.categories.is_empty() {
        entries = entries.and_any(filter.categories.iter().map(|name| category(scope, name)).collect());
    }
    for (name, value) in &filter.metadata {
        entries = entries.and_any(vec![member(scope, name, value)]);
    }
    match &filter.condition {
        Some(condition) => and_required(entries, scope, condition),
        None => entries,
    }
}

/// The same, and the entries that every memory has that meets `condition`.
fn and_required(entries: Entries, scope: i64, condition: &Condition) -> Entries {
    match condition {
        Condition::All(conditions) => {
            conditions.iter().fold(entries, |entries, condition| and_required(entries, scope, condition))
        }
        Condition::Any(conditions) => {
            let each: Option<Vec<String>> = conditions.iter().map(|condition| entry_of(scope, condition)).collect();
            each.into_iter().fold(entries, Entries::and_any)
        }
        condition => {
            entry_of(scope, condition).into_iter().fold(entries, |entries, entry| entries.and_any(vec![entry]))
        }
    }
}

/// The one entry that every memory has that meets `condition`, if there is one.
fn entry_of(scope: i64, condition: &Condition) -> Option<String> {
    match condition {
        Condition::Category(name) => Some(category(scope, name)),
        Condition::Metadata { name, tests } => tests.iter().find_map(|test| match test {
            ValueTest::Equals(value) => Some(member(scope, name, value)),
            ValueTest::Number(..) | ValueTest::Date(..) => None,
        }),
        Condition::All(_) | Condition::Any(_) | Condition::Not(_) => None,
    }
}

/// The entry of a member of the metadata in a scope.
pub(super) fn member(scope: i64, name: &str, value: &Scalar) -> String {
    format!("{scope}{}", member_entry(name, value))
}

fn term_entry(term: &str) -> String {
    format!("_{term}")
}

fn period_entry(period: i64) -> String {
    format!("d{:x}", period.cast_unsigned())
}

/// The entry of a category, without the number of the scope.
pub(super) fn category_entry(category: &Category) -> String {
    format!("c{}", digest(category.as_str(), ""))
}

fn member_entry(name: &str, value: &Scalar) -> String {
    let value = match value {
        Scalar::Text(text) => format!("text {text}"),
        // Adding zero turns negative zero into the equal positive zero.
        Scalar::Number(number) => format!("number {:x}", (number + 0.0).to_bits()),
        Scalar::Bool(value) => format!("bool {value}"),
    };
    format!("m{}", digest(name, &value))
}

/// Encodes any text as letters and digits, with a length suitable for an index.
fn digest(first: &str, second: &str) -> String {
    let digest = Sha256::new().chain_update(first).chain_update("\0").chain_update(second).finalize();
    let half = u64::from_be_bytes(std::array::from_fn(|index| digest[index]));
    let rest = u16::from_be_bytes([digest[8], digest[9]]);
    format!("{half:016x}{rest:04x}")
}

/// A place of a memory in a listing.
pub(super) struct Listing<'a> {
    pub(super) scope_id: i64,
    pub(super) entry: &'a str,
    pub(super) created_at: Timestamp,
    pub(super) id: &'a MemoryId,
    pub(super) seq: i64,
}

/// Inserts memories into listings. The rows are deleted with the memory.
pub(super) async fn list(transaction: &impl ConnectionTrait, listings: &[Listing<'_>]) -> Result<(), MemoryStoreError> {
    for part in parts(listings) {
        let mut sql =
            Sql::new(transaction, "INSERT INTO memory_listings (scope_id, entry, created_at, id, seq) VALUES ");
        for (number, listing) in part.iter().enumerate() {
            sql = sql
                .then(if number == 0 { "(" } else { ", (" })
                .value(listing.scope_id)
                .then(", ")
                .value(listing.entry)
                .then(", ")
                .value(listing.created_at.unix_millis())
                .then(", ")
                .value(listing.id.as_str())
                .then(", ")
                .value(listing.seq)
                .then(")");
        }
        sql.run(transaction).await?;
    }
    Ok(())
}
