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
use memgate_domain::memories::{HistoryEntry, HistoryEvent, MemoryMember, MemoryUpdate};
use sea_orm::{ConnectionTrait, DbBackend, DbErr};

use super::counts::{CountChanges, WORDS_COLUMNS, Words};
use super::creation::{Creation, create};
use super::failure::MemoryStoreError;
use super::history;
use super::operations::{Change, WriteOp, WriteOutcome};
use super::row::is_visible;
use super::sql::Sql;
use super::stored::{find, find_stale, remove, replace};
use crate::adapters::database::connections::{ConnectionPool, PooledTransaction};
use crate::adapters::database::row::json_array;

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
            let MemoryUpdate { changes, by, at, .. } = &**update;
            let Some(mut found) = find(transaction, scope_id, id).await? else { return Ok(WriteOutcome::Missing) };
            if !is_visible(access, &found.memory, *at) || !update.applies_to(&found.memory) {
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
        Change::Delete { id, if_updated_at } => match find(transaction, scope_id, id).await? {
            Some(found)
                if access.allows(&found.memory.categories)
                    && if_updated_at.is_none_or(|at| found.memory.updated_at == at) =>
            {
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
