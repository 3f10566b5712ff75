//! Managing people.

use std::sync::Arc;

use super::model::{Account, Login, Person, SignInVersion};
use super::password::Password;
use super::password_link::{LinkLifetime, LinkPurpose, LinkToken, PasswordLink};
use super::ports::{
    CreatePersonError, PasswordHasher, PasswordLinkStore, PersonAuthorizations, PersonRepository, SessionStore,
};
use crate::applications::{HasherError, SecretHash};
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::UserId;
use crate::system::{Clock, Entropy, StorageError, Timestamp};

/// The ports behind [`PeopleService`].
#[derive(Clone)]
pub struct PeoplePorts {
    /// People.
    pub people: Arc<dyn PersonRepository>,
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Links with which people choose a password.
    pub links: Arc<dyn PasswordLinkStore>,
    /// Hashes passwords.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Authorizations.
    pub authorizations: Arc<dyn PersonAuthorizations>,
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
    /// The person is disabled.
    #[error("this person is disabled; enable the account first")]
    Disabled,
    /// The password could not be hashed.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A link that was just made.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Whose password it sets.
    pub person: Person,
    /// Why it was made.
    pub purpose: LinkPurpose,
    /// What it carries; this is the only time that it is known.
    pub token: LinkToken,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// Why a link did not set a password.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It was never made, was used, has expired, or was replaced: deliberately the same.
    #[error("this link does not work, or no longer")]
    Invalid,
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
        self.create_with(login, password).await
    }

    /// Creates a local account without a password, and a link with which the person chooses one.
    ///
    /// # Errors
    /// [`PeopleError::Exists`], [`PeopleError::Storage`].
    pub async fn invite(&self, login: Login, lifetime: LinkLifetime) -> Result<NewLink, PeopleError> {
        let person = self.create_with(login, self.ports.hasher.decoy()).await?;
        self.make_link(person, LinkPurpose::Invitation, lifetime).await
    }

    /// Makes a link with which a person chooses a new password. Until then the old one works.
    ///
    /// # Errors
    /// [`PeopleError::NotFound`], [`PeopleError::NoPassword`], [`PeopleError::Disabled`], [`PeopleError::Storage`].
    pub async fn make_reset_link(&self, id: UserId, lifetime: LinkLifetime) -> Result<NewLink, PeopleError> {
        let person = self.get(id).await?;
        if let Account::External { .. } = person.account {
            return Err(PeopleError::NoPassword);
        }
        if !person.enabled {
            return Err(PeopleError::Disabled);
        }
        self.make_link(person, LinkPurpose::Reset, lifetime).await
    }

    async fn make_link(
        &self,
        person: Person,
        purpose: LinkPurpose,
        lifetime: LinkLifetime,
    ) -> Result<NewLink, PeopleError> {
        let token = LinkToken::generate(person.id, &*self.ports.entropy);
        let created_at = self.ports.clock.now();
        let link = PasswordLink {
            person: person.id,
            digest: token.digest(),
            purpose,
            sign_in_version: person.sign_in_version,
            created_at,
            expires_at: created_at.plus(lifetime.get()),
        };
        if !self.ports.links.put(&link).await? {
            return Err(PeopleError::NotFound);
        }
        self.record(AuditKind::PasswordLinkCreated, person.id).await;
        Ok(NewLink { person, purpose, token, expires_at: link.expires_at })
    }

    /// The link with this token and its person. To look at it does not use it up.
    ///
    /// # Errors
    /// [`LinkError::Invalid`], [`LinkError::Storage`].
    pub async fn open_link(&self, token: &LinkToken) -> Result<(PasswordLink, Person), LinkError> {
        let link = self.ports.links.find(token.person(), self.ports.clock.now()).await?;
        let link = link.filter(|link| link.digest == token.digest()).ok_or(LinkError::Invalid)?;
        let person = self.ports.people.find(link.person).await?;
        let good = |person: &Person| person.enabled && person.sign_in_version == link.sign_in_version;
        let person = person.filter(good).ok_or(LinkError::Invalid)?;
        Ok((link, person))
    }

    /// Sets the password of the person whose link has this token, as [`change_password`](Self::change_password) does. Of any
    /// number of attempts with a link at the same time, one succeeds. Returns the person as verified by it.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn use_link(&self, token: &LinkToken, password: &Password) -> Result<Person, LinkError> {
        let (link, person) = self.open_link(token).await?;
        let hash = self.ports.hasher.hash(password).await?;
        let now = self.ports.clock.now();
        if !self.ports.people.change_password(person.id, link.sign_in_version, &hash, now).await? {
            return Err(LinkError::Invalid);
        }
        self.ports.authorizations.withdraw_codes(person.id).await?;
        self.record(AuditKind::PasswordChanged, person.id).await;
        // It has ended with its version; if it cannot be deleted now, a sweep does it.
        let _deleted = self.ports.links.delete(&link).await;
        Ok(Person { sign_in_version: link.sign_in_version.next(), updated_at: now, ..person })
    }

    async fn create_with(&self, login: Login, password: SecretHash) -> Result<Person, PeopleError> {
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
        self.end_access(id).await?;
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
        self.end_access(id).await?;
        if !self.ports.people.delete(id).await? {
            return Err(PeopleError::NotFound);
        }
        self.record(AuditKind::PersonDeleted, id).await;
        Ok(())
    }

    /// First the account, so that nothing new begins; then its data.
    async fn end_access(&self, id: UserId) -> Result<(), PeopleError> {
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
