//! A memory that is stored: finds, replaces and removes it with all that belongs to it.

use memgate_domain::applications::CategoryAccess;
use memgate_domain::ids::MemoryId;
use memgate_domain::memories::{HistoryEntry, HistoryEvent, Memory, NewMemory};
use memgate_domain::system::Timestamp;
use sea_orm::{ConnectionTrait, QueryResult};

use super::counts::{CountChanges, WORDS_COLUMNS, Words};
use super::failure::MemoryStoreError;
use super::history;
use super::index::{self, INDEX_VERSION, IndexEntries, Listing, list, listings};
use super::operations::WriteOutcome;
use super::ranking::Document;
use super::row::{COLUMN_COUNT, COLUMNS, categories_json, is_visible, memory_of, metadata_json};
use super::sql::Sql;
use crate::adapters::database::connections::PooledTransaction;

/// Puts the memory `older` of the scope, as it is, into the history of the new memory with this row number, with what had
/// happened to it, and removes it. Does nothing if there is none that is visible.
pub(super) async fn supersede(
    transaction: &impl ConnectionTrait,
    scope_id: i64,
    access: &CategoryAccess,
    (seq, new): (i64, &NewMemory),
    older: &MemoryId,
    counts: &mut CountChanges,
) -> Result<(), MemoryStoreError> {
    let older = match find(transaction, scope_id, older).await {
        Ok(Some(older)) if older.seq != seq && is_visible(access, &older.memory, new.created_at) => older,
        Ok(_) => return Ok(()),
        // What cannot be read cannot be kept. It stays where it is, and the new memory is stored all the same.
        Err(failure) if failure.is_about_one_row() => return Ok(()),
        Err(failure) => return Err(failure),
    };
    history::hand_over(transaction, older.seq, seq).await?;
    let event = HistoryEvent::Superseded(Box::new(older.memory));
    history::add_one(transaction, seq, &HistoryEntry { at: new.created_at, by: new.created_by, event }).await?;
    remove(transaction, scope_id, older.seq, &older.words, counts).await.map(drop)
}

pub(super) async fn find_stale(transaction: &PooledTransaction, seq: i64) -> Result<Option<Found>, MemoryStoreError> {
    let stale = index::stale();
    let select = format!("SELECT {COLUMNS}, {WORDS_COLUMNS} FROM memories m WHERE m.{stale} AND m.seq = ");
    let row = Sql::new(transaction, &select).value(seq).one(transaction).await?;
    row.as_ref().map(Found::of_row).transpose()
}

/// A stored memory, its row number, and its counts.
pub(super) struct Found {
    pub(super) seq: i64,
    pub(super) memory: Memory,
    pub(super) words: Words,
}

impl Found {
    /// Reads [`COLUMNS`] and [`WORDS_COLUMNS`].
    fn of_row(row: &QueryResult) -> Result<Self, MemoryStoreError> {
        let (seq, memory) = memory_of(row)?;
        Ok(Self { seq, memory, words: Words::of_row(row, COLUMN_COUNT)? })
    }
}

pub(super) async fn find(
    transaction: &impl ConnectionTrait,
    scope_id: i64,
    id: &MemoryId,
) -> Result<Option<Found>, MemoryStoreError> {
    let select = format!("SELECT {COLUMNS}, {WORDS_COLUMNS} FROM memories m WHERE m.scope_id = ");
    let sql = Sql::new(transaction, &select).value(scope_id).then(" AND m.id = ").value(id.as_str());
    let row = sql.one(transaction).await?;
    row.as_ref().map(Found::of_row).transpose()
}

/// Updates the memory `found`.
pub(super) async fn replace(
    transaction: &PooledTransaction,
    scope_id: i64,
    found: Found,
    counts: &mut CountChanges,
) -> Result<WriteOutcome, MemoryStoreError> {
    let Found { seq, memory, words: earlier } = found;
    let document = Document::of(memory.content.as_str(), &memory.metadata, &memory.categories);
    let entries = IndexEntries::of(&document, &memory.categories, &memory.metadata, memory.created_at);
    let words = Words::of(&document, &memory.categories);
    Sql::new(transaction, "UPDATE memories SET conversation_id = ")
        .value(memory.metadata.conversation_id().map(ToOwned::to_owned))
        .then(", updated_at = ")
        .value(memory.updated_at.unix_millis())
        .then(", expires_at = ")
        .value(memory.expires_at.map(Timestamp::unix_millis))
        .then(", priority = ")
        .value(memory.priority.as_str())
        .then(", categories = ")
        .value(categories_json(&memory.categories))
        .then(", length = ")
        .value(words.length())
        .then(", question = ")
        .value(document.question)
        .then(", attributes = ")
        .value(words.attributes())
        .then(", terms = ")
        .value(words.terms())
        .then(", metadata = ")
        .value(metadata_json(&memory.metadata))
        .then(", content = ")
        .value(memory.content.as_str())
        .then(", index_version = ")
        .value(INDEX_VERSION)
        .then(", occurred_at = ")
        .value(memory.occurred_at.map(Timestamp::unix_millis))
        .then(" WHERE seq = ")
        .value(seq)
        .run(transaction)
        .await?;
    Sql::unindex(transaction, seq).run(transaction).await?;
    Sql::index(transaction, [(seq, entries.in_scope(scope_id))]).run(transaction).await?;
    Sql::new(transaction, "DELETE FROM memory_listings WHERE seq = ").value(seq).run(transaction).await?;
    let entries = listings(&memory.categories);
    let (created_at, id) = (memory.created_at, &memory.id);
    let listings = entries.iter().map(|entry| Listing { scope_id, entry, created_at, id, seq });
    list(transaction, &listings.collect::<Vec<_>>()).await?;
    counts.remove(scope_id, seq, &earlier);
    counts.add(scope_id, seq, &words);
    Ok(WriteOutcome::Stored(Box::new(memory)))
}

pub(super) async fn remove(
    transaction: &impl ConnectionTrait,
    scope_id: i64,
    seq: i64,
    words: &Words,
    counts: &mut CountChanges,
) -> Result<WriteOutcome, MemoryStoreError> {
    Sql::unindex(transaction, seq).run(transaction).await?;
    Sql::new(transaction, "DELETE FROM memories WHERE seq = ").value(seq).run(transaction).await?;
    counts.remove(scope_id, seq, words);
    Ok(WriteOutcome::Removed)
}
