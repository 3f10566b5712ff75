//! What happened to memories, and the memories that others superseded.
//!
//! A superseded memory is no row of `memories` any more, so no search, list or count has to leave it out.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use memgate_domain::ids::MemoryId;
use memgate_domain::memories::{AnswerSize, Histories, HistoryEntry, HistoryEvent, MemoryScope};
use memgate_domain::system::Timestamp;
use sea_orm::{ConnectionTrait, QueryResult};

use super::failure::MemoryStoreError;
use super::read::visible;
use super::row::{actor, is_visible};
use super::sql::{Sql, parts};
use crate::adapters::database::connections::{ConnectionPool, PooledTransaction};
use crate::adapters::database::row::{Row, json_array};

/// Adds entries, oldest first, each to the history of the memory with its row number.
pub(super) async fn add(
    transaction: &impl ConnectionTrait,
    entries: &[(i64, &HistoryEntry)],
) -> Result<(), MemoryStoreError> {
    for part in parts(entries) {
        let mut sql = Sql::new(transaction, "INSERT INTO memory_history (seq, happened_at, actor, kind, ")
            .then("bytes, body, expires_at) VALUES ");
        for (number, (seq, entry)) in part.iter().enumerate() {
            let body = entry.event.body();
            sql = sql
                .then(if number == 0 { "(" } else { ", (" })
                .value(*seq)
                .then(", ")
                .value(entry.at.unix_millis())
                .then(", ")
                .value(entry.by.map(|actor| actor.to_string()))
                .then(", ")
                .value(entry.event.kind())
                .then(", ")
                .value(i64::try_from(body.len()).unwrap_or(i64::MAX))
                .then(", ")
                .value(body)
                .then(", ")
                .value(entry.expires_at().map(Timestamp::unix_millis))
                .then(")");
        }
        sql.run(transaction).await?;
    }
    Ok(())
}

/// Adds an entry, and drops the oldest ones that are too many then.
pub(super) async fn add_one(
    transaction: &impl ConnectionTrait,
    seq: i64,
    entry: &HistoryEntry,
) -> Result<(), MemoryStoreError> {
    add(transaction, &[(seq, entry)]).await?;
    let rows = Sql::new(transaction, "SELECT id, bytes FROM memory_history WHERE seq = ")
        .value(seq)
        .then(" ORDER BY id DESC")
        .all(transaction)
        .await?;
    let entries = rows.iter().map(|row| Ok((row.try_get_by_index(0)?, length(row, 1)?)));
    let entries = entries.collect::<Result<Vec<(i64, usize)>, MemoryStoreError>>()?;
    let kept = HistoryEntry::kept(entries.iter().map(|(_, length)| *length));
    if let Some((newest_dropped, _)) = entries.get(kept) {
        Sql::new(transaction, "DELETE FROM memory_history WHERE seq = ")
            .value(seq)
            .then(" AND id <= ")
            .value(*newest_dropped)
            .run(transaction)
            .await?;
    }
    Ok(())
}

/// Makes the history of one memory that of another, which has none yet.
pub(super) async fn hand_over(transaction: &impl ConnectionTrait, from: i64, to: i64) -> Result<(), MemoryStoreError> {
    Sql::new(transaction, "UPDATE memory_history SET seq = ")
        .value(to)
        .then(" WHERE seq = ")
        .value(from)
        .run(transaction)
        .await?;
    Ok(())
}

/// Drops the history of a memory.
pub(super) async fn forget(transaction: &impl ConnectionTrait, seq: i64) -> Result<(), MemoryStoreError> {
    Sql::new(transaction, "DELETE FROM memory_history WHERE seq = ").value(seq).run(transaction).await?;
    Ok(())
}

/// The tenants and numbers of at most `limit` entries whose memory has expired at `now`.
pub(super) async fn expired(
    connection: &ConnectionPool,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(String, i64)>, MemoryStoreError> {
    let rows = Sql::new(connection, "SELECT s.tenant, h.id FROM memory_history h, memories m, memory_scopes s ")
        .then("WHERE h.expires_at <= ")
        .value(now.unix_millis())
        .then(" AND m.seq = h.seq AND s.id = m.scope_id ORDER BY h.expires_at LIMIT ")
        .value(i64::from(limit))
        .all(connection)
        .await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// Drops the entry with this number if its memory has expired. Returns whether that is so.
pub(super) async fn expire(transaction: &PooledTransaction, id: i64, now: Timestamp) -> Result<bool, MemoryStoreError> {
    let dropped = Sql::new(transaction, "DELETE FROM memory_history WHERE id = ")
        .value(id)
        .then(" AND expires_at <= ")
        .value(now.unix_millis())
        .run(transaction)
        .await?;
    Ok(dropped.rows_affected() > 0)
}

pub(super) async fn histories(
    connection: &ConnectionPool,
    scope: &MemoryScope,
    ids: &[MemoryId],
    now: Timestamp,
) -> Result<Histories, MemoryStoreError> {
    let lengths = of_visible(connection, "m.id, CAST(sum(h.bytes) AS bigint)", scope, ids, now)
        .then(" GROUP BY m.id")
        .all(connection)
        .await?;
    if lengths.is_empty() {
        return Ok(Histories { read: ids.len(), entries: BTreeMap::new() });
    }
    let lengths = lengths.iter().map(|row| Ok((row.try_get_by_index(0)?, length(row, 1)?)));
    let lengths = lengths.collect::<Result<BTreeMap<String, usize>, MemoryStoreError>>()?;
    let mut bytes = 0;
    let fitting = ids.iter().enumerate().take_while(|(number, id)| {
        bytes += lengths.get(id.as_str()).copied().unwrap_or_default();
        *number == 0 || bytes <= AnswerSize::MAX
    });
    let read = fitting.count();
    let columns = "m.id, h.id, h.happened_at, h.actor, h.kind, h.body";
    let rows = of_visible(connection, columns, scope, &ids[..read], now).all(connection).await?;
    let rows = rows.iter().map(|row| Ok((row.try_get_by_index(1)?, row)));
    let mut rows = rows.collect::<Result<Vec<(i64, &QueryResult)>, MemoryStoreError>>()?;
    // SQLite would write that many texts to a temporary file in order to sort them.
    rows.sort_unstable_by_key(|(number, _)| Reverse(*number));
    let mut entries: BTreeMap<MemoryId, Vec<HistoryEntry>> = BTreeMap::new();
    for (_, row) in rows {
        let (id, entry) = read_entry(row)?;
        if entry.superseded().is_none_or(|memory| is_visible(scope.categories(), memory, now)) {
            entries.entry(id).or_default().push(entry);
        }
    }
    Ok(Histories { read, entries })
}

/// Selects columns of the entries `h` of the visible memories `m` among `ids`.
fn of_visible(
    connection: &ConnectionPool,
    columns: &str,
    scope: &MemoryScope,
    ids: &[MemoryId],
    now: Timestamp,
) -> Sql {
    let sql = Sql::new(connection, &format!("SELECT {columns} FROM memory_scopes s, memories m, memory_history h "))
        .then("WHERE s.tenant = ")
        .value(scope.tenant())
        .then(" AND m.scope_id = s.id AND m.id IN (SELECT value FROM ")
        .elements(json_array(ids.iter().map(MemoryId::as_str)))
        .then(") AND h.seq = m.seq");
    visible(sql, "m", scope.categories(), now)
}

fn read_entry(columns: &QueryResult) -> Result<(MemoryId, HistoryEntry), MemoryStoreError> {
    let number: i64 = columns.try_get_by_index(1)?;
    let row = Row::new("memory_history", number);
    let (id, by, kind): (String, Option<String>, String) =
        (columns.try_get_by_index(0)?, columns.try_get_by_index(3)?, columns.try_get_by_index(4)?);
    let entry = HistoryEntry {
        at: row.timestamp("happened_at", columns.try_get_by_index(2)?)?,
        by: actor(&row, "actor", by.as_deref())?,
        event: HistoryEvent::parse(&kind, &columns.try_get_by_index::<String>(5)?).map_err(row.rejected("body"))?,
    };
    Ok((row.parse("id", &id)?, entry))
}

fn length(row: &QueryResult, column: usize) -> Result<usize, MemoryStoreError> {
    let bytes: i64 = row.try_get_by_index(column)?;
    Ok(usize::try_from(bytes).unwrap_or_default())
}
