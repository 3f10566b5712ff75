//! Counting memories.

use memgate_domain::applications::CategoryAccess;
use memgate_domain::memories::{MemoryScope, MemoryStatistics};
use memgate_domain::system::Timestamp;
use sea_orm::{ConnectionTrait, QueryResult};

use super::failure::MemoryStoreError;
use super::read::{ScopeRow, allows_nothing, scope_row, visible};
use super::row::{actor, categories};
use super::sets::{is_stale, unsigned};
use super::sql::Sql;
use crate::adapters::database::connections::ConnectionPool;
use crate::adapters::database::row::Row;

pub(super) async fn statistics(
    connection: &ConnectionPool,
    scope: &MemoryScope,
    now: Timestamp,
) -> Result<MemoryStatistics, MemoryStoreError> {
    if allows_nothing(scope.categories()) {
        return Ok(MemoryStatistics::default());
    }
    // One transaction, so that on SQLite all of it sees the same state.
    let transaction = connection.begin().await?;
    let statistics = match scope_row(&transaction, scope).await? {
        Some(row) if *scope.categories() == CategoryAccess::All && !is_stale(&transaction, row.id).await? => {
            from_counts(&transaction, &row, now).await?
        }
        Some(row) => from_memories(&transaction, row.id, scope.categories(), now).await?,
        None => MemoryStatistics::default(),
    };
    transaction.commit().await?;
    Ok(statistics)
}

/// A row that counts memories. An invalid value in it is that of one of them.
fn group_row() -> Row {
    Row::new("memories", "one of a group")
}

/// A number of memories with the same categories.
fn group_of(row: &QueryResult) -> Result<(Vec<memgate_domain::applications::Category>, u64), MemoryStoreError> {
    let names = categories(&group_row(), &row.try_get_by_index::<String>(0)?)?;
    Ok((names, unsigned(row.try_get_by_index(1)?)))
}

/// From the counts that are kept of the whole scope, so that the cost depends on the number of combinations of categories, and
/// of expired memories that are not swept yet. Only who stored them is counted in an index.
async fn from_counts(
    connection: &impl ConnectionTrait,
    scope: &ScopeRow,
    now: Timestamp,
) -> Result<MemoryStatistics, MemoryStoreError> {
    let mut statistics = MemoryStatistics::default();
    let sets = Sql::new(connection, "SELECT categories, memories FROM memory_category_sets WHERE scope_id = ")
        .value(scope.id)
        .all(connection)
        .await?;
    for row in &sets {
        let (names, number) = group_of(row)?;
        statistics.add(&names, number);
    }
    statistics.add(&[], unsigned(scope.memories).saturating_sub(statistics.memories));
    let expired = Sql::new(connection, "SELECT categories, count(*) FROM memories WHERE scope_id = ")
        .value(scope.id)
        .then(" AND expires_at <= ")
        .value(now.unix_millis())
        .then(" GROUP BY categories")
        .all(connection)
        .await?;
    for row in &expired {
        let (names, number) = group_of(row)?;
        statistics.remove(&names, number);
    }
    let actors =
        Sql::new(connection, "SELECT created_by, count(*) FROM memories m WHERE m.scope_id = ").value(scope.id);
    for row in &visible(actors, "m", &CategoryAccess::All, now).then(" GROUP BY created_by").all(connection).await? {
        let name: Option<String> = row.try_get_by_index(0)?;
        statistics.add_of(actor(&group_row(), "created_by", name.as_deref())?, unsigned(row.try_get_by_index(1)?));
    }
    for direction in ["ASC", "DESC"] {
        let sql = Sql::new(connection, "SELECT m.created_at FROM memories m WHERE m.scope_id = ").value(scope.id);
        let sql = visible(sql, "m", &CategoryAccess::All, now);
        let sql = sql.then(&format!(" ORDER BY m.created_at {direction}, m.id {direction} LIMIT 1"));
        if let Some(row) = sql.one(connection).await? {
            statistics.reach(Timestamp::from_unix_millis(row.try_get_by_index(0)?));
        }
    }
    Ok(statistics)
}

/// From all memories of the scope, for what no counts are kept of.
async fn from_memories(
    connection: &impl ConnectionTrait,
    scope_id: i64,
    access: &CategoryAccess,
    now: Timestamp,
) -> Result<MemoryStatistics, MemoryStoreError> {
    let select = "SELECT m.categories, count(*), min(m.created_at), max(m.created_at), m.created_by \
                  FROM memories m WHERE m.scope_id = ";
    let sql = visible(Sql::new(connection, select).value(scope_id), "m", &CategoryAccess::All, now);
    let mut statistics = MemoryStatistics::default();
    for row in &sql.then(" GROUP BY m.categories, m.created_by").all(connection).await? {
        let (names, number) = group_of(row)?;
        if access.allows(&names) {
            statistics.add(&names, number);
            let name: Option<String> = row.try_get_by_index(4)?;
            statistics.add_of(actor(&group_row(), "created_by", name.as_deref())?, number);
            for column in [2, 3] {
                statistics.reach(Timestamp::from_unix_millis(row.try_get_by_index(column)?));
            }
        }
    }
    Ok(statistics)
}
