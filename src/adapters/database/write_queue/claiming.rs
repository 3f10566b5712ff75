//! Claims due writes under a lease.

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};

use super::SeaOrmWriteQueue;
use super::statements;
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
        let rows =
            writer.query_all_raw(Statement::from_sql_and_values(backend, statements::claim(backend), values)).await?;
        let mut models: Vec<queued_write::Model> =
            rows.iter().map(|row| queued_write::Model::from_query_result(row, "")).collect::<Result<_, _>>()?;
        models.sort_by_key(|model| (model.next_attempt_at, model.position));
        Ok(models)
    }
}
