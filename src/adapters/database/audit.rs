//! The audit log: every event is logged, rare ones are stored in a table too, and what applications change for people is
//! counted there.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::batch::{BatchExecutor, GroupCommit};
use super::entities::audit_event::{self, Column};
use super::error::storage_error;
use super::handle::Database;
use super::row::Row;
use super::sweep::sweep;
use crate::domain::audit::{AuditEvent, AuditKind, AuditLog, Context, ContextId, Storage};
use crate::domain::ids::{ApplicationId, GrantId, RequestId, UserId};
use crate::domain::system::{StorageError, Timestamp};

const EVENTS: &str = "audit_events";

/// Writes audit events to the log, at the target `memgate::audit`, and stores those of a durable kind in SQLite or PostgreSQL.
#[derive(Clone, Debug)]
pub struct SeaOrmAuditLog {
    database: Database,
    counts: GroupCommit<DailyCounts>,
}

impl SeaOrmAuditLog {
    /// Uses `database`, whose migrations are applied. Starts a task on the runtime of the caller.
    #[must_use]
    pub fn new(database: Database) -> Self {
        let counts = GroupCommit::start(DailyCounts(database.clone()));
        Self { database, counts }
    }

    async fn keep(&self, event: &AuditEvent) -> Result<(), StorageError> {
        match event.storage() {
            Storage::Nothing => Ok(()),
            Storage::Event => {
                let insert = audit_event::Entity::insert(row_of(event));
                // Boxed, since it is large, and most events are not stored.
                Box::pin(insert.exec_without_returning(self.database.writer()))
                    .await
                    .map(drop)
                    .map_err(storage_error(EVENTS))
            }
            Storage::DailyCount => self.counts.submit(event.clone()).await,
        }
    }

    async fn newest(
        &self,
        events: Select<audit_event::Entity>,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, StorageError> {
        let rows = events
            .order_by_desc(Column::HappenedAt)
            .order_by_desc(Column::Id)
            .offset(u64::from(skip))
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
        if let Err(error) = self.keep(event).await {
            let cause = std::error::Error::source(&error).unwrap_or(&error);
            tracing::error!(
                target: "memgate::audit",
                kind = event.kind.as_str(),
                error = cause,
                "failed to store an audit event; this log entry is its only record"
            );
        }
    }

    async fn recent(&self, limit: u32) -> Result<Vec<AuditEvent>, StorageError> {
        self.newest(audit_event::Entity::find().filter(Column::Day.is_null()), 0, limit).await
    }

    async fn recent_of_person(&self, person: UserId, skip: u32, limit: u32) -> Result<Vec<AuditEvent>, StorageError> {
        let concerned = Column::PersonId.eq(person.as_uuid());
        self.newest(audit_event::Entity::find().filter(concerned), skip, limit).await
    }

    async fn sweep(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let older = Column::HappenedAt.lt(before.unix_millis());
        sweep(self.database.writer(), EVENTS, &["id"], older, limit).await.map_err(storage_error(EVENTS))
    }
}

/// Adds up what happened on the same day, in one statement for many callers.
#[derive(Debug)]
struct DailyCounts(Database);

#[async_trait]
impl BatchExecutor for DailyCounts {
    type Op = AuditEvent;
    type Output = ();

    async fn run(&self, events: &[AuditEvent]) -> Result<Vec<()>, StorageError> {
        // Ordered, so that instances which count the same lock their rows in the same order.
        let mut counts: BTreeMap<_, AuditEvent> = BTreeMap::new();
        for event in events {
            let key = (event.person_id, event.application_id, event.kind.as_str(), event.at.utc_day());
            counts
                .entry(key)
                .and_modify(|count| {
                    count.times = count.times.saturating_add(event.times);
                    count.at = count.at.max(event.at);
                })
                .or_insert_with(|| AuditEvent { grant_id: None, request_id: None, ..event.clone() });
        }
        let rows = counts
            .values()
            .map(|count| audit_event::ActiveModel { day: ActiveValue::Set(Some(count.at.utc_day())), ..row_of(count) });
        let is = |column: Column| Expr::col((audit_event::Entity, column));
        let new = |column: Column| Expr::col(("excluded", column));
        let later = Expr::case(new(Column::HappenedAt).gt(is(Column::HappenedAt)), new(Column::HappenedAt));
        let known = OnConflict::columns([Column::PersonId, Column::ApplicationId, Column::Kind, Column::Day])
            .value(Column::Times, is(Column::Times).add(new(Column::Times)))
            .value(Column::HappenedAt, later.finally(is(Column::HappenedAt)))
            .to_owned();
        audit_event::Entity::insert_many(rows)
            .on_conflict(known)
            .exec_without_returning(self.0.writer())
            .await
            .map_err(storage_error(EVENTS))?;
        Ok(vec![(); events.len()])
    }
}

fn row_of(event: &AuditEvent) -> audit_event::ActiveModel {
    audit_event::ActiveModel {
        id: ActiveValue::NotSet,
        kind: ActiveValue::Set(event.kind.as_str().to_owned()),
        happened_at: ActiveValue::Set(event.at.unix_millis()),
        application_id: ActiveValue::Set(event.application_id.map(ApplicationId::as_uuid)),
        person_id: ActiveValue::Set(event.person_id.map(UserId::as_uuid)),
        grant_id: ActiveValue::Set(event.grant_id.map(GrantId::as_uuid)),
        request_id: ActiveValue::Set(event.request_id.map(RequestId::as_uuid)),
        times: ActiveValue::Set(i64::try_from(event.times).unwrap_or(i64::MAX)),
        day: ActiveValue::Set(None),
    }
}

fn log(event: &AuditEvent) {
    macro_rules! at_level {
        ($level:ident, $sentence:literal) => {
            tracing::$level!(
                target: "memgate::audit",
                kind = event.kind.as_str(),
                at = %event.at,
                times = (event.times != 1).then_some(event.times),
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
        AuditKind::MemoriesExported => at_level!(info, "an operator exported memories"),
        AuditKind::MemoriesImported => at_level!(info, "an operator imported memories"),
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
        times: u64::try_from(model.times).map_err(|_| row.inconsistent("column times is negative"))?,
        application_id: model.application_id.map(ApplicationId::from_uuid),
        person_id: model.person_id.map(UserId::from_uuid),
        grant_id: model.grant_id.map(GrantId::from_uuid),
        request_id: model.request_id.map(RequestId::from_uuid),
        context: Context::default(),
    })
}
