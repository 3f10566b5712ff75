//! Accepted writes, until the bank has them and their idempotency keys are forgotten.

mod document;

use async_trait::async_trait;
use sea_orm::sea_query::ExprTrait;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter};

use super::database::Database;
use super::entities::queued_write::{self, Column};
use super::error::storage_error;
use super::row::Row;
use super::sweep::sweep;
use crate::domain::ids::{ApplicationId, RequestId, UserId};
use crate::domain::memories::{Acceptance, IdempotencyKey, Memory, MemoryScope, QueuedWrite, WriteQueue, WriteState};
use crate::domain::system::{StorageError, Timestamp};
use document::MemoryDocument;

const WRITES: &str = "queued_writes";

/// The values of the column `state`.
const PENDING: &str = "pending";
const STORED: &str = "stored";
const FAILED: &str = "failed";

/// How often a write is tried again whose key was taken when it was to be inserted, and free when the other write was to
/// be read: that was swept in between.
const ATTEMPTS: usize = 3;

/// Keeps accepted writes in SQLite or PostgreSQL.
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

    async fn find_same(&self, write: &QueuedWrite) -> Result<Option<queued_write::Model>, DbErr> {
        let of_key = write.idempotency_key.as_ref().map(|key| {
            Condition::all()
                .add(Column::ApplicationId.eq(write.application_id.as_uuid()))
                .add(Column::Tenant.eq(write.scope.tenant()))
                .add(Column::IdempotencyKey.eq(key.as_str()))
        });
        let same = Condition::any().add(Column::RequestId.eq(write.request_id.as_uuid())).add_option(of_key);
        // From the writer, on whose side of SQLite the write is that was in the way.
        queued_write::Entity::find().filter(same).one(self.database.writer()).await
    }
}

#[async_trait]
impl WriteQueue for SeaOrmWriteQueue {
    async fn accept(&self, write: &QueuedWrite) -> Result<Acceptance, StorageError> {
        for _ in 0..ATTEMPTS {
            let inserted = queued_write::Entity::insert(new_row(write))
                .on_conflict(OnConflict::new().do_nothing().to_owned())
                .exec_without_returning(self.database.writer())
                .await
                .map_err(storage_error(WRITES))?;
            if inserted > 0 {
                return Ok(Acceptance::Accepted);
            }
            if let Some(known) = self.find_same(write).await.map_err(storage_error(WRITES))? {
                let (write, state) = read_write(&known)?;
                return Ok(Acceptance::Known { write: Box::new(write), state });
            }
        }
        Err(StorageError::Unavailable("the writes of this idempotency key change too fast to be read".into()))
    }

    async fn mark_stored(&self, request: RequestId, memory: &Memory) -> Result<(), StorageError> {
        let outcome = queued_write::ActiveModel {
            state: ActiveValue::Set(STORED.to_owned()),
            stored_memory: ActiveValue::Set(Some(MemoryDocument::from(memory).to_json())),
            failure: ActiveValue::Set(None),
            ..Default::default()
        };
        queued_write::Entity::update_many()
            .set(outcome)
            .filter(Column::RequestId.eq(request.as_uuid()))
            .exec(self.database.writer())
            .await
            .map(drop)
            .map_err(storage_error(WRITES))
    }

    async fn mark_failed(&self, request: RequestId, reason: &str) -> Result<(), StorageError> {
        let outcome = queued_write::ActiveModel {
            state: ActiveValue::Set(FAILED.to_owned()),
            // PostgreSQL has no NUL in its texts, and the reason is the bank's own.
            failure: ActiveValue::Set(Some(reason.replace('\0', "\u{fffd}"))),
            ..Default::default()
        };
        queued_write::Entity::update_many()
            .set(outcome)
            .filter(Column::RequestId.eq(request.as_uuid()))
            // Of two who deliver one write, the one that succeeded is right.
            .filter(Column::State.ne(STORED))
            .exec(self.database.writer())
            .await
            .map(drop)
            .map_err(storage_error(WRITES))
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let due = Column::State.ne(PENDING).and(Column::KeepUntil.lt(now.unix_millis()));
        sweep(self.database.writer(), WRITES, &["request_id"], due, limit).await.map_err(storage_error(WRITES))
    }
}

fn new_row(write: &QueuedWrite) -> queued_write::ActiveModel {
    queued_write::ActiveModel {
        request_id: ActiveValue::Set(write.request_id.as_uuid()),
        application_id: ActiveValue::Set(write.application_id.as_uuid()),
        space: ActiveValue::Set(write.scope.space().to_string()),
        person_id: ActiveValue::Set(write.scope.person().map(UserId::as_uuid)),
        tenant: ActiveValue::Set(write.scope.tenant()),
        idempotency_key: ActiveValue::Set(write.idempotency_key.as_ref().map(|key| key.as_str().to_owned())),
        fingerprint: ActiveValue::Set(write.fingerprint.to_vec()),
        memory: ActiveValue::Set(MemoryDocument::from(&write.memory).to_json()),
        accepted_at: ActiveValue::Set(write.accepted_at.unix_millis()),
        keep_until: ActiveValue::Set(write.keep_until.unix_millis()),
        state: ActiveValue::Set(PENDING.to_owned()),
        stored_memory: ActiveValue::Set(None),
        failure: ActiveValue::Set(None),
    }
}

fn read_write(model: &queued_write::Model) -> Result<(QueuedWrite, WriteState), StorageError> {
    let row = Row::new(WRITES, model.request_id);
    let state = match (model.state.as_str(), &model.stored_memory, &model.failure) {
        (PENDING, None, None) => WriteState::Pending,
        (STORED, Some(memory), None) => {
            WriteState::Stored(Box::new(MemoryDocument::parse(&row, "stored_memory", memory)?.into_memory(&row)?))
        }
        (FAILED, None, Some(reason)) => WriteState::Failed(reason.clone()),
        _ => return Err(row.inconsistent("columns state, stored_memory and failure do not fit together")),
    };
    let idempotency_key = model.idempotency_key.clone().map(|key| {
        IdempotencyKey::try_from(key)
            .map_err(|error| row.inconsistent(format!("column idempotency_key {}", error.problem())))
    });
    let write = QueuedWrite {
        request_id: RequestId::from_uuid(model.request_id),
        application_id: ApplicationId::from_uuid(model.application_id),
        scope: MemoryScope::from_stored(row.parse("space", &model.space)?, model.person_id.map(UserId::from_uuid)),
        idempotency_key: idempotency_key.transpose()?,
        fingerprint: model
            .fingerprint
            .as_slice()
            .try_into()
            .map_err(|_| row.inconsistent("column fingerprint is not 32 bytes long"))?,
        memory: MemoryDocument::parse(&row, "memory", &model.memory)?.into_new_memory(&row)?,
        accepted_at: row.timestamp("accepted_at", model.accepted_at)?,
        keep_until: row.timestamp("keep_until", model.keep_until)?,
    };
    Ok((write, state))
}
