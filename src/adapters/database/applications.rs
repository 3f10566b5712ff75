//! Applications and their secrets.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::applications::{
    Application, ApplicationChanges, ApplicationName, ApplicationRepository, Category, CategoryAccess,
    ChangeApplicationError, CreateApplicationError, GrantType, Permission, RedirectUri, RegisteredBy,
    RequestsPerMinute, SecretHash, SecretHint, StoredSecret, TokenLifetime,
};
use crate::domain::ids::{ApplicationId, ClientId, SecretId};
use crate::domain::system::{StorageError, Timestamp};
use async_trait::async_trait;
use sea_orm::sea_query::{OnConflict, Query};
use sea_orm::{
    ActiveValue, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::entities::{application, application_secret};
use super::error::storage_error;
use super::handle::Database;
use super::row::{InvalidRow, Row, json_array};

const APPLICATIONS: &str = "applications";
const SECRETS: &str = "application_secrets";

/// Stores applications in SQLite or PostgreSQL.
#[derive(Clone, Debug)]
pub struct SeaOrmApplicationRepository {
    database: Database,
}

impl SeaOrmApplicationRepository {
    /// Uses `database`, whose migrations are applied.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl ApplicationRepository for SeaOrmApplicationRepository {
    async fn create(&self, application: &Application) -> Result<(), CreateApplicationError> {
        let inserted = self.insert(application).await.map_err(storage_error(APPLICATIONS))?;
        if inserted { Ok(()) } else { Err(CreateApplicationError::Exists) }
    }

    async fn find(&self, id: ApplicationId) -> Result<Option<Arc<Application>>, StorageError> {
        load_one(self.database.reader(), application::Column::Id.eq(id.as_uuid())).await
    }

    async fn find_by_client_id(&self, client_id: &ClientId) -> Result<Option<Arc<Application>>, StorageError> {
        load_one(self.database.reader(), application::Column::ClientId.eq(client_id.as_str())).await
    }

    async fn list(&self, after: Option<ApplicationId>, limit: u32) -> Result<Vec<Arc<Application>>, StorageError> {
        let mut page = Query::select();
        page.column(application::Column::Id).from(application::Entity);
        if let Some(after) = after {
            page.and_where(application::Column::Id.gt(after.as_uuid()));
        }
        page.order_by(application::Column::Id, sea_orm::Order::Asc).limit(u64::from(limit));
        let in_page = application::Column::Id.in_subquery(page);
        load(self.database.reader(), in_page).await
    }

    async fn count_registered_by(&self, by: RegisteredBy) -> Result<u64, StorageError> {
        application::Entity::find()
            .filter(application::Column::RegisteredBy.eq(by.as_str()))
            .count(self.database.reader())
            .await
            .map_err(storage_error(APPLICATIONS))
    }

    async fn update(
        &self,
        id: ApplicationId,
        changes: &ApplicationChanges,
        now: Timestamp,
    ) -> Result<Arc<Application>, ChangeApplicationError> {
        let failed = storage_error(APPLICATIONS);
        let transaction = self.database.begin().await.map_err(failed)?;
        let updated = application::Entity::update_many()
            .set(changed_columns(changes, now))
            .filter(application::Column::Id.eq(id.as_uuid()))
            .exec(&transaction)
            .await
            .map_err(failed)?;
        if updated.rows_affected == 0 {
            return Err(ChangeApplicationError::NotFound);
        }
        let by_id = application::Column::Id.eq(id.as_uuid());
        let application = load_one(&transaction, by_id).await?.ok_or(ChangeApplicationError::NotFound)?;
        // The row is locked: this is how it will be.
        application.check_consistency()?;
        transaction.commit().await.map_err(failed)?;
        Ok(application)
    }

    async fn delete(&self, id: ApplicationId) -> Result<bool, StorageError> {
        // The secrets go along by their foreign key.
        let deleted = application::Entity::delete_by_id(id.as_uuid())
            .exec(self.database.writer())
            .await
            .map_err(storage_error(APPLICATIONS))?;
        Ok(deleted.rows_affected > 0)
    }

    async fn add_secret(
        &self,
        id: ApplicationId,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Result<(), ChangeApplicationError> {
        let failed = storage_error(SECRETS);
        let transaction = self.database.begin().await.map_err(failed)?;
        // Whoever changes the application's secrets changes its row first, which serializes them.
        if !touch(&transaction, id, now).await.map_err(failed)? {
            return Err(ChangeApplicationError::NotFound);
        }
        let of_application = application_secret::Column::ApplicationId.eq(id.as_uuid());
        let newest = application_secret::Entity::find()
            .filter(of_application.clone())
            .order_by_desc(application_secret::Column::Position)
            .limit(1)
            .one(&transaction)
            .await
            .map_err(failed)?;
        let count =
            application_secret::Entity::find().filter(of_application).count(&transaction).await.map_err(failed)?;
        if usize::try_from(count).is_ok_and(|count| count < Application::MAX_SECRETS) {
            let position = newest.map_or(0, |newest| newest.position + 1);
            application_secret::Entity::insert(secret_row(id, position, secret))
                .exec_without_returning(&transaction)
                .await
                .map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(())
        } else {
            Err(ChangeApplicationError::TooManySecrets)
        }
    }

    async fn replace_secrets(
        &self,
        id: ApplicationId,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Result<usize, ChangeApplicationError> {
        let failed = storage_error(SECRETS);
        let transaction = self.database.begin().await.map_err(failed)?;
        if !touch(&transaction, id, now).await.map_err(failed)? {
            return Err(ChangeApplicationError::NotFound);
        }
        let deleted = application_secret::Entity::delete_many()
            .filter(application_secret::Column::ApplicationId.eq(id.as_uuid()))
            .exec(&transaction)
            .await
            .map_err(failed)?;
        application_secret::Entity::insert(secret_row(id, 0, secret))
            .exec_without_returning(&transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(usize::try_from(deleted.rows_affected).unwrap_or(usize::MAX))
    }

    async fn remove_secret(&self, id: ApplicationId, secret: SecretId, now: Timestamp) -> Result<bool, StorageError> {
        let failed = storage_error(SECRETS);
        let transaction = self.database.begin().await.map_err(failed)?;
        if !touch(&transaction, id, now).await.map_err(failed)? {
            return Ok(false);
        }
        let deleted = application_secret::Entity::delete_by_id(secret.as_uuid())
            .filter(application_secret::Column::ApplicationId.eq(id.as_uuid()))
            .exec(&transaction)
            .await
            .map_err(failed)?;
        if deleted.rows_affected == 0 {
            return Ok(false);
        }
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    async fn revoke_tokens(&self, id: ApplicationId, at: Timestamp) -> Result<(), StorageError> {
        let (at, ended) = (at.unix_millis(), application::Column::TokensEndedAt);
        application::Entity::update_many()
            .set(application::ActiveModel { tokens_ended_at: ActiveValue::Set(Some(at)), ..Default::default() })
            .filter(application::Column::Id.eq(id.as_uuid()))
            .filter(Condition::any().add(ended.is_null()).add(ended.lt(at)))
            .exec(self.database.writer())
            .await
            .map(drop)
            .map_err(storage_error(APPLICATIONS))
    }

    async fn record_secret_use(&self, id: ApplicationId, secret: SecretId, at: Timestamp) {
        if let Err(error) = self.note_secret_use(id, secret, at).await {
            tracing::warn!(
                application.id = %id,
                secret.id = %secret,
                error = &error as &dyn std::error::Error,
                "failed to record the last use of a secret"
            );
        }
    }

    async fn renew_secret_hash(&self, id: ApplicationId, stored: &StoredSecret, renewed: &SecretHash) {
        let updated = application_secret::Entity::update_many()
            .set(application_secret::ActiveModel {
                hash: ActiveValue::Set(renewed.as_str().to_owned()),
                ..Default::default()
            })
            .filter(application_secret::Column::Id.eq(stored.id.as_uuid()))
            .filter(application_secret::Column::ApplicationId.eq(id.as_uuid()))
            .filter(application_secret::Column::Hash.eq(stored.hash.as_str()))
            .exec(self.database.writer())
            .await;
        if let Err(error) = updated {
            tracing::warn!(
                application.id = %id,
                secret.id = %stored.id,
                error = &error as &dyn std::error::Error,
                "failed to renew the hash of a secret"
            );
        }
    }
}

impl SeaOrmApplicationRepository {
    async fn note_secret_use(&self, id: ApplicationId, secret: SecretId, at: Timestamp) -> Result<(), DbErr> {
        let at = at.unix_millis();
        let last_used_at = application_secret::Column::LastUsedAt;
        application_secret::Entity::update_many()
            .set(application_secret::ActiveModel { last_used_at: ActiveValue::Set(Some(at)), ..Default::default() })
            .filter(application_secret::Column::Id.eq(secret.as_uuid()))
            .filter(application_secret::Column::ApplicationId.eq(id.as_uuid()))
            .filter(Condition::any().add(last_used_at.is_null()).add(last_used_at.lt(at)))
            .exec(self.database.writer())
            .await
            .map(drop)
    }

    /// Returns whether the application is new.
    async fn insert(&self, new: &Application) -> Result<bool, DbErr> {
        let transaction = self.database.begin().await?;
        let inserted = application::Entity::insert(application_row(new))
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(&transaction)
            .await?;
        if inserted == 0 {
            return Ok(false);
        }
        let secrets = new.secrets.iter().zip(0..).map(|(secret, position)| secret_row(new.id, position, secret));
        application_secret::Entity::insert_many(secrets).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// Records a change of the application, and locks its row until the end of the transaction. Returns whether it exists.
async fn touch<C: ConnectionTrait>(connection: &C, id: ApplicationId, now: Timestamp) -> Result<bool, DbErr> {
    let updated_at = ActiveValue::Set(now.unix_millis());
    let touched = application::Entity::update_many()
        .set(application::ActiveModel { updated_at, ..Default::default() })
        .filter(application::Column::Id.eq(id.as_uuid()))
        .exec(connection)
        .await?;
    Ok(touched.rows_affected > 0)
}

async fn load_one<C: ConnectionTrait>(
    connection: &C,
    which: sea_orm::sea_query::SimpleExpr,
) -> Result<Option<Arc<Application>>, StorageError> {
    Ok(load(connection, which).await?.into_iter().next())
}

/// Applications with their secrets, read by one statement and therefore consistent, ordered by ID.
async fn load<C: ConnectionTrait>(
    connection: &C,
    which: sea_orm::sea_query::SimpleExpr,
) -> Result<Vec<Arc<Application>>, StorageError> {
    let rows = application::Entity::find()
        .filter(which)
        .find_with_related(application_secret::Entity)
        .order_by_asc(application_secret::Column::CreatedAt)
        .order_by_asc(application_secret::Column::Position)
        .all(connection)
        .await
        .map_err(storage_error(APPLICATIONS))?;
    rows.into_iter().map(|(application, secrets)| read_application(&application, secrets).map(Arc::new)).collect()
}

fn application_row(application: &Application) -> application::ActiveModel {
    let everything = ApplicationChanges {
        registered_by: Some(application.registered_by),
        name: Some(application.name.clone()),
        permissions: Some(application.permissions),
        grants: Some(application.grants.clone()),
        redirect_uris: Some(application.redirect_uris.clone()),
        pkce: Some(application.pkce),
        default_resource: Some(application.default_resource),
        space: Some(application.space.clone()),
        categories: Some(application.categories.clone()),
        rate_limit: Some(application.rate_limit),
        access_token_ttl: Some(application.access_token_ttl),
        refresh_token_ttl: Some(application.refresh_token_ttl),
        enabled: Some(application.enabled),
    };
    application::ActiveModel {
        id: ActiveValue::Set(application.id.as_uuid()),
        client_id: ActiveValue::Set(application.client_id.to_string()),
        kind: ActiveValue::Set(application.kind.as_str().to_owned()),
        tokens_ended_at: ActiveValue::Set(application.tokens_ended_at.map(Timestamp::unix_millis)),
        created_at: ActiveValue::Set(application.created_at.unix_millis()),
        ..changed_columns(&everything, application.updated_at)
    }
}

/// The columns to update; others stay unchanged, even if they are updated concurrently.
fn changed_columns(changes: &ApplicationChanges, now: Timestamp) -> application::ActiveModel {
    fn set<T, V>(change: Option<&T>, column: impl Fn(&T) -> V) -> ActiveValue<V>
    where
        V: Into<sea_orm::Value>,
    {
        change.map_or(ActiveValue::NotSet, |value| ActiveValue::Set(column(value)))
    }
    let seconds = |lifetime: TokenLifetime| i64::from(lifetime.as_seconds());
    application::ActiveModel {
        registered_by: set(changes.registered_by.as_ref(), |by| by.as_str().to_owned()),
        document_confirmed_at: set(changes.registered_by.as_ref(), |by| match by {
            RegisteredBy::Document { confirmed_at } => Some(confirmed_at.unix_millis()),
            RegisteredBy::Operator | RegisteredBy::Itself => None,
        }),
        name: set(changes.name.as_ref(), ToString::to_string),
        permissions: set(changes.permissions.as_ref(), |set| json_array(set.iter().map(Permission::as_str))),
        grants: set(changes.grants.as_ref(), |set| json_array(set.iter().map(|grant| grant.as_str()))),
        redirect_uris: set(changes.redirect_uris.as_ref(), |uris| json_array(uris.iter().map(RedirectUri::as_str))),
        pkce: set(changes.pkce.as_ref(), |rule| rule.as_str().to_owned()),
        default_resource: set(changes.default_resource.as_ref(), |resource| resource.as_str().to_owned()),
        space: set(changes.space.as_ref(), ToString::to_string),
        categories: set(changes.categories.as_ref(), |access| match access {
            CategoryAccess::All => None,
            CategoryAccess::Only(categories) => Some(json_array(categories.iter().map(Category::as_str))),
        }),
        rate_limit: set(changes.rate_limit.as_ref(), |limit| limit.map(|limit| i64::from(limit.get()))),
        access_token_ttl: set(changes.access_token_ttl.as_ref(), |lifetime| lifetime.map(seconds)),
        refresh_token_ttl: set(changes.refresh_token_ttl.as_ref(), |lifetime| lifetime.map(seconds)),
        enabled: set(changes.enabled.as_ref(), |enabled| *enabled),
        updated_at: ActiveValue::Set(now.unix_millis()),
        ..Default::default()
    }
}

fn secret_row(id: ApplicationId, position: i64, secret: &StoredSecret) -> application_secret::ActiveModel {
    application_secret::ActiveModel {
        id: ActiveValue::Set(secret.id.as_uuid()),
        application_id: ActiveValue::Set(id.as_uuid()),
        position: ActiveValue::Set(position),
        hint: ActiveValue::Set(secret.hint.as_str().to_owned()),
        hash: ActiveValue::Set(secret.hash.as_str().to_owned()),
        created_at: ActiveValue::Set(secret.created_at.unix_millis()),
        expires_at: ActiveValue::Set(secret.expires_at.map(Timestamp::unix_millis)),
        last_used_at: ActiveValue::Set(secret.last_used_at.map(Timestamp::unix_millis)),
    }
}

fn read_application(
    model: &application::Model,
    secrets: Vec<application_secret::Model>,
) -> Result<Application, StorageError> {
    let row = Row::new(APPLICATIONS, model.id);
    let lifetime = |column: &str, seconds: Option<i64>| {
        seconds
            .map(|seconds| {
                let seconds = u64::try_from(seconds).ok();
                seconds
                    .and_then(|seconds| TokenLifetime::try_from(Duration::from_secs(seconds)).ok())
                    .ok_or_else(|| row.inconsistent(format!("column {column} is not a token lifetime in seconds")))
            })
            .transpose()
    };
    let rate_limit = model.rate_limit.map(|limit| {
        let limit = u32::try_from(limit).ok().and_then(|limit| RequestsPerMinute::try_from(limit).ok());
        limit.ok_or_else(|| row.inconsistent("column rate_limit is not a number of requests per minute"))
    });
    let categories = match &model.categories {
        None => CategoryAccess::All,
        Some(json) => CategoryAccess::Only(row.parse_list("categories", json, Row::parse_exactly::<Category>)?),
    };
    Ok(Application {
        id: ApplicationId::from_uuid(model.id),
        client_id: row.parse("client_id", &model.client_id)?,
        name: read_name(&row, &model.name)?,
        registered_by: read_registered_by(&row, model)?,
        kind: row.parse("kind", &model.kind)?,
        permissions: row.parse_list("permissions", &model.permissions, Row::parse::<Permission>)?,
        grants: row.parse_list("grants", &model.grants, Row::parse::<GrantType>)?,
        redirect_uris: row.parse_list("redirect_uris", &model.redirect_uris, Row::parse::<RedirectUri>)?,
        pkce: row.parse("pkce", &model.pkce)?,
        default_resource: row.parse("default_resource", &model.default_resource)?,
        space: row.parse("space", &model.space)?,
        categories,
        rate_limit: rate_limit.transpose()?,
        access_token_ttl: lifetime("access_token_ttl", model.access_token_ttl)?,
        refresh_token_ttl: lifetime("refresh_token_ttl", model.refresh_token_ttl)?,
        enabled: model.enabled,
        tokens_ended_at: row.optional_timestamp("tokens_ended_at", model.tokens_ended_at)?,
        secrets: secrets.into_iter().map(read_secret).collect::<Result<_, _>>()?,
        created_at: row.timestamp("created_at", model.created_at)?,
        updated_at: row.timestamp("updated_at", model.updated_at)?,
    })
}

fn read_registered_by(row: &Row, model: &application::Model) -> Result<RegisteredBy, InvalidRow> {
    let confirmed_at = row.optional_timestamp("document_confirmed_at", model.document_confirmed_at)?;
    RegisteredBy::from_stored(&model.registered_by, confirmed_at)
        .ok_or_else(|| row.inconsistent("column registered_by is not who registers applications"))
}

fn read_name(row: &Row, text: &str) -> Result<ApplicationName, InvalidRow> {
    if text.trim() != text {
        return Err(row.inconsistent("column name is not written as memgate writes it"));
    }
    ApplicationName::from_stored(text).map_err(row.rejected("name"))
}

fn read_secret(model: application_secret::Model) -> Result<StoredSecret, StorageError> {
    let row = Row::new(SECRETS, model.id);
    Ok(StoredSecret {
        id: SecretId::from_uuid(model.id),
        hint: SecretHint::from_stored(model.hint),
        hash: SecretHash::from_stored(model.hash),
        created_at: row.timestamp("created_at", model.created_at)?,
        expires_at: row.optional_timestamp("expires_at", model.expires_at)?,
        last_used_at: row.optional_timestamp("last_used_at", model.last_used_at)?,
    })
}
