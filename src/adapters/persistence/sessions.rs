//! Sessions of browsers.

use async_trait::async_trait;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter, SqlErr};

use super::database::Database;
use super::entities::session::{self, Column};
use super::error::storage_error;
use super::row::{Row, hexadecimal};
use super::sweep::sweep;
use crate::domain::ids::UserId;
use crate::domain::people::{Session, SessionId, SessionStore};
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

#[async_trait]
impl SessionStore for SeaOrmSessionStore {
    async fn create(&self, session: &Session) -> Result<(), StorageError> {
        let row = session::ActiveModel {
            id: ActiveValue::Set(session.id.as_bytes().to_vec()),
            person_id: ActiveValue::Set(session.person.as_uuid()),
            signed_in_at: ActiveValue::Set(session.signed_in_at.unix_millis()),
            expires_at: ActiveValue::Set(session.expires_at.unix_millis()),
        };
        match session::Entity::insert(row).exec_without_returning(self.database.writer()).await {
            Ok(_) => Ok(()),
            // The person was deleted, and would have taken the session along a moment later.
            Err(error) if matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))) => Ok(()),
            Err(error) => Err(storage_error(SESSIONS)(error)),
        }
    }

    async fn find(&self, id: &SessionId, now: Timestamp) -> Result<Option<Session>, StorageError> {
        let found = session::Entity::find_by_id(id.as_bytes().to_vec())
            .filter(Column::ExpiresAt.gt(now.unix_millis()))
            .one(self.database.reader())
            .await;
        found.map_err(storage_error(SESSIONS))?.map(|model| read_session(&model)).transpose()
    }

    async fn end(&self, id: &SessionId) -> Result<bool, StorageError> {
        let deleted = session::Entity::delete_by_id(id.as_bytes().to_vec()).exec(self.database.writer()).await;
        Ok(deleted.map_err(storage_error(SESSIONS))?.rows_affected > 0)
    }

    async fn end_all_of(&self, person: UserId) -> Result<u64, StorageError> {
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
