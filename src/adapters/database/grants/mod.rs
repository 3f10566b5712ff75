//! Uses of refresh tokens, and revocations.

mod consume;

use crate::domain::ids::{ApplicationId, GrantId, TokenId};
use crate::domain::oauth::{Consumed, Consumption, GrantStore, Revocation, Revoked};
use crate::domain::system::{StorageError, Timestamp};
use async_trait::async_trait;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue, ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Statement,
};

use super::batch::GroupCommit;
use super::entities::{consumed_refresh_token, revocation};
use super::error::storage_error;
use super::handle::Database;
use super::row::Row;
use super::sweep::sweep;
use consume::{Consumptions, GRANT, REVOCATIONS, TOKEN, USES};

/// The seed of the per-application locks on PostgreSQL, so that they do not collide with others.
const APPLICATION_LOCK_SEED: i64 = 0x6d65_6d67_6174_6531;

/// Stores uses and revocations in SQLite or PostgreSQL. Concurrent uses share a commit.
#[derive(Clone)]
pub struct SeaOrmGrantStore {
    database: Database,
    consumptions: GroupCommit<Consumptions>,
}

impl SeaOrmGrantStore {
    /// Uses `database`, whose migrations are applied, and starts the group commit task.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { consumptions: GroupCommit::start(Consumptions::new(database.clone())), database }
    }
}

#[async_trait]
impl GrantStore for SeaOrmGrantStore {
    async fn consume(&self, consumption: &Consumption) -> Result<Consumed, StorageError> {
        self.consumptions.submit(consumption.clone()).await
    }

    async fn is_consumed(&self, token: TokenId) -> Result<bool, StorageError> {
        let found = consumed_refresh_token::Entity::find_by_id(token.as_uuid()).one(self.database.reader()).await;
        Ok(found.map_err(storage_error(USES))?.is_some())
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<bool, StorageError> {
        insert(self.database.writer(), None, revocation).await.map_err(storage_error(REVOCATIONS))
    }

    async fn revoke_within(
        &self,
        application: ApplicationId,
        most: u32,
        revocation: &Revocation,
    ) -> Result<Option<bool>, StorageError> {
        self.insert_within(application, most, revocation).await.map_err(storage_error(REVOCATIONS))
    }

    async fn is_revoked(&self, grant: GrantId, token: TokenId) -> Result<bool, StorageError> {
        let is = |kind: &str, id| {
            Condition::all().add(revocation::Column::Kind.eq(kind)).add(revocation::Column::SubjectId.eq(id))
        };
        let found = revocation::Entity::find()
            .filter(Condition::any().add(is(GRANT, grant.as_uuid())).add(is(TOKEN, token.as_uuid())))
            .limit(1)
            .one(self.database.reader())
            .await;
        Ok(found.map_err(storage_error(REVOCATIONS))?.is_some())
    }

    async fn revocations_since(&self, since: Timestamp, now: Timestamp) -> Result<Vec<Revocation>, StorageError> {
        let rows = revocation::Entity::find()
            .filter(revocation::Column::RevokedAt.gte(since.unix_millis()))
            .filter(revocation::Column::KeepUntil.gte(now.unix_millis()))
            .order_by_asc(revocation::Column::RevokedAt)
            .all(self.database.reader())
            .await
            .map_err(storage_error(REVOCATIONS))?;
        rows.into_iter().map(|row| read_revocation(&row)).collect()
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let writer = self.database.writer();
        let uses = consumed_refresh_token::Column::KeepUntil.lt(now.unix_millis());
        let uses = sweep(writer, USES, &["token_id"], uses, limit).await.map_err(storage_error(USES))?;
        let revocations = revocation::Column::KeepUntil.lt(now.unix_millis());
        let revocations = sweep(writer, REVOCATIONS, &["subject_id", "kind"], revocations, limit)
            .await
            .map_err(storage_error(REVOCATIONS))?;
        Ok(uses + revocations)
    }
}

impl SeaOrmGrantStore {
    /// Counts and inserts under a lock per application. SQLite has one writer at a time.
    async fn insert_within(
        &self,
        application: ApplicationId,
        most: u32,
        revocation: &Revocation,
    ) -> Result<Option<bool>, DbErr> {
        let transaction = self.database.begin().await?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))";
            let values = [application.to_string().into(), APPLICATION_LOCK_SEED.into()];
            transaction.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
        }
        if !insert(&transaction, Some(application), revocation).await? {
            return Ok(Some(false));
        }
        let kept = revocation::Entity::find()
            .filter(revocation::Column::ApplicationId.eq(application.as_uuid()))
            .filter(revocation::Column::KeepUntil.gte(revocation.at.unix_millis()))
            .count(&transaction)
            .await?;
        if kept > u64::from(most) {
            return Ok(None);
        }
        transaction.commit().await?;
        Ok(Some(true))
    }
}

/// Returns whether the revocation is new.
async fn insert<C: ConnectionTrait>(
    connection: &C,
    application: Option<ApplicationId>,
    revocation: &Revocation,
) -> Result<bool, DbErr> {
    let (kind, subject_id) = match revocation.what {
        Revoked::Grant(id) => (GRANT, id.as_uuid()),
        Revoked::Token(id) => (TOKEN, id.as_uuid()),
    };
    let row = revocation::ActiveModel {
        kind: ActiveValue::Set(kind.to_owned()),
        subject_id: ActiveValue::Set(subject_id),
        revoked_at: ActiveValue::Set(revocation.at.unix_millis()),
        keep_until: ActiveValue::Set(revocation.keep_until.unix_millis()),
        application_id: ActiveValue::Set(application.map(ApplicationId::as_uuid)),
    };
    let inserted = revocation::Entity::insert(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(connection)
        .await?;
    Ok(inserted > 0)
}

fn read_revocation(model: &revocation::Model) -> Result<Revocation, StorageError> {
    let row = Row::new(REVOCATIONS, format_args!("{} {}", model.kind, model.subject_id));
    let what = match model.kind.as_str() {
        GRANT => Revoked::Grant(GrantId::from_uuid(model.subject_id)),
        TOKEN => Revoked::Token(TokenId::from_uuid(model.subject_id)),
        _ => return Err(row.inconsistent("column kind is neither grant nor token").into()),
    };
    Ok(Revocation {
        what,
        at: row.timestamp("revoked_at", model.revoked_at)?,
        keep_until: row.timestamp("keep_until", model.keep_until)?,
    })
}
