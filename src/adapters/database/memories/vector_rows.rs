//! The vectors of memories, as rows.
//!
//! Vectors are written when a memory is there already, without the lock of its scope's writers: a write must not wait for them.
//! The statement that inserts a vector therefore checks that the memory still has the text that the vector is of. On
//! PostgreSQL it also locks the memory until its transaction ends, so that a change of the text either comes first, and is
//! seen, or comes later, and deletes the vector (a trigger does). A memory that is being changed is left out, not waited for.

use std::collections::BTreeSet;

use memgate_domain::memories::{Embedding, EmbeddingModel, EmbeddingModelId};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult};

use super::failure::MemoryStoreError;
use super::index_cache::changed_since;
use super::read::ScopeRow;
use super::sets::unsigned;
use super::sql::{Sql, parts};
use crate::adapters::database::connections::ConnectionPool;
use crate::adapters::database::row::{Row, json_array};

/// A memory without a vector.
#[derive(Debug)]
pub(super) struct Unembedded {
    pub(super) seq: i64,
    pub(super) content: String,
}

/// A memory and its vector, if it has one that can be compared.
#[derive(Debug)]
pub(super) struct Embedded {
    pub(super) memory: Unembedded,
    pub(super) vector: Option<Embedding>,
}

/// A scope in which memories may have no vector of the model.
#[derive(Debug)]
pub(super) struct DueScope {
    pub(super) row: ScopeRow,
    /// The revision at which all had one.
    checked: Option<i64>,
    /// The number of the newest transaction that wrote or deleted vectors of the scope, other than in this run.
    vectors: i64,
}

/// How many memories have vectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VectorCounts {
    /// Number of memories.
    pub memories: u64,
    /// How many have a vector, or are known to have none, by the ID of the model.
    pub embedded: Vec<(String, u64)>,
    /// The ID of the model that vectors are made with, if any.
    pub model: Option<String>,
}

/// Makes `model` the one that vectors are made with. Of instances that have different ones, as during a rolling restart, only
/// those make vectors that have the one that was named last.
pub(super) async fn adopt(connection: &ConnectionPool, model: &EmbeddingModel) -> Result<(), MemoryStoreError> {
    Sql::new(connection, "INSERT INTO memory_vector_models (id, model, dimensions) VALUES (1, ")
        .value(model.id.as_str())
        .then(", ")
        .value(i64::try_from(model.dimensions).unwrap_or(i64::MAX))
        .then(") ON CONFLICT (id) DO UPDATE SET model = excluded.model, dimensions = excluded.dimensions")
        .then(" WHERE memory_vector_models.model <> excluded.model")
        .run(connection)
        .await?;
    Ok(())
}

/// Whether vectors are made with `model`.
pub(super) async fn is_adopted(
    connection: &ConnectionPool,
    model: &EmbeddingModelId,
) -> Result<bool, MemoryStoreError> {
    Ok(adopted(connection, "").await?.as_deref() == Some(model.as_str()))
}

async fn adopted(connection: &impl ConnectionTrait, lock: &str) -> Result<Option<String>, MemoryStoreError> {
    let sql = Sql::new(connection, "SELECT model FROM memory_vector_models WHERE id = 1").then(lock);
    let row = sql.one(connection).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// The next scopes after the one with the ID `after` in which something changed since all had vectors.
pub(super) async fn due_scopes(
    connection: &ConnectionPool,
    model: &EmbeddingModelId,
    after: i64,
    limit: i64,
) -> Result<Vec<DueScope>, MemoryStoreError> {
    let rows =
        Sql::new(connection, "SELECT s.id, s.memories, s.total_length, s.revision, v.model, v.checked, v.revision ")
            .then("FROM memory_scopes s LEFT JOIN memory_vector_scopes v ON v.scope_id = s.id WHERE s.id > ")
            .value(after)
            .then(" AND (v.scope_id IS NULL OR v.model <> ")
            .value(model.as_str())
            .then(" OR v.checked < s.revision) ORDER BY s.id LIMIT ")
            .value(limit)
            .all(connection)
            .await?;
    let scope = |row: &QueryResult| {
        let of: Option<String> = row.try_get_by_index(4)?;
        let checked: Option<i64> = row.try_get_by_index(5)?;
        let checked = checked.filter(|checked| *checked >= 0 && of.as_deref() == Some(model.as_str()));
        let vectors: Option<i64> = row.try_get_by_index(6)?;
        let row = ScopeRow {
            id: row.try_get_by_index(0)?,
            memories: row.try_get_by_index(1)?,
            total_length: row.try_get_by_index(2)?,
            revision: row.try_get_by_index(3)?,
        };
        Ok(DueScope { row, checked, vectors: vectors.unwrap_or(0) })
    };
    rows.iter().map(scope).collect()
}

/// Reads the memories of a scope that have no vector of a model, a few at a time.
pub(super) struct Unread<'a> {
    model: &'a EmbeddingModelId,
    scope_id: i64,
    left: Left,
}

enum Left {
    /// Those of these memories, the last first.
    Noted(Vec<i64>),
    /// Those of all memories after this place.
    All(Option<(i64, String)>),
    None,
}

impl<'a> Unread<'a> {
    pub(super) async fn of(
        connection: &ConnectionPool,
        model: &'a EmbeddingModelId,
        scope: &DueScope,
    ) -> Result<Self, MemoryStoreError> {
        let changed = match scope.checked {
            Some(checked) => changed_since(connection, &scope.row, checked).await?,
            None => None,
        };
        let left = changed.map_or(Left::All(None), |changed| {
            let mut seqs: Vec<i64> = changed.into_iter().collect();
            seqs.sort_unstable_by(|a, b| b.cmp(a));
            Left::Noted(seqs)
        });
        Ok(Self { model, scope_id: scope.row.id, left })
    }

    /// At most `limit` of them; empty when there are no more.
    pub(super) async fn next(
        &mut self,
        connection: &ConnectionPool,
        limit: usize,
    ) -> Result<Vec<Unembedded>, MemoryStoreError> {
        loop {
            match &mut self.left {
                Left::None => return Ok(Vec::new()),
                Left::Noted(seqs) => {
                    let part = seqs.split_off(seqs.len().saturating_sub(limit));
                    if part.is_empty() {
                        self.left = Left::None;
                        return Ok(Vec::new());
                    }
                    let found = self.read_noted(connection, part).await?;
                    // These may all have vectors by now.
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                Left::All(after) => {
                    let after = after.take();
                    let (found, last) = self.read_after(connection, after, limit).await?;
                    self.left = last.map_or(Left::None, |last| Left::All(Some(last)));
                    return Ok(found);
                }
            }
        }
    }

    async fn read_noted(
        &self,
        connection: &ConnectionPool,
        seqs: Vec<i64>,
    ) -> Result<Vec<Unembedded>, MemoryStoreError> {
        let rows = Sql::new(connection, "SELECT m.seq, m.content FROM ")
            .elements(json_array(seqs))
            .then(" e CROSS JOIN memories m WHERE m.seq = CAST(e.value AS bigint) AND m.scope_id = ")
            .value(self.scope_id)
            .then(WITHOUT_VECTOR)
            .value(self.model.as_str())
            .then(")")
            .all(connection)
            .await?;
        rows.iter().map(unembedded).collect()
    }

    async fn read_after(
        &self,
        connection: &ConnectionPool,
        after: Option<(i64, String)>,
        limit: usize,
    ) -> Result<(Vec<Unembedded>, Option<(i64, String)>), MemoryStoreError> {
        let mut sql =
            Sql::new(connection, "SELECT m.seq, m.content, m.created_at, m.id FROM memories m WHERE m.scope_id = ")
                .value(self.scope_id);
        if let Some((created_at, id)) = after {
            sql = sql.then(" AND (m.created_at, m.id) > (").value(created_at).then(", ").value(id).then(")");
        }
        let rows = sql
            .then(WITHOUT_VECTOR)
            .value(self.model.as_str())
            .then(") ORDER BY m.created_at, m.id LIMIT ")
            .value(i64::try_from(limit).unwrap_or(i64::MAX))
            .all(connection)
            .await?;
        let last =
            rows.last().map(|row| Ok::<_, MemoryStoreError>((row.try_get_by_index(2)?, row.try_get_by_index(3)?)));
        Ok((rows.iter().map(unembedded).collect::<Result<_, _>>()?, last.transpose()?))
    }
}

const WITHOUT_VECTOR: &str = " AND NOT EXISTS (SELECT 1 FROM memory_vectors v WHERE v.seq = m.seq AND v.model = ";

fn unembedded(row: &QueryResult) -> Result<Unembedded, MemoryStoreError> {
    Ok(Unembedded { seq: row.try_get_by_index(0)?, content: row.try_get_by_index(1)? })
}

/// Stores vectors of a scope, and returns for how many memories: others were deleted or changed meanwhile, or have theirs from
/// another run. `None` if vectors are made with another model by now: then nothing is stored.
pub(super) async fn store(
    connection: &ConnectionPool,
    model: &EmbeddingModelId,
    scope: &mut DueScope,
    embedded: &[Embedded],
) -> Result<Option<u64>, MemoryStoreError> {
    let scope_id = scope.row.id;
    let transaction = connection.begin().await?;
    let is_postgres = transaction.get_database_backend() == DbBackend::Postgres;
    // On PostgreSQL whoever adopts another model waits until this transaction ends.
    let lock = if is_postgres { " FOR SHARE" } else { "" };
    if adopted(&transaction, lock).await?.as_deref() != Some(model.as_str()) {
        return Ok(None);
    }
    // Whoever else writes vectors of the scope waits here, so that revisions become visible in their order.
    let revision = next_revision(&transaction, model, scope_id).await?;
    let mut stored = 0;
    for part in parts(embedded) {
        let mut sql = Sql::new(&transaction, "WITH made (seq, content, vector) AS (VALUES ");
        for (number, Embedded { memory, vector }) in part.iter().enumerate() {
            sql = sql
                .then(if number == 0 { "(CAST(" } else { ", (CAST(" })
                .value(memory.seq)
                .then(" AS bigint), CAST(")
                .value(memory.content.as_str())
                .then(" AS text), ")
                .value(vector.as_ref().map_or_else(Vec::new, bytes_of))
                .then(")");
        }
        sql = sql
            .then(") INSERT INTO memory_vectors (seq, scope_id, model, revision, vector) SELECT m.seq, m.scope_id, ")
            .value(model.as_str())
            .then(", ")
            .value(revision)
            .then(", made.vector FROM made CROSS JOIN memories m WHERE m.seq = made.seq AND m.content = made.content ")
            .then("AND m.scope_id = ")
            .value(scope_id);
        if is_postgres {
            sql = sql.then(" FOR SHARE OF m SKIP LOCKED");
        }
        let inserted = sql
            .then(" ON CONFLICT (seq) DO UPDATE SET scope_id = excluded.scope_id, model = excluded.model, ")
            .then("revision = excluded.revision, vector = excluded.vector ")
            // Another run may have been faster.
            .then("WHERE memory_vectors.model <> excluded.model")
            .run(&transaction)
            .await?;
        stored += inserted.rows_affected();
    }
    transaction.commit().await?;
    // If somebody else wrote meanwhile, the numbers differ from now on.
    scope.vectors += 1;
    Ok(Some(stored))
}

/// Numbers the transaction, among those that write vectors of the scope.
async fn next_revision(
    transaction: &impl ConnectionTrait,
    model: &EmbeddingModelId,
    scope_id: i64,
) -> Result<i64, MemoryStoreError> {
    let row = Sql::new(transaction, "INSERT INTO memory_vector_scopes (scope_id, model, revision, checked) VALUES (")
        .value(scope_id)
        .then(", ")
        .value(model.as_str())
        .then(", 1, -1) ON CONFLICT (scope_id) DO UPDATE SET revision = memory_vector_scopes.revision + 1, ")
        .then("checked = CASE WHEN memory_vector_scopes.model = excluded.model THEN memory_vector_scopes.checked ")
        .then("ELSE -1 END, model = excluded.model RETURNING revision")
        .one(transaction)
        .await?;
    let row =
        row.ok_or_else(|| Row::new("memory_vector_scopes", scope_id).inconsistent("column revision was not returned"))?;
    Ok(row.try_get_by_index(0)?)
}

/// Notes that at the revision of `scope` every memory of it had a vector, unless others wrote or deleted vectors meanwhile: then
/// the next run finds out.
pub(super) async fn check_off(
    connection: &ConnectionPool,
    model: &EmbeddingModelId,
    scope: &DueScope,
) -> Result<(), MemoryStoreError> {
    Sql::new(connection, "INSERT INTO memory_vector_scopes (scope_id, model, revision, checked) VALUES (")
        .value(scope.row.id)
        .then(", ")
        .value(model.as_str())
        .then(", ")
        .value(scope.vectors)
        .then(", ")
        .value(scope.row.revision)
        .then(") ON CONFLICT (scope_id) DO UPDATE SET checked = excluded.checked, model = excluded.model ")
        .then("WHERE memory_vector_scopes.revision = excluded.revision")
        .run(connection)
        .await?;
    Ok(())
}

/// Deletes at most `limit` of the vectors of memories after the one with the row number `after`, and makes all memories due.
/// Returns the row number of the last one; `None` if there was none.
pub(super) async fn delete_after(
    connection: &ConnectionPool,
    after: i64,
    limit: i64,
) -> Result<Option<i64>, MemoryStoreError> {
    let transaction = connection.begin().await?;
    let is_postgres = transaction.get_database_backend() == DbBackend::Postgres;
    let rows = Sql::new(&transaction, "SELECT seq, scope_id FROM memory_vectors WHERE seq > ")
        .value(after)
        .then(" ORDER BY seq LIMIT ")
        .value(limit)
        .all(&transaction)
        .await?;
    let rows = rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)));
    let rows: Vec<(i64, i64)> = rows.collect::<Result<_, MemoryStoreError>>()?;
    let Some(&(last, _)) = rows.last() else { return Ok(None) };
    let scopes: BTreeSet<i64> = rows.iter().map(|(_, scope_id)| *scope_id).collect();
    Sql::new(&transaction, "UPDATE memory_vector_scopes SET checked = -1, revision = revision + 1 WHERE scope_id IN (")
        .then("SELECT CAST(value AS bigint) FROM ")
        .elements(json_array(scopes))
        .then(")")
        .run(&transaction)
        .await?;
    Sql::new(
        &transaction,
        "DELETE FROM memory_vectors WHERE seq IN (SELECT v.seq FROM memory_vectors v WHERE v.seq IN (",
    )
    .then("SELECT CAST(value AS bigint) FROM ")
    .elements(json_array(rows.iter().map(|(seq, _)| *seq)))
    // A writer that has one locked deletes it, and must not be waited for.
    .then(if is_postgres { ") FOR UPDATE SKIP LOCKED)" } else { "))" })
    .run(&transaction)
    .await?;
    transaction.commit().await?;
    Ok(Some(last))
}

/// Row numbers and vectors of these memories of a scope.
pub(super) async fn vectors_of(
    connection: &impl ConnectionTrait,
    model: &EmbeddingModelId,
    scope_id: i64,
    seqs: impl IntoIterator<Item = i64>,
) -> Result<Vec<QueryResult>, MemoryStoreError> {
    let mut seqs = seqs.into_iter().peekable();
    if seqs.peek().is_none() {
        return Ok(Vec::new());
    }
    let rows = Sql::new(connection, "SELECT v.seq, v.vector FROM ")
        .elements(json_array(seqs))
        .then(" e CROSS JOIN memory_vectors v WHERE v.seq = CAST(e.value AS bigint) AND v.model = ")
        .value(model.as_str())
        .then(" AND v.scope_id = ")
        .value(scope_id)
        .all(connection)
        .await?;
    Ok(rows)
}

pub(super) async fn counts(connection: &ConnectionPool) -> Result<VectorCounts, MemoryStoreError> {
    let row = Sql::new(connection, "SELECT CAST(COALESCE(sum(memories), 0) AS bigint) FROM memory_scopes")
        .one(connection)
        .await?;
    let memories = row.map(|row| row.try_get_by_index(0)).transpose()?.map_or(0, unsigned);
    let rows = Sql::new(connection, "SELECT model, count(*) FROM memory_vectors GROUP BY model ORDER BY model")
        .all(connection)
        .await?;
    let count = |row: &QueryResult| Ok((row.try_get_by_index(0)?, unsigned(row.try_get_by_index(1)?)));
    let embedded = rows.iter().map(count).collect::<Result<_, MemoryStoreError>>()?;
    Ok(VectorCounts { memories, embedded, model: adopted(connection, "").await? })
}

fn bytes_of(vector: &Embedding) -> Vec<u8> {
    let values = vector.values().iter().map(|value| value.cast_unsigned());
    vector.scale().to_le_bytes().into_iter().chain(values).collect()
}
