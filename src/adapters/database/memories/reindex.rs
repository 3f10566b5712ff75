//! Memories that an older version has indexed are indexed again, a few at a time, while everything else goes on.

use std::time::{Duration, Instant};

use memgate_domain::applications::CategoryAccess;

use super::changes::{Change, WriteOp, WriteOutcome};
use super::failure::MemoryStoreError;
use super::sql::Sql;
use super::writer::Writer;
use crate::adapters::database::connections::ConnectionPool;

/// How many memories are handed to the writers at a time.
const BATCH: i64 = 64;
/// How often the log says how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Indexes all memories whose version is older, in the order of their scopes. Returns how many.
pub(super) async fn reindex(connection: &ConnectionPool, writer: &Writer) -> Result<u64, MemoryStoreError> {
    let stale: i64 =
        match Sql::new(connection, "SELECT count(*) FROM memories WHERE index_version < 1").one(connection).await? {
            Some(row) => row.try_get_by_index(0)?,
            None => 0,
        };
    if stale == 0 {
        return Ok(0);
    }
    tracing::info!(memories = stale, "indexing memories that an older version has stored");
    let (mut after, mut done, mut failed, mut reported) = ((0_i64, 0_i64), 0_u64, 0_u64, Instant::now());
    loop {
        let rows = Sql::new(connection, "SELECT s.tenant, m.scope_id, m.seq FROM memories m, memory_scopes s ")
            .then("WHERE m.index_version < 1 AND s.id = m.scope_id AND (m.scope_id, m.seq) > (")
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
        for outcome in writer.submit_each(ops).await? {
            match outcome {
                Ok(WriteOutcome::Stored(_)) => done += 1,
                Ok(_) => {}
                Err(failure) if failure.is_about_one_row() || failure.is_refused_value() => failed += 1,
                Err(failure) => return Err(failure),
            }
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            tracing::info!(done, memories = stale, "indexing memories");
        }
    }
    if failed > 0 {
        tracing::warn!(failed, "memories that cannot be read or are too long were not indexed");
    }
    tracing::info!(done, "indexed all memories that an older version has stored");
    Ok(done)
}
