//! The audit log: every event is logged, and rare ones are stored in a table too.

use async_trait::async_trait;
use sea_orm::{ActiveValue, ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::entities::audit_event;
use super::error::storage_error;
use super::handle::Database;
use super::row::Row;
use super::sweep::sweep;
use crate::domain::audit::{AuditEvent, AuditKind, AuditLog, Context, ContextId};
use crate::domain::ids::{ApplicationId, GrantId, RequestId, UserId};
use crate::domain::system::{StorageError, Timestamp};

const EVENTS: &str = "audit_events";

/// Writes audit events to the log, at the target `memgate::audit`, and stores those of a durable kind in SQLite or PostgreSQL.
#[derive(Clone, Debug)]
pub struct SeaOrmAuditLog {
    database: Database,
}

impl SeaOrmAuditLog {
    /// Uses `database`, whose migrations are applied.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn keep(&self, event: &AuditEvent) -> Result<(), DbErr> {
        let row = audit_event::ActiveModel {
            id: ActiveValue::NotSet,
            kind: ActiveValue::Set(event.kind.as_str().to_owned()),
            happened_at: ActiveValue::Set(event.at.unix_millis()),
            application_id: ActiveValue::Set(event.application_id.map(ApplicationId::as_uuid)),
            person_id: ActiveValue::Set(event.person_id.map(UserId::as_uuid)),
            grant_id: ActiveValue::Set(event.grant_id.map(GrantId::as_uuid)),
            request_id: ActiveValue::Set(event.request_id.map(RequestId::as_uuid)),
        };
        audit_event::Entity::insert(row).exec_without_returning(self.database.writer()).await.map(drop)
    }

    async fn newest(&self, events: Select<audit_event::Entity>, limit: u32) -> Result<Vec<AuditEvent>, StorageError> {
        let rows = events
            .order_by_desc(audit_event::Column::HappenedAt)
            .order_by_desc(audit_event::Column::Id)
            .limit(u64::from(limit))
            .all(self.database.reader())
            .await
            .map_err(storage_error(EVENTS))?;
        rows.iter().map(read_event).collect()
    }
}

#[async_trait]
impl AuditLog for SeaOrmAuditLog {
    async fn record(&self, event: &AuditEvent) {
        log(event);
        if !event.kind.is_kept() {
            return;
        }
        // Boxed, since it is large, and most events are not stored.
        if let Err(error) = Box::pin(self.keep(event)).await {
            tracing::error!(
                target: "memgate::audit",
                kind = event.kind.as_str(),
                error = &error as &dyn std::error::Error,
                "failed to store an audit event; this log entry is its only record"
            );
        }
    }

    async fn recent(&self, limit: u32) -> Result<Vec<AuditEvent>, StorageError> {
        self.newest(audit_event::Entity::find(), limit).await
    }

    async fn recent_of_person(&self, person: UserId, limit: u32) -> Result<Vec<AuditEvent>, StorageError> {
        let concerned = audit_event::Column::PersonId.eq(person.as_uuid());
        self.newest(audit_event::Entity::find().filter(concerned), limit).await
    }

    async fn sweep(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let older = audit_event::Column::HappenedAt.lt(before.unix_millis());
        sweep(self.database.writer(), EVENTS, &["id"], older, limit).await.map_err(storage_error(EVENTS))
    }
}

fn log(event: &AuditEvent) {
    macro_rules! at_level {
        ($level:ident, $sentence:literal) => {
            tracing::$level!(
                target: "memgate::audit",
                kind = event.kind.as_str(),
                at = %event.at,
                application.id = event.application_id.map(display),
                person.id = event.person_id.map(display),
                grant.id = event.grant_id.map(display),
                request.id = event.request_id.map(display),
                gpt.id = event.context.custom_gpt_id.as_ref().map(ContextId::as_str),
                conversation.id = event.context.conversation_id.as_ref().map(ContextId::as_str),
                $sentence
            )
        };
    }
    match event.kind {
        AuditKind::RefreshTokenReused => at_level!(warn, "a refresh token was reused, and its grant was revoked"),
        AuditKind::AuthorizationCodeReused => {
            at_level!(warn, "an authorization code was reused, and its grant was revoked");
        }
        AuditKind::ApplicationCreated => at_level!(info, "an application was registered"),
        AuditKind::ApplicationUpdated => at_level!(info, "an application was changed"),
        AuditKind::ApplicationEnabled => at_level!(info, "an application was enabled"),
        AuditKind::ApplicationDisabled => at_level!(info, "an application was disabled"),
        AuditKind::ApplicationDeleted => at_level!(info, "an application was deleted"),
        AuditKind::SecretAdded => at_level!(info, "a secret was added"),
        AuditKind::SecretRemoved => at_level!(info, "a secret was removed"),
        AuditKind::GrantRevoked => at_level!(info, "a grant was revoked"),
        AuditKind::TokenRevoked => at_level!(info, "an access token was revoked"),
        AuditKind::SigningKeyCreated => at_level!(info, "a signing key was created"),
        AuditKind::SigningKeyRetired => at_level!(info, "a signing key was retired"),
        AuditKind::SigningKeysRewrapped => at_level!(info, "the signing keys were re-encrypted"),
        AuditKind::PersonCreated => at_level!(info, "a person was registered"),
        AuditKind::PersonEnabled => at_level!(info, "a person was enabled"),
        AuditKind::PersonDisabled => at_level!(info, "a person was disabled"),
        AuditKind::PersonDeleted => at_level!(info, "a person was deleted"),
        AuditKind::PasswordChanged => at_level!(info, "a password was changed"),
        AuditKind::PasswordLinkCreated => at_level!(info, "a link for choosing a password was made"),
        AuditKind::PasskeyAdded => at_level!(info, "a passkey was added"),
        AuditKind::PasskeyRemoved => at_level!(info, "a passkey was removed"),
        AuditKind::PersonSignedIn => at_level!(info, "a person signed in"),
        AuditKind::PersonSignedInWithPasskey => at_level!(info, "a person signed in with a passkey"),
        AuditKind::AuthorizationGranted => at_level!(info, "a person authorized an application"),
        AuditKind::AuthorizationEnded => at_level!(info, "an authorization was ended"),
        AuditKind::ClientThrottled => at_level!(info, "a client was throttled after too many failed authentications"),
        AuditKind::SignInThrottled => at_level!(info, "a sign-in was throttled after too many failed attempts"),
        AuditKind::QueuedWriteRetried => at_level!(info, "an operator retried a queued memory"),
        AuditKind::QueuedWriteDropped => at_level!(info, "an operator deleted a queued memory"),
        AuditKind::MemoriesSearched => at_level!(info, "memories were searched"),
        AuditKind::MemoryRead => at_level!(info, "memories were read"),
        AuditKind::MemoryCreated => at_level!(info, "a memory was created"),
        AuditKind::MemoryUpdated => at_level!(info, "a memory was changed"),
        AuditKind::MemoryDeleted => at_level!(info, "a memory was deleted"),
    }
}

fn read_event(model: &audit_event::Model) -> Result<AuditEvent, StorageError> {
    let row = Row::new(EVENTS, model.id);
    Ok(AuditEvent {
        kind: AuditKind::from_name(&model.kind)
            .ok_or_else(|| row.inconsistent("column kind is not a kind of event"))?,
        at: row.timestamp("happened_at", model.happened_at)?,
        application_id: model.application_id.map(ApplicationId::from_uuid),
        person_id: model.person_id.map(UserId::from_uuid),
        grant_id: model.grant_id.map(GrantId::from_uuid),
        request_id: model.request_id.map(RequestId::from_uuid),
        context: Context::default(),
    })
}
