//! The write queue: accepted writes, until they are delivered and their idempotency keys expire.

mod accepting;
mod claiming;
mod document;
mod rows;
mod statements;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, SimpleExpr};
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait as _, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
};
use uuid::Uuid;

use super::entities::queued_write::{self, Column};
use super::error::storage_error;
use super::handle::Database;
use super::row::Row;
use super::sweep::sweep;
use crate::domain::ids::{ApplicationId, MemoryId, RequestId};
use crate::domain::memories::{
    Acceptance, Claim, DeliveryFailures, DeliveryOrder, IdempotencyKey, Lease, Memory, MemoryScope, QueueStatistics,
    QueuedWrite, TenantGroup, TrackedWrite, Undelivered, WriteQueue, WriteState,
};
use crate::domain::system::{StorageError, Timestamp};
use accepting::AcceptAttempt;
use document::MemoryDocument;
use rows::{FAILED, PENDING, STORED, WRITES};

/// How often accepting is retried for a write whose key was taken when it was to be inserted, and free when the other write
/// was to be read: that was swept in between.
const ATTEMPTS: usize = 3;

/// Stores accepted writes in SQLite or PostgreSQL.
#[derive(Clone, Debug)]
pub struct SeaOrmWriteQueue {
    database: Database,
}

impl SeaOrmWriteQueue {
    /// Uses `database`, whose migrations are applied.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn try_expedite(&self, request: RequestId, now: Timestamp) -> Result<bool, DbErr> {
        let change = queued_write::ActiveModel {
            next_attempt_at: ActiveValue::Set(now.unix_millis()),
            failures: ActiveValue::Set(0),
            outvoted: ActiveValue::Set(0),
            failed_at: ActiveValue::Set(now.unix_millis()),
            ..Default::default()
        };
        let changed = queued_write::Entity::update_many()
            .set(change)
            .filter(Column::RequestId.eq(request.as_uuid()))
            .filter(Column::State.eq(PENDING))
            .exec(self.database.writer())
            .await?;
        Ok(changed.rows_affected > 0)
    }

    async fn try_retry(&self, request: RequestId, now: Timestamp) -> Result<bool, DbErr> {
        let transaction = self.database.begin().await?;
        let dead = queued_write::Entity::find_by_id(request.as_uuid()).filter(Column::State.eq(FAILED));
        let Some(dead) = dead.one(&transaction).await? else { return Ok(false) };
        accepting::lock_tenant_named(&transaction, &dead.tenant).await?;
        let change = queued_write::ActiveModel {
            state: ActiveValue::Set(PENDING.to_owned()),
            failure: ActiveValue::Set(None),
            position: ActiveValue::Set(accepting::end_of_line(&transaction, &dead.tenant).await?),
            // It was sent before.
            attempts: ActiveValue::Set(1),
            next_attempt_at: ActiveValue::Set(now.unix_millis()),
            lease_id: ActiveValue::Set(None),
            lease_until: ActiveValue::Set(0),
            failures: ActiveValue::Set(0),
            outvoted: ActiveValue::Set(0),
            failed_at: ActiveValue::Set(now.unix_millis()),
            set_aside: ActiveValue::Set(false),
            ..Default::default()
        };
        let changed = queued_write::Entity::update_many()
            .set(change)
            .filter(Column::RequestId.eq(request.as_uuid()))
            .filter(Column::State.eq(FAILED))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(changed.rows_affected > 0)
    }

    async fn try_note_failure(
        &self,
        request: RequestId,
        lease: Uuid,
        now: Timestamp,
    ) -> Result<Option<(i64, i64)>, DbErr> {
        let writer = self.database.writer();
        let sql = statements::note_failure(writer.get_database_backend());
        let values = [now.unix_millis().into(), request.as_uuid().into(), lease.into()];
        let statement = Statement::from_sql_and_values(writer.get_database_backend(), sql, values);
        let Some(row) = writer.query_one_raw(statement).await? else { return Ok(None) };
        Ok(Some((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
    }

    async fn try_statistics(&self) -> Result<Vec<(String, i64, Option<i64>)>, DbErr> {
        queued_write::Entity::find()
            .filter(Column::State.is_in([PENDING, FAILED]))
            .select_only()
            .column(Column::State)
            .column_as(Column::RequestId.count(), "writes")
            .column_as(Column::AcceptedAt.min(), "oldest")
            .group_by(Column::State)
            .into_tuple()
            .all(self.database.reader())
            .await
    }
}

/// The later of the row's timestamp and this one.
fn at_least(column: Column, at: Timestamp) -> SimpleExpr {
    let at = at.unix_millis();
    Expr::case(Expr::col(column).lt(at), Expr::value(at)).finally(Expr::col(column)).into()
}

/// The earlier of the two.
fn at_most(moment: SimpleExpr, at: Option<Timestamp>) -> SimpleExpr {
    let Some(at) = at.map(Timestamp::unix_millis) else { return moment };
    Expr::case(moment.clone().gt(at), Expr::value(at)).finally(moment).into()
}

fn state_name(state: &WriteState) -> &'static str {
    match state {
        WriteState::Pending => PENDING,
        WriteState::Stored(_) => STORED,
        WriteState::Failed(_) => FAILED,
    }
}

/// PostgreSQL does not store NUL in texts, and a reason comes from the bank.
fn without_nul(reason: &str) -> String {
    reason.replace('\0', "\u{fffd}")
}

#[async_trait]
impl WriteQueue for SeaOrmWriteQueue {
    async fn accept(
        &self,
        write: &QueuedWrite,
        order: DeliveryOrder,
        lease: Lease,
    ) -> Result<Acceptance, StorageError> {
        for _ in 0..ATTEMPTS {
            match accepting::try_accept(&self.database, write, order, lease).await.map_err(storage_error(WRITES))? {
                AcceptAttempt::Inserted(dispatch) => return Ok(Acceptance::Accepted(dispatch)),
                AcceptAttempt::Known(model) => {
                    let TrackedWrite { write, state, .. } = rows::read_tracked(&model)?;
                    return Ok(Acceptance::Duplicate { write: Box::new(write), state });
                }
                AcceptAttempt::Full => return Ok(Acceptance::Full),
                AcceptAttempt::Gone => {}
            }
        }
        Err(StorageError::Unavailable("the writes of this idempotency key change too fast to be read".into()))
    }

    async fn claim(&self, now: Timestamp, lease: Lease, limit: u32) -> Result<Vec<Claim>, StorageError> {
        let models = self.claim_rows(now, lease, limit).await.map_err(storage_error(WRITES))?;
        let mut claims = Vec::with_capacity(models.len());
        for model in &models {
            match rows::read_claim(model, lease) {
                Ok(claim) => claims.push(claim),
                // An invalid row must not block the delivery of others; it stays for an operator to see.
                Err(error) => tracing::error!(error = %error, "a queued write is invalid, so it is not delivered"),
            }
        }
        Ok(claims)
    }

    async fn release_leases(&self) -> Result<(), StorageError> {
        let change = queued_write::ActiveModel {
            lease_id: ActiveValue::Set(None),
            lease_until: ActiveValue::Set(0),
            ..Default::default()
        };
        queued_write::Entity::update_many()
            .set(change)
            .filter(Column::State.eq(PENDING))
            .filter(Column::LeaseId.is_not_null())
            .exec(self.database.writer())
            .await
            .map(drop)
            .map_err(storage_error(WRITES))
    }

    async fn mark_stored(
        &self,
        request: RequestId,
        memory: &Memory,
        now: Timestamp,
        keep_until: Timestamp,
    ) -> Result<bool, StorageError> {
        let outcome = queued_write::ActiveModel {
            state: ActiveValue::Set(STORED.to_owned()),
            stored_memory: ActiveValue::Set(Some(MemoryDocument::from(memory).to_json())),
            memory_id: ActiveValue::Set(Some(memory.id.to_string())),
            stored_at: ActiveValue::Set(Some(now.unix_millis())),
            failure: ActiveValue::Set(None),
            last_error: ActiveValue::Set(None),
            ..Default::default()
        };
        queued_write::Entity::update_many()
            .set(outcome)
            .col_expr(Column::KeepUntil, at_most(at_least(Column::KeepUntil, keep_until), memory.expires_at))
            .filter(Column::RequestId.eq(request.as_uuid()))
            .exec(self.database.writer())
            .await
            .map(|updated| updated.rows_affected > 0)
            .map_err(storage_error(WRITES))
    }

    async fn mark_failed(&self, request: RequestId, reason: &str, keep_until: Timestamp) -> Result<(), StorageError> {
        let outcome = queued_write::ActiveModel {
            state: ActiveValue::Set(FAILED.to_owned()),
            failure: ActiveValue::Set(Some(without_nul(reason))),
            last_error: ActiveValue::Set(None),
            ..Default::default()
        };
        queued_write::Entity::update_many()
            .set(outcome)
            .col_expr(Column::KeepUntil, at_least(Column::KeepUntil, keep_until))
            .filter(Column::RequestId.eq(request.as_uuid()))
            // If two deliver one write, the one that succeeded is right.
            .filter(Column::State.ne(STORED))
            .exec(self.database.writer())
            .await
            .map(drop)
            .map_err(storage_error(WRITES))
    }

    async fn note_failure(
        &self,
        request: RequestId,
        lease: Uuid,
        now: Timestamp,
    ) -> Result<DeliveryFailures, StorageError> {
        let counted = self.try_note_failure(request, lease, now).await.map_err(storage_error(WRITES))?;
        let number = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(counted.map_or_else(DeliveryFailures::default, |(total, outvoted)| DeliveryFailures {
            total: number(total),
            outvoted: number(outvoted),
        }))
    }

    async fn reschedule(
        &self,
        request: RequestId,
        lease: Uuid,
        next_attempt_at: Timestamp,
        reason: &str,
        set_aside: bool,
    ) -> Result<(), StorageError> {
        let change = queued_write::ActiveModel {
            next_attempt_at: ActiveValue::Set(next_attempt_at.unix_millis()),
            lease_id: ActiveValue::Set(None),
            lease_until: ActiveValue::Set(0),
            last_error: ActiveValue::Set(Some(without_nul(reason))),
            ..Default::default()
        };
        let mut update = queued_write::Entity::update_many().set(change);
        if set_aside {
            update =
                update.col_expr(Column::SetAside, Expr::cust(statements::set_aside_if_few(self.database.backend())));
        }
        update
            .filter(Column::RequestId.eq(request.as_uuid()))
            .filter(Column::State.eq(PENDING))
            .filter(Column::LeaseId.eq(lease))
            .exec(self.database.writer())
            .await
            .map(drop)
            .map_err(storage_error(WRITES))
    }

    async fn find(&self, application: ApplicationId, request: RequestId) -> Result<Option<TrackedWrite>, StorageError> {
        let found = queued_write::Entity::find_by_id(request.as_uuid())
            .filter(Column::ApplicationId.eq(application.as_uuid()))
            .one(self.database.reader())
            .await
            .map_err(storage_error(WRITES))?;
        found.as_ref().map(rows::read_tracked).transpose()
    }

    async fn find_undelivered(&self, request: RequestId) -> Result<Option<TrackedWrite>, StorageError> {
        let found = queued_write::Entity::find_by_id(request.as_uuid())
            .filter(Column::State.ne(STORED))
            .one(self.database.reader())
            .await
            .map_err(storage_error(WRITES))?;
        found.as_ref().map(rows::read_tracked).transpose()
    }

    async fn find_by_memory(&self, scope: &MemoryScope, id: &MemoryId) -> Result<Option<TrackedWrite>, StorageError> {
        let found = queued_write::Entity::find()
            .filter(Column::Tenant.eq(scope.tenant()))
            .filter(Column::MemoryId.eq(id.as_str()))
            .one(self.database.reader())
            .await
            .map_err(storage_error(WRITES))?;
        found.as_ref().map(rows::read_tracked).transpose()
    }

    async fn find_by_request(
        &self,
        scope: &MemoryScope,
        request: RequestId,
    ) -> Result<Option<TrackedWrite>, StorageError> {
        let found = queued_write::Entity::find_by_id(request.as_uuid())
            .filter(Column::Tenant.eq(scope.tenant()))
            .one(self.database.reader())
            .await
            .map_err(storage_error(WRITES))?;
        found.as_ref().map(rows::read_tracked).transpose()
    }

    async fn find_by_key(
        &self,
        application: ApplicationId,
        scope: &MemoryScope,
        key: &IdempotencyKey,
    ) -> Result<Option<TrackedWrite>, StorageError> {
        let found = queued_write::Entity::find()
            .filter(Column::ApplicationId.eq(application.as_uuid()))
            .filter(Column::Tenant.eq(scope.tenant()))
            .filter(Column::IdempotencyKey.eq(key.as_str()))
            .one(self.database.reader())
            .await
            .map_err(storage_error(WRITES))?;
        found.as_ref().map(rows::read_tracked).transpose()
    }

    async fn remove(&self, found: &TrackedWrite, now: Timestamp) -> Result<bool, StorageError> {
        let removed = queued_write::Entity::delete_many()
            .filter(Column::RequestId.eq(found.write.request_id.as_uuid()))
            .filter(Column::Attempts.eq(i64::from(found.attempts)))
            .filter(Column::State.eq(state_name(&found.state)))
            .filter(Column::State.ne(PENDING).or(Column::LeaseUntil.lte(now.unix_millis())))
            .exec(self.database.writer())
            .await
            .map_err(storage_error(WRITES))?;
        Ok(removed.rows_affected > 0)
    }

    async fn replace_memory(&self, scope: &MemoryScope, memory: &Memory) -> Result<(), StorageError> {
        let document = MemoryDocument::from(memory).to_json();
        let change = queued_write::ActiveModel {
            memory: ActiveValue::Set(document.clone()),
            stored_memory: ActiveValue::Set(Some(document)),
            ..Default::default()
        };
        queued_write::Entity::update_many()
            .set(change)
            .col_expr(Column::KeepUntil, at_most(Expr::col(Column::KeepUntil), memory.expires_at))
            .filter(Column::Tenant.eq(scope.tenant()))
            .filter(Column::MemoryId.eq(memory.id.as_str()))
            .filter(Column::State.eq(STORED))
            .exec(self.database.writer())
            .await
            .map(drop)
            .map_err(storage_error(WRITES))
    }

    async fn forget_scope(&self, scope: &MemoryScope) -> Result<u64, StorageError> {
        let forgotten = queued_write::Entity::delete_many()
            .filter(Column::Tenant.eq(scope.tenant()))
            .filter(Column::State.ne(PENDING))
            .exec(self.database.writer())
            .await
            .map_err(storage_error(WRITES))?;
        Ok(forgotten.rows_affected)
    }

    async fn pending(&self, scope: &MemoryScope, limit: u32) -> Result<Vec<QueuedWrite>, StorageError> {
        let found = statements::newest_of_line(&scope.tenant(), limit).all(self.database.reader()).await;
        let found = found.map_err(storage_error(WRITES))?;
        found.iter().map(|model| Ok(rows::read_tracked(model)?.write)).collect()
    }

    async fn list(&self, which: Undelivered, limit: u32) -> Result<Vec<TrackedWrite>, StorageError> {
        let state = match which {
            Undelivered::Pending => PENDING,
            Undelivered::Failed => FAILED,
        };
        let found = queued_write::Entity::find()
            .filter(Column::State.eq(state))
            .order_by_asc(Column::AcceptedAt)
            .order_by_asc(Column::Position)
            .order_by_asc(Column::RequestId)
            .limit(u64::from(limit))
            .all(self.database.reader())
            .await
            .map_err(storage_error(WRITES))?;
        found.iter().map(rows::read_tracked).collect()
    }

    async fn retry(&self, request: RequestId, now: Timestamp) -> Result<bool, StorageError> {
        let is_retried = async { Ok(self.try_retry(request, now).await? || self.try_expedite(request, now).await?) };
        is_retried.await.map_err(storage_error(WRITES))
    }

    async fn drop_failed(&self, request: RequestId) -> Result<bool, StorageError> {
        let dropped = queued_write::Entity::delete_many()
            .filter(Column::RequestId.eq(request.as_uuid()))
            .filter(Column::State.eq(FAILED))
            .exec(self.database.writer())
            .await
            .map_err(storage_error(WRITES))?;
        Ok(dropped.rows_affected > 0)
    }

    async fn erase(&self, group: &TenantGroup) -> Result<u64, StorageError> {
        let theirs = match group {
            TenantGroup::OfPerson(person) => Column::PersonId.eq(person.as_uuid()),
            TenantGroup::InSpace(space) => Column::Space.eq(space.as_str()),
            TenantGroup::One(tenant) => Column::Tenant.eq(tenant.key()),
        };
        let erased = queued_write::Entity::delete_many().filter(theirs).exec(self.database.writer()).await;
        Ok(erased.map_err(storage_error(WRITES))?.rows_affected)
    }

    async fn statistics(&self) -> Result<QueueStatistics, StorageError> {
        let mut statistics = QueueStatistics::default();
        for (state, writes, oldest) in self.try_statistics().await.map_err(storage_error(WRITES))? {
            let writes = u64::try_from(writes).unwrap_or(0);
            if state == PENDING {
                statistics.pending = writes;
                let row = Row::new(WRITES, "the oldest pending");
                statistics.oldest_pending = row.optional_timestamp("accepted_at", oldest)?;
            } else {
                statistics.failed = writes;
            }
        }
        Ok(statistics)
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        sweep(self.database.writer(), WRITES, &["request_id"], statements::is_over(now), limit)
            .await
            .map_err(storage_error(WRITES))
    }
}
