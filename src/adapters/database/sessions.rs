//! Browser sessions.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait, LockType, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, Order, QueryFilter, QueryOrder};

use super::entities::person;
use super::entities::session::{self, Column};
use super::error::storage_error;
use super::handle::Database;
use super::row::{Row, hexadecimal};
use super::sweep::sweep;
use crate::domain::ids::UserId;
use crate::domain::people::{Session, SessionId, SessionStore, SignInVersion};
use crate::domain::system::{StorageError, Timestamp};

const SESSIONS: &str = "sessions";

/// Stores sessions in SQLite or PostgreSQL.
#[derive(Clone, Debug)]
pub struct SeaOrmSessionStore {
    database: Database,
}

impl SeaOrmSessionStore {
    /// Uses `database`, whose migrations are applied.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

impl SeaOrmSessionStore {
    /// Returns whether the person has not changed since verification. The lock on the person's row serializes new sessions of a
    /// person, and none starts while the person is being changed; see `SeaOrmPersonRepository::begin_version`.
    async fn insert(&self, session: &Session, verified: SignInVersion) -> Result<bool, DbErr> {
        let person = session.person.as_uuid();
        let others = Column::PersonId.eq(person).and(Column::Id.ne(session.id.as_bytes().to_vec()));
        let transaction = self.database.begin().await?;
        let values = Query::select()
            .expr(Expr::value(session.id.as_bytes().to_vec()))
            .column(person::Column::Id)
            .expr(Expr::value(session.signed_in_at.unix_millis()))
            .expr(Expr::value(session.expires_at.unix_millis()))
            .from(person::Entity)
            .and_where(person::Column::Id.eq(person))
            .and_where(person::Column::Enabled.eq(true))
            .and_where(person::Column::SignInVersion.eq(i64::from(verified.get())))
            .lock(LockType::NoKeyUpdate)
            .take();
        let insert = Query::insert()
            .into_table(session::Entity)
            .columns([Column::Id, Column::PersonId, Column::SignedInAt, Column::ExpiresAt])
            .select_from(values)
            .map_err(|error| DbErr::Custom(error.to_string()))?
            .take();
        if transaction.execute(&insert).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let newest = Query::select()
            .column(Column::Id)
            .from(session::Entity)
            .and_where(others.clone())
            .order_by(Column::SignedInAt, Order::Desc)
            .limit(u64::from(Session::MAX_PER_PERSON - 1))
            .take();
        session::Entity::delete_many()
            .filter(others)
            .filter(Column::Id.not_in_subquery(newest))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }
}

#[async_trait]
impl SessionStore for SeaOrmSessionStore {
    async fn create(&self, session: &Session, verified: SignInVersion) -> Result<bool, StorageError> {
        self.insert(session, verified).await.map_err(storage_error(SESSIONS))
    }

    async fn find(&self, id: &SessionId, now: Timestamp) -> Result<Option<Session>, StorageError> {
        let found = session::Entity::find_by_id(id.as_bytes().to_vec())
            .filter(Column::ExpiresAt.gt(now.unix_millis()))
            .one(self.database.reader())
            .await;
        found.map_err(storage_error(SESSIONS))?.map(|model| read_session(&model)).transpose()
    }

    async fn list_by_person(&self, person: UserId, now: Timestamp) -> Result<Vec<Session>, StorageError> {
        let own = session::Entity::find()
            .filter(Column::PersonId.eq(person.as_uuid()))
            .filter(Column::ExpiresAt.gt(now.unix_millis()))
            .order_by_desc(Column::SignedInAt)
            .all(self.database.reader())
            .await;
        own.map_err(storage_error(SESSIONS))?.iter().map(read_session).collect()
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StorageError> {
        let deleted = session::Entity::delete_by_id(id.as_bytes().to_vec()).exec(self.database.writer()).await;
        Ok(deleted.map_err(storage_error(SESSIONS))?.rows_affected > 0)
    }

    async fn delete_by_person(&self, person: UserId) -> Result<u64, StorageError> {
        let deleted = session::Entity::delete_many()
            .filter(Column::PersonId.eq(person.as_uuid()))
            .exec(self.database.writer())
            .await;
        Ok(deleted.map_err(storage_error(SESSIONS))?.rows_affected)
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let expired = Column::ExpiresAt.lt(now.unix_millis());
        sweep(self.database.writer(), SESSIONS, &["id"], expired, limit).await.map_err(storage_error(SESSIONS))
    }
}

fn read_session(model: &session::Model) -> Result<Session, StorageError> {
    let row = Row::new(SESSIONS, hexadecimal(&model.id));
    Ok(Session {
        id: SessionId::from_stored(row.digest("id", &model.id)?),
        person: UserId::from_uuid(model.person_id),
        signed_in_at: row.timestamp("signed_in_at", model.signed_in_at)?,
        expires_at: row.timestamp("expires_at", model.expires_at)?,
    })
}
