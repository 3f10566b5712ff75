//! Claims due writes under a lease.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement};

use super::SeaOrmWriteQueue;
use super::rows::indexed_by;
use crate::adapters::database::entities::queued_write;
use crate::domain::memories::Lease;
use crate::domain::system::Timestamp;

impl SeaOrmWriteQueue {
    /// One statement. Rows that another caller is claiming are skipped (SKIP LOCKED); rows are locked only while the lease is
    /// written.
    pub(super) async fn claim_rows(
        &self,
        now: Timestamp,
        lease: Lease,
        limit: u32,
    ) -> Result<Vec<queued_write::Model>, DbErr> {
        let writer = self.database.writer();
        let backend = writer.get_database_backend();
        let values =
            [lease.id.into(), lease.until.unix_millis().into(), now.unix_millis().into(), i64::from(limit).into()];
        let rows = writer.query_all_raw(Statement::from_sql_and_values(backend, sql(backend), values)).await?;
        let mut models: Vec<queued_write::Model> =
            rows.iter().map(|row| queued_write::Model::from_query_result(row, "")).collect::<Result<_, _>>()?;
        models.sort_by_key(|model| (model.next_attempt_at, model.position));
        Ok(models)
    }
}

/// The subquery is materialized, so that it runs once and its limit holds. SQLite, which has no statistics, is told the indexes.
pub(super) fn sql(backend: DbBackend) -> String {
    let lock = if backend == DbBackend::Postgres { "FOR UPDATE OF due SKIP LOCKED" } else { "" };
    let by_time = indexed_by(backend, "queued_writes_pending_next_attempt_at_idx");
    let by_tenant = indexed_by(backend, "queued_writes_pending_tenant_position_idx");
    format!(
        "WITH claimed AS MATERIALIZED (
            SELECT due.request_id FROM queued_writes AS due {by_time}
            WHERE due.state = 'pending' AND due.next_attempt_at <= $3 AND due.lease_until <= $3
                AND (due.set_aside OR NOT EXISTS (
                    SELECT 1 FROM queued_writes AS earlier {by_tenant}
                    WHERE earlier.tenant = due.tenant AND earlier.state = 'pending' AND NOT earlier.set_aside
                        AND earlier.position <= due.position
                        AND (earlier.position < due.position
                            OR (earlier.position = due.position AND earlier.request_id < due.request_id))
                ))
            ORDER BY due.next_attempt_at, due.position
            LIMIT $4 {lock}
        )
        UPDATE queued_writes SET lease_id = $1, lease_until = $2, attempts = attempts + 1
        WHERE request_id IN (SELECT request_id FROM claimed)
        RETURNING *"
    )
}
