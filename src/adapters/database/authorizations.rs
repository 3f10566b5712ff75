//! Authorizations: what people consented to.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query, SelectStatement};
use sea_orm::{ActiveValue, ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entities::authorization::{self, Column};
use super::entities::{application, person};
use super::error::storage_error;
use super::handle::Database;
use super::row::{Row, json_array};
use super::sweep::sweep;
use crate::domain::applications::{Permission, RegisteredBy};
use crate::domain::ids::{ApplicationId, GrantId, UserId};
use crate::domain::oauth::{
    Audience, Authorization, AuthorizationStore, CodeChallenge, CodeDigest, Consent, Redeemed, Redemption,
};
use crate::domain::people::SignInVersion;
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

impl SeaOrmAuthorizationStore {
    /// The lock on the person's row serializes new authorizations of a person, and none starts while the person is being
    /// changed; see `SeaOrmPersonRepository::begin_version`.
    async fn insert(&self, new: &Authorization, verified: SignInVersion) -> Result<Consent, DbErr> {
        let transaction = self.database.begin().await?;
        let person = person::Entity::find_by_id(new.person.as_uuid())
            .filter(person::Column::Enabled.eq(true))
            .filter(person::Column::SignInVersion.eq(i64::from(verified.get())))
            .lock(LockType::NoKeyUpdate)
            .one(&transaction)
            .await?;
        let application = application::Entity::find_by_id(new.application_id.as_uuid())
            .filter(application::Column::Enabled.eq(true))
            .lock_shared()
            .one(&transaction)
            .await?;
        if person.is_none() || application.is_none() {
            return Ok(Consent::Outdated);
        }
        let of_connection = authorization::Entity::find()
            .filter(Column::PersonId.eq(new.person.as_uuid()))
            .filter(Column::ApplicationId.eq(new.application_id.as_uuid()));
        if of_connection.count(&transaction).await? >= u64::from(Authorization::MAX_PER_CONNECTION) {
            return Ok(Consent::TooMany);
        }
        authorization::Entity::insert(authorization_row(new)).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(Consent::Stored)
    }
}

impl SeaOrmAuthorizationStore {
    /// The rows are locked before it is decided whether they are used: then no authorization of them is being inserted, and every
    /// one that was is visible to the second statement.
    async fn delete_unused_applications(&self, before: Timestamp, limit: u32) -> Result<u64, DbErr> {
        let is_used = || {
            let of_application = Expr::col((authorization::Entity, Column::ApplicationId))
                .equals((application::Entity, application::Column::Id));
            Expr::exists(
                Query::select().expr(Expr::value(1)).from(authorization::Entity).and_where(of_application).take(),
            )
        };
        let transaction = self.database.begin().await?;
        let candidates = application::Entity::find()
            .filter(application::Column::RegisteredBy.ne(RegisteredBy::Operator.as_str()))
            .filter(application::Column::Enabled.eq(true))
            .filter(application::Column::UpdatedAt.lt(before.unix_millis()))
            .filter(is_used().not())
            .limit(u64::from(limit))
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .all(&transaction)
            .await?;
        if candidates.is_empty() {
            return Ok(0);
        }
        let deleted = application::Entity::delete_many()
            .filter(application::Column::Id.is_in(candidates.iter().map(|candidate| candidate.id)))
            .filter(is_used().not())
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected)
    }
}

/// The person and the application of a row of authorizations, if both are enabled.
fn parties() -> SelectStatement {
    let enabled = |table: &'static str| Expr::col((table, "enabled")).eq(true);
    let is = |table: &'static str, column: Column| Expr::col((table, "id")).equals((authorization::Entity, column));
    Query::select()
        .expr(Expr::value(1))
        .from_as(person::Entity, "p")
        .from_as(application::Entity, "a")
        .and_where(is("p", Column::PersonId))
        .and_where(enabled("p"))
        .and_where(is("a", Column::ApplicationId))
        .and_where(enabled("a"))
        .take()
}

fn authorization_row(authorization: &Authorization) -> authorization::ActiveModel {
    authorization::ActiveModel {
        grant_id: ActiveValue::Set(authorization.grant_id.as_uuid()),
        application_id: ActiveValue::Set(authorization.application_id.as_uuid()),
        person_id: ActiveValue::Set(authorization.person.as_uuid()),
        scope: ActiveValue::Set(json_array(authorization.scope.iter().map(Permission::as_str))),
        audience: ActiveValue::Set(authorization.audience.as_str().to_owned()),
        redirect_uri: ActiveValue::Set(authorization.redirect_uri.clone()),
        code_challenge: ActiveValue::Set(
            authorization.challenge.as_ref().map(|challenge| challenge.as_str().to_owned()),
        ),
        code_digest: ActiveValue::Set(authorization.code.as_bytes().to_vec()),
        created_at: ActiveValue::Set(authorization.created_at.unix_millis()),
        code_expires_at: ActiveValue::Set(authorization.code_expires_at.unix_millis()),
        redeemed_at: ActiveValue::Set(authorization.redeemed_at.map(Timestamp::unix_millis)),
        keep_until: ActiveValue::Set(authorization.keep_until.unix_millis()),
    }
}

#[async_trait]
impl AuthorizationStore for SeaOrmAuthorizationStore {
    async fn create(&self, authorization: &Authorization, verified: SignInVersion) -> Result<Consent, StorageError> {
        self.insert(authorization, verified).await.map_err(storage_error(AUTHORIZATIONS))
    }

    async fn find_by_code(&self, code: &CodeDigest) -> Result<Option<Authorization>, StorageError> {
        let by_code = authorization::Entity::find().filter(Column::CodeDigest.eq(code.as_bytes().to_vec()));
        let found = by_code.one(self.database.reader()).await.map_err(storage_error(AUTHORIZATIONS))?;
        found.map(read_authorization).transpose()
    }

    async fn redeem(&self, redemption: &Redemption) -> Result<Redeemed, StorageError> {
        let updated = authorization::Entity::update_many()
            .set(authorization::ActiveModel {
                redeemed_at: ActiveValue::Set(Some(redemption.at.unix_millis())),
                keep_until: ActiveValue::Set(redemption.keep_until.unix_millis()),
                ..Default::default()
            })
            .filter(Column::GrantId.eq(redemption.grant_id.as_uuid()))
            .filter(Column::RedeemedAt.is_null())
            .filter(Expr::exists(parties()))
            .exec(self.database.writer())
            .await
            .map_err(storage_error(AUTHORIZATIONS))?;
        if updated.rows_affected > 0 {
            return Ok(Redeemed::First);
        }
        let known = authorization::Entity::find_by_id(redemption.grant_id.as_uuid()).one(self.database.reader()).await;
        let redeemed = known.map_err(storage_error(AUTHORIZATIONS))?.and_then(|known| known.redeemed_at);
        Ok(if redeemed.is_some() { Redeemed::Before } else { Redeemed::Refused })
    }

    async fn list_by_person(&self, person: UserId) -> Result<Vec<Authorization>, StorageError> {
        let rows = authorization::Entity::find()
            .filter(Column::PersonId.eq(person.as_uuid()))
            .order_by_desc(Column::CreatedAt)
            .all(self.database.reader())
            .await
            .map_err(storage_error(AUTHORIZATIONS))?;
        rows.into_iter().map(read_authorization).collect()
    }

    async fn delete(&self, grant: GrantId) -> Result<bool, StorageError> {
        let deleted = authorization::Entity::delete_by_id(grant.as_uuid()).exec(self.database.writer()).await;
        Ok(deleted.map_err(storage_error(AUTHORIZATIONS))?.rows_affected > 0)
    }

    async fn sweep_unused_applications(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.delete_unused_applications(before, limit).await.map_err(storage_error("applications"))
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
        audience: Audience::from_name(&model.audience)
            .ok_or_else(|| row.inconsistent("column audience is not an audience"))?,
        challenge: challenge.map(|text| row.parse::<CodeChallenge>("code_challenge", text)).transpose()?,
        code: CodeDigest::from_stored(row.digest("code_digest", &model.code_digest)?),
        created_at: row.timestamp("created_at", model.created_at)?,
        code_expires_at: row.timestamp("code_expires_at", model.code_expires_at)?,
        redeemed_at: row.optional_timestamp("redeemed_at", model.redeemed_at)?,
        keep_until: row.timestamp("keep_until", model.keep_until)?,
        redirect_uri: model.redirect_uri,
    })
}
