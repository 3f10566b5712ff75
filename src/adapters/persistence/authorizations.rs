//! What people have allowed applications to do.

use async_trait::async_trait;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::database::Database;
use super::entities::authorization::{self, Column};
use super::error::storage_error;
use super::row::{Row, json_list};
use super::sweep::sweep;
use crate::domain::applications::Permission;
use crate::domain::ids::{ApplicationId, GrantId, UserId};
use crate::domain::oauth::{Authorization, AuthorizationStore, CodeChallenge, CodeDigest, Redemption};
use crate::domain::system::{StorageError, Timestamp};

const AUTHORIZATIONS: &str = "authorizations";

/// Stores authorizations in SQLite or PostgreSQL.
#[derive(Clone, Debug)]
pub struct SeaOrmAuthorizationStore {
    database: Database,
}

impl SeaOrmAuthorizationStore {
    /// Uses `database`, whose migrations are applied.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl AuthorizationStore for SeaOrmAuthorizationStore {
    async fn create(&self, authorization: &Authorization) -> Result<(), StorageError> {
        let row = authorization::ActiveModel {
            grant_id: ActiveValue::Set(authorization.grant_id.as_uuid()),
            application_id: ActiveValue::Set(authorization.application_id.as_uuid()),
            person_id: ActiveValue::Set(authorization.person.as_uuid()),
            scope: ActiveValue::Set(json_list(authorization.scope.iter().map(Permission::as_str))),
            redirect_uri: ActiveValue::Set(authorization.redirect_uri.clone()),
            code_challenge: ActiveValue::Set(
                authorization.challenge.as_ref().map(|challenge| challenge.as_str().to_owned()),
            ),
            code_digest: ActiveValue::Set(authorization.code.as_bytes().to_vec()),
            created_at: ActiveValue::Set(authorization.created_at.unix_millis()),
            code_expires_at: ActiveValue::Set(authorization.code_expires_at.unix_millis()),
            redeemed_at: ActiveValue::Set(authorization.redeemed_at.map(Timestamp::unix_millis)),
            keep_until: ActiveValue::Set(authorization.keep_until.unix_millis()),
        };
        let inserted = authorization::Entity::insert(row).exec_without_returning(self.database.writer()).await;
        inserted.map(drop).map_err(storage_error(AUTHORIZATIONS))
    }

    async fn find_by_code(&self, code: &CodeDigest) -> Result<Option<Authorization>, StorageError> {
        let by_code = authorization::Entity::find().filter(Column::CodeDigest.eq(code.as_bytes().to_vec()));
        let found = by_code.one(self.database.reader()).await.map_err(storage_error(AUTHORIZATIONS))?;
        found.map(read_authorization).transpose()
    }

    async fn redeem(&self, redemption: &Redemption) -> Result<bool, StorageError> {
        let updated = authorization::Entity::update_many()
            .set(authorization::ActiveModel {
                redeemed_at: ActiveValue::Set(Some(redemption.at.unix_millis())),
                keep_until: ActiveValue::Set(redemption.keep_until.unix_millis()),
                ..Default::default()
            })
            .filter(Column::GrantId.eq(redemption.grant_id.as_uuid()))
            .filter(Column::RedeemedAt.is_null())
            .exec(self.database.writer())
            .await
            .map_err(storage_error(AUTHORIZATIONS))?;
        Ok(updated.rows_affected > 0)
    }

    async fn of_person(&self, person: UserId) -> Result<Vec<Authorization>, StorageError> {
        let rows = authorization::Entity::find()
            .filter(Column::PersonId.eq(person.as_uuid()))
            .order_by_desc(Column::CreatedAt)
            .all(self.database.reader())
            .await
            .map_err(storage_error(AUTHORIZATIONS))?;
        rows.into_iter().map(read_authorization).collect()
    }

    async fn end(&self, grant: GrantId) -> Result<bool, StorageError> {
        let deleted = authorization::Entity::delete_by_id(grant.as_uuid()).exec(self.database.writer()).await;
        Ok(deleted.map_err(storage_error(AUTHORIZATIONS))?.rows_affected > 0)
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let over = Column::KeepUntil.lt(now.unix_millis());
        sweep(self.database.writer(), AUTHORIZATIONS, &["grant_id"], over, limit)
            .await
            .map_err(storage_error(AUTHORIZATIONS))
    }
}

fn read_authorization(model: authorization::Model) -> Result<Authorization, StorageError> {
    let row = Row::new(AUTHORIZATIONS, model.grant_id);
    let challenge = model.code_challenge.as_deref();
    Ok(Authorization {
        grant_id: GrantId::from_uuid(model.grant_id),
        application_id: ApplicationId::from_uuid(model.application_id),
        person: UserId::from_uuid(model.person_id),
        scope: row.parse_list("scope", &model.scope, Row::parse::<Permission>)?,
        challenge: challenge.map(|text| row.parse::<CodeChallenge>("code_challenge", text)).transpose()?,
        code: CodeDigest::from_stored(row.digest("code_digest", &model.code_digest)?),
        created_at: row.timestamp("created_at", model.created_at)?,
        code_expires_at: row.timestamp("code_expires_at", model.code_expires_at)?,
        redeemed_at: row.optional_timestamp("redeemed_at", model.redeemed_at)?,
        keep_until: row.timestamp("keep_until", model.keep_until)?,
        redirect_uri: model.redirect_uri,
    })
}
