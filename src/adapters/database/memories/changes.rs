//! Writes memories, many in one transaction.
//!
//! With each memory and its index entries, a write updates counts: of the memories of its scope, of their length, and of the
//! memories that contain each term. These counts make rare words weigh more than common ones. Common words are in many
//! memories, so their counts change often. Therefore all writers of a scope are serialized: each locks the rows of its scopes
//! first, ordered by ID. This avoids deadlocks and keeps the counts exact. To make up for that, each transaction carries all
//! operations that accumulated while it waited (see [`writer`](super::writer)). `docs/adr` has the alternatives.
//!
//! Memories that are created next to each other share their statements: most of the time that one takes does not depend on
//! the number of its rows.

use std::collections::{BTreeSet, HashMap};

use memgate_domain::applications::CategoryAccess;
use memgate_domain::ids::MemoryId;
use memgate_domain::memories::{HistoryEntry, HistoryEvent, Memory, MemoryMember, MemoryUpdate, NewMemory};
use memgate_domain::system::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult};

use super::counts::{CountChanges, WORDS_COLUMNS, Words};
use super::creation::{Creation, Listing, Prepared, create, list};
use super::failure::MemoryStoreError;
use super::history;
use super::index::{INDEX_VERSION, IndexEntries, listings};
use super::ranking::Document;
use super::row::{COLUMN_COUNT, COLUMNS, categories_json, is_visible, memory_of, metadata_json};
use super::sql::Sql;
use crate::adapters::database::connections::{ConnectionPool, PooledTransaction};
use crate::adapters::database::row::json_array;

/// An operation of a caller.
#[derive(Debug)]
pub(super) struct WriteOp {
    /// See [`MemoryScope::tenant`](memgate_domain::memories::MemoryScope::tenant).
    pub(super) tenant: String,
    pub(super) access: CategoryAccess,
    pub(super) change: Change,
}

#[derive(Debug)]
pub(super) enum Change {
    Create(Box<Prepared>),
    Update {
        id: MemoryId,
        update: Box<MemoryUpdate>,
    },
    Delete {
        id: MemoryId,
    },
    /// Deletes the history of the memory.
    ForgetHistory {
        id: MemoryId,
        now: Timestamp,
    },
    /// Deletes the entry with this number of a history if its memory has expired.
    ExpireEntry {
        id: i64,
        now: Timestamp,
    },
    /// Deletes the memory with this row number if it has expired.
    Expire {
        seq: i64,
        now: Timestamp,
    },
    /// Reindexes the memory with this row number if its version is older.
    Reindex {
        seq: i64,
    },
}

/// The outcome of an operation.
#[derive(Clone, Debug)]
pub(super) enum WriteOutcome {
    /// The memory as it was stored.
    Stored(Box<Memory>),
    /// The memory that an earlier write with the same ID created.
    Found(Box<Memory>),
    /// The memory, its history or a part of that was deleted.
    Removed,
    /// There is no such memory.
    Missing,
}

/// Applies all operations, in order and in one transaction. An operation whose row is invalid fails alone.
pub(super) async fn apply_batch(
    connection: &ConnectionPool,
    ops: &[WriteOp],
) -> Result<Vec<Result<WriteOutcome, MemoryStoreError>>, MemoryStoreError> {
    let scopes = scope_ids(connection, ops).await?;
    let transaction = connection.begin().await?;
    lock(&transaction, &scopes).await?;
    let mut counts = CountChanges::default();
    let mut outcomes = Vec::with_capacity(ops.len());
    while let Some(WriteOp { tenant, access, change }) = ops.get(outcomes.len()) {
        let rest = &ops[outcomes.len()..];
        let creations = rest.iter().map_while(|op| Creation::of(op, &scopes)).collect::<Vec<_>>();
        if !creations.is_empty() {
            outcomes.extend(create(&transaction, &creations, &mut counts).await?);
            continue;
        }
        let outcome = match scopes.get(tenant) {
            Some(&scope_id) => apply(&transaction, scope_id, access, change, &mut counts).await,
            None => Ok(WriteOutcome::Missing),
        };
        match outcome {
            Err(failure) if !failure.is_about_one_row() => return Err(failure),
            outcome => outcomes.push(outcome),
        }
    }
    counts.write(&transaction).await?;
    transaction.commit().await?;
    Ok(outcomes)
}

/// The IDs of the scopes of all operations, by tenant. Scopes in which something is created are inserted if necessary.
async fn scope_ids(connection: &ConnectionPool, ops: &[WriteOp]) -> Result<HashMap<String, i64>, MemoryStoreError> {
    let tenants: BTreeSet<String> = ops.iter().map(|op| op.tenant.clone()).collect();
    let mut known = known_scope_ids(connection, &tenants).await?;
    let is_new = |op: &&WriteOp| matches!(op.change, Change::Create(_)) && !known.contains_key(&op.tenant);
    let new: BTreeSet<String> = ops.iter().filter(is_new).map(|op| op.tenant.clone()).collect();
    if !new.is_empty() {
        Sql::new(connection, "INSERT INTO memory_scopes (tenant, memories, total_length) SELECT value, 0, 0 FROM ")
            .elements(json_array(new.iter().cloned()))
            .then(" WHERE true ON CONFLICT (tenant) DO NOTHING")
            .run(connection)
            .await?;
        known.extend(known_scope_ids(connection, &new).await?);
    }
    Ok(known)
}

async fn known_scope_ids(
    connection: &ConnectionPool,
    tenants: &BTreeSet<String>,
) -> Result<HashMap<String, i64>, MemoryStoreError> {
    let rows = Sql::new(connection, "SELECT tenant, id FROM memory_scopes WHERE tenant IN (SELECT value FROM ")
        .elements(json_array(tenants.iter().cloned()))
        .then(")")
        .all(connection)
        .await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

async fn lock(transaction: &PooledTransaction, scopes: &HashMap<String, i64>) -> Result<(), DbErr> {
    // On SQLite the transaction locks the whole file.
    if transaction.get_database_backend() == DbBackend::Postgres {
        Sql::new(transaction, "SELECT id FROM memory_scopes WHERE id IN (SELECT value::bigint FROM ")
            .elements(json_array(scopes.values().copied()))
            // Rows that refer to a scope, such as vectors, may be written meanwhile.
            .then(") ORDER BY id FOR NO KEY UPDATE")
            .all(transaction)
            .await?;
    }
    Ok(())
}

async fn apply(
    transaction: &PooledTransaction,
    scope_id: i64,
    access: &CategoryAccess,
    change: &Change,
    counts: &mut CountChanges,
) -> Result<WriteOutcome, MemoryStoreError> {
    match change {
        // Its scope is there, so it was applied with its neighbours.
        Change::Create(_) => Ok(WriteOutcome::Missing),
        Change::Update { id, update } => {
            let MemoryUpdate { changes, by, at } = &**update;
            let Some(mut found) = find(transaction, scope_id, id).await? else { return Ok(WriteOutcome::Missing) };
            if !is_visible(access, &found.memory, *at) {
                return Ok(WriteOutcome::Missing);
            }
            let (seq, before) = (found.seq, found.memory.clone());
            changes.apply_to(&mut found.memory, *at);
            let members = MemoryMember::changed(&before, &found.memory);
            let replaced = replace(transaction, scope_id, found, counts).await?;
            if !members.is_empty() {
                let entry = HistoryEntry { at: *at, by: Some(*by), event: HistoryEvent::Updated(members) };
                history::add_one(transaction, seq, &entry).await?;
            }
            Ok(replaced)
        }
        Change::ForgetHistory { id, now } => match find(transaction, scope_id, id).await? {
            Some(found) if is_visible(access, &found.memory, *now) => {
                history::forget(transaction, found.seq).await?;
                Ok(WriteOutcome::Removed)
            }
            _ => Ok(WriteOutcome::Missing),
        },
        Change::ExpireEntry { id, now } => {
            let is_dropped = history::expire(transaction, *id, *now).await?;
            Ok(if is_dropped { WriteOutcome::Removed } else { WriteOutcome::Missing })
        }
        Change::Delete { id } => match find(transaction, scope_id, id).await? {
            Some(found) if access.allows(&found.memory.categories) => {
                remove(transaction, scope_id, found.seq, &found.words, counts).await
            }
            _ => Ok(WriteOutcome::Missing),
        },
        Change::Expire { seq, now } => {
            let row = Sql::new(transaction, &format!("SELECT {WORDS_COLUMNS} FROM memories m WHERE m.seq = "))
                .value(*seq)
                .then(" AND m.expires_at <= ")
                .value(now.unix_millis())
                .one(transaction)
                .await?;
            let Some(row) = row else { return Ok(WriteOutcome::Missing) };
            let words = Words::of_row(&row, 0)?;
            remove(transaction, scope_id, *seq, &words, counts).await
        }
        Change::Reindex { seq } => match find_stale(transaction, *seq).await? {
            Some(found) => replace(transaction, scope_id, found, counts).await,
            None => Ok(WriteOutcome::Missing),
        },
    }
}

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

async fn find_stale(transaction: &PooledTransaction, seq: i64) -> Result<Option<Found>, MemoryStoreError> {
    let select = format!("SELECT {COLUMNS}, {WORDS_COLUMNS} FROM memories m WHERE m.index_version < 1 AND m.seq = ");
    let row = Sql::new(transaction, &select).value(seq).one(transaction).await?;
    row.as_ref().map(Found::of_row).transpose()
}

/// A stored memory, its row number, and its counts.
struct Found {
    seq: i64,
    memory: Memory,
    words: Words,
}

impl Found {
    /// Reads [`COLUMNS`] and [`WORDS_COLUMNS`].
    fn of_row(row: &QueryResult) -> Result<Self, MemoryStoreError> {
        let (seq, memory) = memory_of(row)?;
        Ok(Self { seq, memory, words: Words::of_row(row, COLUMN_COUNT)? })
    }
}

async fn find(
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
async fn replace(
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

async fn remove(
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
