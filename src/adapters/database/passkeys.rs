//! Passkeys.

use async_trait::async_trait;
use sea_orm::sea_query::{LockType, OnConflict};
use sea_orm::{ActiveValue, ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entities::passkey::{self, Column};
use super::entities::{person, spent_passkey_challenge};
use super::error::storage_error;
use super::handle::Database;
use super::row::Row;
use super::sweep::sweep;
use crate::domain::ids::{PasskeyId, UserId};
use crate::domain::people::{
    AddPasskeyError, CredentialId, Passkey, PasskeyRepository, SpentChallenge, StoredCredential,
};
use crate::domain::system::{StorageError, Timestamp};
use crate::domain::validation::InvalidValue;

const PASSKEYS: &str = "passkeys";
const CHALLENGES: &str = "spent_passkey_challenges";

/// Stores passkeys in SQLite or PostgreSQL.
#[derive(Clone, Debug)]
pub struct SeaOrmPasskeyRepository {
    database: Database,
}

enum PasskeyInsertion {
    Yes,
    Exists,
    TooMany,
}

impl SeaOrmPasskeyRepository {
    /// Uses `database`, whose migrations are applied.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// The lock on the person's row makes the new passkeys of a person take turns, so that each sees how many there are.
    async fn insert(&self, passkey: &Passkey) -> Result<PasskeyInsertion, DbErr> {
        let transaction = self.database.begin().await?;
        let person = person::Entity::find_by_id(passkey.person.as_uuid())
            .select_only()
            .column(person::Column::Id)
            .lock(LockType::NoKeyUpdate)
            .into_tuple::<uuid::Uuid>()
            .one(&transaction)
            .await?;
        let own = passkey::Entity::find().filter(Column::PersonId.eq(passkey.person.as_uuid()));
        if person.is_none() || own.count(&transaction).await? >= u64::from(Passkey::MAX_PER_PERSON) {
            return Ok(PasskeyInsertion::TooMany);
        }
        let row = passkey::ActiveModel {
            id: ActiveValue::Set(passkey.id.as_uuid()),
            person_id: ActiveValue::Set(passkey.person.as_uuid()),
            credential_id: ActiveValue::Set(passkey.credential_id.as_bytes().to_vec()),
            name: ActiveValue::Set(passkey.name.as_str().to_owned()),
            credential: ActiveValue::Set(passkey.credential.as_str().to_owned()),
            created_at: ActiveValue::Set(passkey.created_at.unix_millis()),
            last_used_at: ActiveValue::Set(passkey.last_used_at.map(Timestamp::unix_millis)),
        };
        let inserted = passkey::Entity::insert(row)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(if inserted > 0 { PasskeyInsertion::Yes } else { PasskeyInsertion::Exists })
    }
}

#[async_trait]
impl PasskeyRepository for SeaOrmPasskeyRepository {
    async fn add(&self, passkey: &Passkey) -> Result<(), AddPasskeyError> {
        match self.insert(passkey).await.map_err(storage_error(PASSKEYS))? {
            PasskeyInsertion::Yes => Ok(()),
            PasskeyInsertion::Exists => Err(AddPasskeyError::Exists),
            PasskeyInsertion::TooMany => Err(AddPasskeyError::TooMany),
        }
    }

    async fn find(&self, credential_id: &CredentialId) -> Result<Option<Passkey>, StorageError> {
        let found = passkey::Entity::find()
            .filter(Column::CredentialId.eq(credential_id.as_bytes().to_vec()))
            .one(self.database.reader())
            .await;
        found.map_err(storage_error(PASSKEYS))?.map(read_passkey).transpose()
    }

    async fn list_by_person(&self, person: UserId) -> Result<Vec<Passkey>, StorageError> {
        let own = passkey::Entity::find()
            .filter(Column::PersonId.eq(person.as_uuid()))
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::Id)
            .all(self.database.reader())
            .await;
        own.map_err(storage_error(PASSKEYS))?.into_iter().map(read_passkey).collect()
    }

    async fn record_use(
        &self,
        used: &Passkey,
        renewed: &StoredCredential,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let updated = passkey::Entity::update_many()
            .set(passkey::ActiveModel {
                credential: ActiveValue::Set(renewed.as_str().to_owned()),
                last_used_at: ActiveValue::Set(Some(now.unix_millis())),
                ..Default::default()
            })
            .filter(Column::Id.eq(used.id.as_uuid()))
            .filter(Column::Credential.eq(used.credential.as_str()))
            .exec(self.database.writer())
            .await;
        Ok(updated.map_err(storage_error(PASSKEYS))?.rows_affected > 0)
    }

    async fn remove(&self, person: UserId, id: PasskeyId) -> Result<bool, StorageError> {
        let deleted = passkey::Entity::delete_many()
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::PersonId.eq(person.as_uuid()))
            .exec(self.database.writer())
            .await;
        Ok(deleted.map_err(storage_error(PASSKEYS))?.rows_affected > 0)
    }

    async fn spend(&self, challenge: &SpentChallenge) -> Result<bool, StorageError> {
        let row = spent_passkey_challenge::ActiveModel {
            digest: ActiveValue::Set(challenge.digest.to_vec()),
            expires_at: ActiveValue::Set(challenge.expires_at.unix_millis()),
        };
        let inserted = spent_passkey_challenge::Entity::insert(row)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(self.database.writer())
            .await;
        Ok(inserted.map_err(storage_error(CHALLENGES))? > 0)
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        let expired = spent_passkey_challenge::Column::ExpiresAt.lt(now.unix_millis());
        sweep(self.database.writer(), CHALLENGES, &["digest"], expired, limit).await.map_err(storage_error(CHALLENGES))
    }
}

fn read_passkey(model: passkey::Model) -> Result<Passkey, StorageError> {
    let row = Row::new(PASSKEYS, model.id);
    let refused = |column: &'static str| {
        let row = &row;
        move |error: InvalidValue| row.inconsistent(format!("column {column} {}", error.problem()))
    };
    Ok(Passkey {
        id: PasskeyId::from_uuid(model.id),
        person: UserId::from_uuid(model.person_id),
        credential_id: model.credential_id.try_into().map_err(refused("credential_id"))?,
        name: row.parse_exactly("name", &model.name)?,
        credential: StoredCredential::new(model.credential).map_err(refused("credential"))?,
        created_at: row.timestamp("created_at", model.created_at)?,
        last_used_at: row.optional_timestamp("last_used_at", model.last_used_at)?,
    })
}
