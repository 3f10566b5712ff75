//! Converts between rows and writes.

use sea_orm::ActiveValue;

use super::document::MemoryDocument;
use crate::adapters::database::entities::queued_write;
use crate::adapters::database::row::{InvalidRow, Row};
use crate::domain::ids::{ApplicationId, RequestId, UserId};
use crate::domain::memories::{Claim, IdempotencyKey, Lease, MemoryScope, QueuedWrite, TrackedWrite, WriteState};
use crate::domain::system::StorageError;

pub(super) const WRITES: &str = "queued_writes";

/// The values of the column `state`.
pub(super) const PENDING: &str = "pending";
pub(super) const STORED: &str = "stored";
pub(super) const FAILED: &str = "failed";

/// The row of a newly accepted write, at this position of its tenant's order, and under this lease.
pub(super) fn new_row(write: &QueuedWrite, position: i64, lease: Option<Lease>) -> queued_write::ActiveModel {
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
        position: ActiveValue::Set(position),
        attempts: ActiveValue::Set(i64::from(lease.is_some())),
        next_attempt_at: ActiveValue::Set(write.accepted_at.unix_millis()),
        lease_id: ActiveValue::Set(lease.map(|lease| lease.id)),
        lease_until: ActiveValue::Set(lease.map_or(0, |lease| lease.until.unix_millis())),
        last_error: ActiveValue::Set(None),
        memory_id: ActiveValue::Set(Some(write.memory.id.to_string())),
        stored_at: ActiveValue::Set(None),
        failures: ActiveValue::Set(0),
        outvoted: ActiveValue::Set(0),
        failed_at: ActiveValue::Set(write.accepted_at.unix_millis()),
        set_aside: ActiveValue::Set(false),
    }
}

pub(super) fn read_tracked(model: &queued_write::Model) -> Result<TrackedWrite, StorageError> {
    let row = Row::new(WRITES, model.request_id);
    let state = match (model.state.as_str(), &model.stored_memory, &model.failure) {
        (PENDING, None, None) => WriteState::Pending,
        (STORED, Some(memory), None) => {
            let memory = MemoryDocument::parse(&row, "stored_memory", memory)?;
            WriteState::Stored(Box::new(memory.into_memory(&row, application_of(model))?))
        }
        (FAILED, None, Some(reason)) => WriteState::Failed(reason.clone()),
        _ => return Err(row.inconsistent("columns state, stored_memory and failure do not match").into()),
    };
    Ok(TrackedWrite {
        write: read_write(&row, model)?,
        state,
        attempts: attempts(&row, model)?,
        next_attempt_at: row.timestamp("next_attempt_at", model.next_attempt_at)?,
        last_error: model.last_error.clone(),
        set_aside: model.set_aside,
    })
}

/// A row just claimed under `lease`.
pub(super) fn read_claim(model: &queued_write::Model, lease: Lease) -> Result<Claim, StorageError> {
    let row = Row::new(WRITES, model.request_id);
    Ok(Claim { write: read_write(&row, model)?, lease, attempt: attempts(&row, model)? })
}

fn application_of(model: &queued_write::Model) -> ApplicationId {
    ApplicationId::from_uuid(model.application_id)
}

fn attempts(row: &Row, model: &queued_write::Model) -> Result<u32, InvalidRow> {
    u32::try_from(model.attempts).map_err(|_| row.inconsistent("column attempts is not a number of attempts"))
}

fn read_write(row: &Row, model: &queued_write::Model) -> Result<QueuedWrite, InvalidRow> {
    let idempotency_key = model.idempotency_key.clone().map(IdempotencyKey::try_from);
    Ok(QueuedWrite {
        request_id: RequestId::from_uuid(model.request_id),
        application_id: application_of(model),
        scope: MemoryScope::from_stored(row.parse("space", &model.space)?, model.person_id.map(UserId::from_uuid)),
        idempotency_key: idempotency_key.transpose().map_err(row.rejected("idempotency_key"))?,
        fingerprint: row.digest("fingerprint", &model.fingerprint)?,
        memory: MemoryDocument::parse(row, "memory", &model.memory)?.into_new_memory(row, application_of(model))?,
        accepted_at: row.timestamp("accepted_at", model.accepted_at)?,
        keep_until: row.timestamp("keep_until", model.keep_until)?,
    })
}
