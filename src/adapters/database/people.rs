//! People.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, UpdateMany,
};

use super::entities::person::{self, Column};
use super::entities::session;
use super::error::storage_error;
use super::handle::Database;
use super::row::Row;
use crate::domain::applications::SecretHash;
use crate::domain::ids::UserId;
use crate::domain::people::{
    Account, AccountLabel, CreatePersonError, ExternalIdentity, ExternalUser, Login, Person, PersonRepository,
    SignInVersion,
};
use crate::domain::system::{StorageError, Timestamp};
use crate::domain::validation::InvalidValue;

const PEOPLE: &str = "people";

/// The values of the column `kind`.
const LOCAL: &str = "local";
const EXTERNAL: &str = "external";

/// Stores people in SQLite or PostgreSQL.
#[derive(Clone, Debug)]
pub struct SeaOrmPersonRepository {
    database: Database,
}

impl SeaOrmPersonRepository {
    /// Uses `database`, whose migrations are applied.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

impl SeaOrmPersonRepository {
    /// Changes a person, increments the version and deletes every session. Returns whether the person exists.
    ///
    /// The row of the person stays locked until the commit, and storing a session locks it too: an existing session is
    /// deleted here, and a later one finds another version.
    async fn begin_version(&self, id: UserId, update: UpdateMany<person::Entity>) -> Result<bool, DbErr> {
        let transaction = self.database.begin().await?;
        let next = Expr::col(Column::SignInVersion).add(1);
        let updated = update.col_expr(Column::SignInVersion, next).exec(&transaction).await?;
        if updated.rows_affected == 0 {
            return Ok(false);
        }
        session::Entity::delete_many().filter(session::Column::PersonId.eq(id.as_uuid())).exec(&transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

fn password_update(id: UserId, password: &SecretHash, now: Timestamp) -> UpdateMany<person::Entity> {
    let change = person::ActiveModel {
        password_hash: ActiveValue::Set(Some(password.as_str().to_owned())),
        updated_at: ActiveValue::Set(now.unix_millis()),
        ..Default::default()
    };
    let local = Column::Id.eq(id.as_uuid()).and(Column::Kind.eq(LOCAL));
    person::Entity::update_many().set(change).filter(local)
}

#[async_trait]
impl PersonRepository for SeaOrmPersonRepository {
    async fn create(&self, person: &Person) -> Result<(), CreatePersonError> {
        let inserted = person::Entity::insert(person_row(person))
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(self.database.writer())
            .await
            .map_err(storage_error(PEOPLE))?;
        if inserted > 0 { Ok(()) } else { Err(CreatePersonError::Exists) }
    }

    async fn find_or_create(&self, external_user: &ExternalUser) -> Result<Person, StorageError> {
        let failed = storage_error(PEOPLE);
        let person = Person {
            id: external_user.id,
            account: Account::External { identity: external_user.identity.clone(), label: external_user.label.clone() },
            enabled: true,
            sign_in_version: SignInVersion::default(),
            created_at: external_user.at,
            updated_at: external_user.at,
        };
        let is = |column: Column| Expr::col((person::Entity, column));
        let new = |column: Column| Expr::col(("excluded", column));
        let changed = Expr::case(is(Column::Label).ne(new(Column::Label)), new(Column::UpdatedAt));
        let known = OnConflict::columns([Column::Issuer, Column::Subject])
            .update_column(Column::Label)
            .value(Column::UpdatedAt, changed.finally(is(Column::UpdatedAt)))
            .to_owned();
        let insert = person::Entity::insert(person_row(&person))
            .on_conflict(known)
            .into_query()
            .returning(Query::returning().all())
            .take();
        // All rows of the result are read, because SQLite commits with the last one.
        let rows = self.database.writer().query_all(&insert).await.map_err(failed)?;
        let stored = rows.first().map(|row| person::Model::from_query_result(row, "")).transpose().map_err(failed)?;
        let nothing = || StorageError::Unavailable("the person was neither stored nor found".into());
        read_person(stored.ok_or_else(nothing)?)
    }

    async fn find(&self, id: UserId) -> Result<Option<Person>, StorageError> {
        let found = person::Entity::find_by_id(id.as_uuid()).one(self.database.reader()).await;
        found.map_err(storage_error(PEOPLE))?.map(read_person).transpose()
    }

    async fn is_enabled(&self, id: UserId) -> Result<bool, StorageError> {
        let enabled = person::Entity::find_by_id(id.as_uuid())
            .select_only()
            .column(Column::Enabled)
            .into_tuple()
            .one(self.database.reader())
            .await;
        Ok(enabled.map_err(storage_error(PEOPLE))?.unwrap_or(false))
    }

    async fn find_by_login(&self, login: &Login) -> Result<Option<Person>, StorageError> {
        let by_login = person::Entity::find().filter(Column::Login.eq(login.as_str()));
        let found = by_login.one(self.database.reader()).await;
        found.map_err(storage_error(PEOPLE))?.map(read_person).transpose()
    }

    async fn list(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Person>, StorageError> {
        let mut page = person::Entity::find().order_by_asc(Column::Id).limit(u64::from(limit));
        if let Some(after) = after {
            page = page.filter(Column::Id.gt(after.as_uuid()));
        }
        let rows = page.all(self.database.reader()).await.map_err(storage_error(PEOPLE))?;
        rows.into_iter().map(read_person).collect()
    }

    async fn set_enabled(&self, id: UserId, enabled: bool, now: Timestamp) -> Result<bool, StorageError> {
        let change = person::ActiveModel {
            enabled: ActiveValue::Set(enabled),
            updated_at: ActiveValue::Set(now.unix_millis()),
            ..Default::default()
        };
        let update = person::Entity::update_many().set(change).filter(Column::Id.eq(id.as_uuid()));
        if enabled {
            let updated = update.exec(self.database.writer()).await.map_err(storage_error(PEOPLE))?;
            return Ok(updated.rows_affected > 0);
        }
        self.begin_version(id, update).await.map_err(storage_error(PEOPLE))
    }

    async fn set_password(&self, id: UserId, password: &SecretHash, now: Timestamp) -> Result<bool, StorageError> {
        self.begin_version(id, password_update(id, password, now)).await.map_err(storage_error(PEOPLE))
    }

    async fn change_password(
        &self,
        id: UserId,
        verified: SignInVersion,
        password: &SecretHash,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let still_verified = Column::SignInVersion.eq(i64::from(verified.get()));
        let update = password_update(id, password, now).filter(still_verified);
        self.begin_version(id, update).await.map_err(storage_error(PEOPLE))
    }

    async fn renew_password_hash(
        &self,
        id: UserId,
        current: &SecretHash,
        renewed: &SecretHash,
    ) -> Result<bool, StorageError> {
        let updated = person::Entity::update_many()
            .set(person::ActiveModel {
                password_hash: ActiveValue::Set(Some(renewed.as_str().to_owned())),
                ..Default::default()
            })
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::PasswordHash.eq(current.as_str()))
            .exec(self.database.writer())
            .await
            .map_err(storage_error(PEOPLE))?;
        Ok(updated.rows_affected > 0)
    }

    async fn delete(&self, id: UserId) -> Result<bool, StorageError> {
        // The sessions are deleted by their foreign key.
        let deleted = person::Entity::delete_by_id(id.as_uuid()).exec(self.database.writer()).await;
        Ok(deleted.map_err(storage_error(PEOPLE))?.rows_affected > 0)
    }
}

fn person_row(person: &Person) -> person::ActiveModel {
    let some = |text: &str| ActiveValue::Set(Some(text.to_owned()));
    let account = match &person.account {
        Account::Local { login, password } => person::ActiveModel {
            kind: ActiveValue::Set(LOCAL.to_owned()),
            login: some(login.as_str()),
            password_hash: some(password.as_str()),
            ..Default::default()
        },
        Account::External { identity, label } => person::ActiveModel {
            kind: ActiveValue::Set(EXTERNAL.to_owned()),
            issuer: some(identity.issuer()),
            subject: some(identity.subject()),
            label: some(label.as_str()),
            ..Default::default()
        },
    };
    person::ActiveModel {
        id: ActiveValue::Set(person.id.as_uuid()),
        enabled: ActiveValue::Set(person.enabled),
        sign_in_version: ActiveValue::Set(i64::from(person.sign_in_version.get())),
        created_at: ActiveValue::Set(person.created_at.unix_millis()),
        updated_at: ActiveValue::Set(person.updated_at.unix_millis()),
        ..account
    }
}

fn read_person(model: person::Model) -> Result<Person, StorageError> {
    let row = Row::new(PEOPLE, model.id);
    let account =
        match (model.kind.as_str(), model.login, model.password_hash, model.issuer, model.subject, model.label) {
            (LOCAL, Some(login), Some(password), None, None, None) => Account::Local {
                login: row.parse_exactly("login", &login)?,
                password: SecretHash::from_stored(password),
            },
            (EXTERNAL, None, None, Some(issuer), Some(subject), Some(label)) => {
                let refused =
                    |error: InvalidValue| row.inconsistent(format!("column {} {}", error.field(), error.problem()));
                Account::External {
                    identity: ExternalIdentity::new(&issuer, &subject).map_err(refused)?,
                    label: AccountLabel::from_stored(&label).map_err(refused)?,
                }
            }
            (LOCAL | EXTERNAL, ..) => {
                let detail = "the columns do not match the kind of the account, or are incomplete";
                return Err(row.inconsistent(detail).into());
            }
            _ => return Err(row.inconsistent("column kind is neither local nor external").into()),
        };
    Ok(Person {
        id: UserId::from_uuid(model.id),
        account,
        enabled: model.enabled,
        sign_in_version: u32::try_from(model.sign_in_version)
            .map(SignInVersion::from_stored)
            .map_err(|_| row.inconsistent("column sign_in_version is not a number from 0 to 4294967295"))?,
        created_at: row.timestamp("created_at", model.created_at)?,
        updated_at: row.timestamp("updated_at", model.updated_at)?,
    })
}
