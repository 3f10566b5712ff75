//! Sealed signing keys.

use async_trait::async_trait;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entities::signing_key;
use super::error::storage_error;
use super::handle::Database;
use super::row::Row;
use crate::domain::oauth::{KeyId, SealedKey, SigningKey, SigningKeyStore};
use crate::domain::system::{StorageError, Timestamp};

const KEYS: &str = "signing_keys";

/// Stores signing keys in SQLite or PostgreSQL.
#[derive(Clone, Debug)]
pub struct SeaOrmSigningKeyStore {
    database: Database,
}

impl SeaOrmSigningKeyStore {
    /// Uses `database`, whose migrations are applied.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl SigningKeyStore for SeaOrmSigningKeyStore {
    async fn list(&self) -> Result<Vec<SigningKey>, StorageError> {
        let rows = signing_key::Entity::find().all(self.database.reader()).await.map_err(storage_error(KEYS))?;
        let mut keys = rows.into_iter().map(read_key).collect::<Result<Vec<_>, _>>()?;
        keys.sort_by_key(|key| (key.purpose, key.generation));
        Ok(keys)
    }

    async fn add(&self, key: &SigningKey) -> Result<bool, StorageError> {
        let row = signing_key::ActiveModel {
            id: ActiveValue::Set(key.id.to_string()),
            purpose: ActiveValue::Set(key.purpose.as_str().to_owned()),
            algorithm: ActiveValue::Set(key.algorithm.as_str().to_owned()),
            generation: ActiveValue::Set(i64::from(key.generation)),
            sealed: ActiveValue::Set(key.sealed.as_bytes().to_vec()),
            created_at: ActiveValue::Set(key.created_at.unix_millis()),
            activates_at: ActiveValue::Set(key.activates_at.unix_millis()),
            retired_at: ActiveValue::Set(key.retired_at.map(Timestamp::unix_millis)),
        };
        let inserted = signing_key::Entity::insert(row)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(self.database.writer())
            .await
            .map_err(storage_error(KEYS))?;
        Ok(inserted > 0)
    }

    async fn retire(&self, id: &KeyId, at: Timestamp) -> Result<bool, StorageError> {
        let retired_at = ActiveValue::Set(Some(at.unix_millis()));
        let updated = signing_key::Entity::update_many()
            .set(signing_key::ActiveModel { retired_at, ..Default::default() })
            .filter(signing_key::Column::Id.eq(id.as_str()))
            .filter(signing_key::Column::RetiredAt.is_null())
            .exec(self.database.writer())
            .await
            .map_err(storage_error(KEYS))?;
        Ok(updated.rows_affected > 0)
    }

    async fn rewrap(&self, keys: &[(SigningKey, SealedKey)]) -> Result<bool, StorageError> {
        let failed = storage_error(KEYS);
        let transaction = self.database.begin().await.map_err(failed)?;
        // Locked in a fixed order, to avoid deadlocks.
        let rows = signing_key::Entity::find()
            .filter(signing_key::Column::Id.is_in(keys.iter().map(|(key, _)| key.id.as_str())))
            .order_by_asc(signing_key::Column::Id)
            .lock_exclusive()
            .all(&transaction)
            .await
            .map_err(failed)?;
        let present = rows.into_iter().map(read_key).collect::<Result<Vec<_>, _>>()?;
        if !keys.iter().all(|(key, _)| present.contains(key)) {
            return Ok(false);
        }
        for (key, sealed) in keys {
            let sealed = ActiveValue::Set(sealed.as_bytes().to_vec());
            signing_key::Entity::update_many()
                .set(signing_key::ActiveModel { sealed, ..Default::default() })
                .filter(signing_key::Column::Id.eq(key.id.as_str()))
                .exec(&transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    async fn delete(&self, id: &KeyId) -> Result<(), StorageError> {
        let deleted = signing_key::Entity::delete_by_id(id.as_str()).exec(self.database.writer()).await;
        deleted.map(drop).map_err(storage_error(KEYS))
    }
}

fn read_key(model: signing_key::Model) -> Result<SigningKey, StorageError> {
    let row = Row::new(KEYS, &model.id);
    Ok(SigningKey {
        id: row.parse("id", &model.id)?,
        purpose: row.parse("purpose", &model.purpose)?,
        algorithm: row.parse("algorithm", &model.algorithm)?,
        generation: u32::try_from(model.generation)
            .map_err(|_| row.inconsistent("column generation is not a number from 0 to 4294967295"))?,
        sealed: SealedKey::from_stored(model.sealed),
        created_at: row.timestamp("created_at", model.created_at)?,
        activates_at: row.timestamp("activates_at", model.activates_at)?,
        retired_at: row.optional_timestamp("retired_at", model.retired_at)?,
    })
}
