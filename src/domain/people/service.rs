//! Managing people.

use std::sync::Arc;

use super::model::{Account, Login, Person, SignInVersion};
use super::password::Password;
use super::ports::{CreatePersonError, PasswordHasher, PersonRepository, SessionStore};
use crate::applications::HasherError;
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::UserId;
use crate::oauth::AuthorizationService;
use crate::system::{Clock, Entropy, StorageError};

/// The ports behind [`PeopleService`].
#[derive(Clone)]
pub struct PeoplePorts {
    /// People.
    pub people: Arc<dyn PersonRepository>,
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Hashes passwords.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Authorizations.
    pub authorizations: AuthorizationService,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Manages people.
#[derive(Clone)]
pub struct PeopleService {
    ports: PeoplePorts,
}

/// Why managing people failed.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// There is no such person.
    #[error("there is no such person")]
    NotFound,
    /// The login is taken.
    #[error("a person with this login exists already")]
    Exists,
    /// The person signs in with the identity provider.
    #[error("this person signs in with the identity provider and has no password here")]
    NoPassword,
    /// The password could not be hashed.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl PeopleService {
    /// Assembles the service.
    #[must_use]
    pub fn new(ports: PeoplePorts) -> Self {
        Self { ports }
    }

    /// Creates a local account.
    ///
    /// # Errors
    /// [`PeopleError::Exists`], [`PeopleError::Hasher`], [`PeopleError::Storage`].
    pub async fn create(&self, login: Login, password: &Password) -> Result<Person, PeopleError> {
        let password = self.ports.hasher.hash(password).await?;
        let now = self.ports.clock.now();
        let person = Person {
            id: UserId::generate(&*self.ports.entropy),
            account: Account::Local { login, password },
            enabled: true,
            sign_in_version: SignInVersion::default(),
            created_at: now,
            updated_at: now,
        };
        match self.ports.people.create(&person).await {
            Ok(()) => {}
            Err(CreatePersonError::Exists) => return Err(PeopleError::Exists),
            Err(CreatePersonError::Storage(error)) => return Err(error.into()),
        }
        self.record(AuditKind::PersonCreated, person.id).await;
        Ok(person)
    }

    /// The person of that id.
    ///
    /// # Errors
    /// [`PeopleError::NotFound`], [`PeopleError::Storage`].
    pub async fn get(&self, id: UserId) -> Result<Person, PeopleError> {
        self.ports.people.find(id).await?.ok_or(PeopleError::NotFound)
    }

    /// The person who signs in with that login.
    ///
    /// # Errors
    /// [`PeopleError::NotFound`], [`PeopleError::Storage`].
    pub async fn get_by_login(&self, login: &Login) -> Result<Person, PeopleError> {
        self.ports.people.find_by_login(login).await?.ok_or(PeopleError::NotFound)
    }

    /// At most `limit` people, starting after `after`.
    ///
    /// # Errors
    /// [`PeopleError::Storage`].
    pub async fn list(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Person>, PeopleError> {
        Ok(self.ports.people.list(after, limit).await?)
    }

    /// Enables a person. Applications that were connected before have to be connected again.
    ///
    /// # Errors
    /// [`PeopleError::NotFound`], [`PeopleError::Storage`].
    pub async fn enable(&self, id: UserId) -> Result<Person, PeopleError> {
        self.set_enabled(id, true).await?;
        self.record(AuditKind::PersonEnabled, id).await;
        self.get(id).await
    }

    /// Disables a person: every session ends, and all authorizations are revoked.
    ///
    /// # Errors
    /// [`PeopleError::NotFound`], [`PeopleError::Storage`]. The call can be repeated.
    pub async fn disable(&self, id: UserId) -> Result<Person, PeopleError> {
        self.shut_out(id).await?;
        self.record(AuditKind::PersonDisabled, id).await;
        self.get(id).await
    }

    /// Replaces a password, and ends every session. Connected applications stay connected; codes that were not exchanged
    /// yet become invalid.
    ///
    /// # Errors
    /// [`PeopleError::NotFound`], [`PeopleError::NoPassword`], [`PeopleError::Hasher`], [`PeopleError::Storage`].
    pub async fn set_password(&self, id: UserId, password: &Password) -> Result<(), PeopleError> {
        if let Account::External { .. } = self.get(id).await?.account {
            return Err(PeopleError::NoPassword);
        }
        let hash = self.ports.hasher.hash(password).await?;
        if !self.ports.people.set_password(id, &hash, self.ports.clock.now()).await? {
            return Err(PeopleError::NotFound);
        }
        self.ports.authorizations.withdraw_codes(id).await?;
        self.record(AuditKind::PasswordChanged, id).await;
        Ok(())
    }

    /// Replaces the password of a person whose current one was just confirmed, unless the account has changed since. Ends
    /// every session, as [`set_password`](Self::set_password) does.
    ///
    /// # Errors
    /// [`PeopleError::NotFound`] if the account has changed or is gone; [`PeopleError::Hasher`], [`PeopleError::Storage`].
    pub async fn change_password(&self, confirmed: &Person, password: &Password) -> Result<(), PeopleError> {
        let hash = self.ports.hasher.hash(password).await?;
        let (id, version, now) = (confirmed.id, confirmed.sign_in_version, self.ports.clock.now());
        if !self.ports.people.change_password(id, version, &hash, now).await? {
            return Err(PeopleError::NotFound);
        }
        self.ports.authorizations.withdraw_codes(id).await?;
        self.record(AuditKind::PasswordChanged, id).await;
        Ok(())
    }

    /// Deletes an account, after everything that [`disable`](Self::disable) does.
    ///
    /// # Errors
    /// [`PeopleError::NotFound`], [`PeopleError::Storage`]. The call can be repeated.
    pub async fn delete(&self, id: UserId) -> Result<(), PeopleError> {
        self.shut_out(id).await?;
        if !self.ports.people.delete(id).await? {
            return Err(PeopleError::NotFound);
        }
        self.record(AuditKind::PersonDeleted, id).await;
        Ok(())
    }

    /// First the account, so that nothing new begins; then its data.
    async fn shut_out(&self, id: UserId) -> Result<(), PeopleError> {
        self.set_enabled(id, false).await?;
        self.ports.authorizations.disconnect_all(id).await?;
        Ok(())
    }

    async fn set_enabled(&self, id: UserId, enabled: bool) -> Result<(), PeopleError> {
        let found = self.ports.people.set_enabled(id, enabled, self.ports.clock.now()).await?;
        if found { Ok(()) } else { Err(PeopleError::NotFound) }
    }

    async fn record(&self, kind: AuditKind, id: UserId) {
        self.ports.audit.record(&AuditEvent::new(kind, self.ports.clock.now()).person(id)).await;
    }
}

#[cfg(test)]
mod tests;
