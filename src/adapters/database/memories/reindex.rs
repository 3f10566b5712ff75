//! Reindexes memories of an older version, a few at a time, during normal operation.

use std::time::Duration;

use memgate_domain::applications::CategoryAccess;
use tokio::time::Instant;

use super::failure::MemoryStoreError;
use super::index;
use super::operations::{Change, WriteOp, WriteOutcome};
use super::sql::Sql;
use super::writer::Writer;
use crate::adapters::database::connections::ConnectionPool;

/// Number of memories per batch.
const BATCH: i64 = 64;
/// Interval of progress reports in the log.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Indexes all memories whose version is older, in the order of their scopes. Returns how many.
pub(super) async fn reindex(connection: &ConnectionPool, writer: &Writer) -> Result<u64, MemoryStoreError> {
    let count = Sql::new(connection, "SELECT count(*) FROM memories WHERE ").then(&index::stale());
    let stale: i64 = match count.one(connection).await? {
        Some(row) => row.try_get_by_index(0)?,
        None => 0,
    };
    if stale == 0 {
        return Ok(0);
    }
    tracing::info!(memories = stale, "reindexing memories of an older version");
    let (mut after, mut done, mut failed, mut reported) = ((0_i64, 0_i64), 0_u64, 0_u64, Instant::now());
    loop {
        let rows = Sql::new(connection, "SELECT s.tenant, m.scope_id, m.seq FROM memories m, memory_scopes s ")
            .then(&format!("WHERE m.{} AND s.id = m.scope_id AND (m.scope_id, m.seq) > (", index::stale()))
            .value(after.0)
            .then(", ")
            .value(after.1)
            .then(") ORDER BY m.scope_id, m.seq LIMIT ")
            .value(BATCH)
            .all(connection)
            .await?;
        let mut ops = Vec::with_capacity(rows.len());
        for row in rows {
            after = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
            let change = Change::Reindex { seq: after.1 };
            ops.push(WriteOp { tenant: row.try_get_by_index(0)?, access: CategoryAccess::All, change });
        }
        if ops.is_empty() {
            break;
        }
        for outcome in writer.submit_all(ops).await? {
            match outcome {
                Ok(WriteOutcome::Stored(_)) => done += 1,
                Ok(_) => {}
                Err(failure) if failure.is_about_one_row() || failure.is_refused_value() => failed += 1,
                Err(failure) => return Err(failure),
            }
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            tracing::info!(done, memories = stale, "reindexing memories");
        }
    }
    if failed > 0 {
        tracing::warn!(failed, "some memories are invalid or too long and were not indexed");
    }
    tracing::info!(done, "reindexed all memories of an older version");
    Ok(done)
}
