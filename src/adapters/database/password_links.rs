//! Links with which people choose a password.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, LockType, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use super::entities::password_link::{self, Column};
use super::entities::person;
use super::error::storage_error;
use super::handle::Database;
use super::row::Row;
use super::sweep::sweep;
use crate::domain::ids::UserId;
use crate::domain::people::{LinkDigest, LinkPurpose, PasswordLink, PasswordLinkStore, SignInVersion};
use crate::domain::system::{StorageError, Timestamp};

const LINKS: &str = "password_links";

/// Stores links in SQLite or PostgreSQL.
#[derive(Clone, Debug)]
pub struct SeaOrmPasswordLinkStore {
    database: Database,
}

impl SeaOrmPasswordLinkStore {
    /// Uses `database`, whose migrations are applied.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// One statement. The lock on the person's row keeps them from being deleted meanwhile.
    async fn upsert(&self, link: &PasswordLink) -> Result<u64, DbErr> {
        let others = [Column::Digest, Column::Purpose, Column::SignInVersion, Column::CreatedAt, Column::ExpiresAt];
        let values = Query::select()
            .column(person::Column::Id)
            .expr(Expr::value(link.digest.as_bytes().to_vec()))
            .expr(Expr::value(link.purpose.as_str()))
            .expr(Expr::value(i64::from(link.sign_in_version.get())))
            .expr(Expr::value(link.created_at.unix_millis()))
            .expr(Expr::value(link.expires_at.unix_millis()))
            .from(person::Entity)
            .and_where(person::Column::Id.eq(link.person.as_uuid()))
            .lock(LockType::NoKeyUpdate)
            .take();
        let upsert = Query::insert()
            .into_table(password_link::Entity)
            .columns([Column::PersonId].into_iter().chain(others))
            .select_from(values)
            .map_err(|error| DbErr::Custom(error.to_string()))?
            .on_conflict(OnConflict::column(Column::PersonId).update_columns(others).to_owned())
            .take();
        Ok(self.database.writer().execute(&upsert).await?.rows_affected())
    }
}

#[async_trait]
impl PasswordLinkStore for SeaOrmPasswordLinkStore {
    async fn put(&self, link: &PasswordLink) -> Result<bool, StorageError> {
        Ok(self.upsert(link).await.map_err(storage_error(LINKS))? > 0)
    }

    async fn find(&self, person: UserId, now: Timestamp) -> Result<Option<PasswordLink>, StorageError> {
        let found = password_link::Entity::find_by_id(person.as_uuid())
            .filter(Column::ExpiresAt.gt(now.unix_millis()))
            .one(self.database.reader())
            .await;
        found.map_err(storage_error(LINKS))?.map(|model| read_link(&model)).transpose()
    }

    async fn delete(&self, link: &PasswordLink) -> Result<bool, StorageError> {
        let deleted = password_link::Entity::delete_many()
            .filter(Column::PersonId.eq(link.person.as_uuid()))
            .filter(Column::Digest.eq(link.digest.as_bytes().to_vec()))
            .exec(self.database.writer())
            .await;
        Ok(deleted.map_err(storage_error(LINKS))?.rows_affected > 0)
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let expired = Column::ExpiresAt.lt(now.unix_millis());
        sweep(self.database.writer(), LINKS, &["person_id"], expired, limit).await.map_err(storage_error(LINKS))
    }
}

fn read_link(model: &password_link::Model) -> Result<PasswordLink, StorageError> {
    let row = Row::new(LINKS, model.person_id);
    Ok(PasswordLink {
        person: UserId::from_uuid(model.person_id),
        digest: LinkDigest::from_stored(row.digest("digest", &model.digest)?),
        purpose: LinkPurpose::from_name(&model.purpose)
            .ok_or_else(|| row.inconsistent("column purpose is neither invitation nor reset"))?,
        sign_in_version: u32::try_from(model.sign_in_version)
            .map(SignInVersion::from_stored)
            .map_err(|_| row.inconsistent("column sign_in_version is not a number from 0 to 4294967295"))?,
        created_at: row.timestamp("created_at", model.created_at)?,
        expires_at: row.timestamp("expires_at", model.expires_at)?,
    })
}
