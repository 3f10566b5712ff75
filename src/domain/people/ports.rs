//! The ports that people need.

use async_trait::async_trait;
use url::Url;

use super::model::{ExternalUser, Login, Person, ProvenIdentity, SignInVersion};
use super::password::Password;
use super::session::{Session, SessionId, SignInAttempt};
use crate::applications::{HasherError, SecretHash};
use crate::ids::UserId;
use crate::system::{BoxError, StorageError, Timestamp};

/// Stores people. Every method is one whole intention: it happens entirely or not at all, and concurrent callers, on any
/// number of machines, see it so.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait PersonRepository: Send + Sync {
    /// Stores a new person.
    ///
    /// # Errors
    /// [`CreatePersonError::Exists`] if the id, the login or the external identity is taken; nothing is changed then.
    async fn create(&self, person: &Person) -> Result<(), CreatePersonError>;

    /// The person with the external identity of `external_user`, who is stored, enabled, if there is none yet. Of any number of
    /// concurrent callers all get the same person. The label of somebody who was there is brought up to date.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find_or_create(&self, external_user: &ExternalUser) -> Result<Person, StorageError>;

    /// The person of that id, as it is now.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find(&self, id: UserId) -> Result<Option<Person>, StorageError>;

    /// The person who signs in with that login.
    ///
    /// # Errors
    /// [`StorageError`]. A database that is away is never reported as `None`.
    async fn find_by_login(&self, login: &Login) -> Result<Option<Person>, StorageError>;

    /// At most `limit` people in the order of their ids, from the one after `after`.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Person>, StorageError>;

    /// Whether the person of that id is there and enabled. An adapter may answer from a cache that is at most one second
    /// old, in which it misses nothing that it has changed itself.
    ///
    /// # Errors
    /// [`StorageError`]. A database that is unavailable is never reported as `false`.
    async fn is_enabled(&self, id: UserId) -> Result<bool, StorageError>;

    /// Enables or disables a person. Disabling ends every session and begins a new [`SignInVersion`]. Returns whether there
    /// is such a person.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn set_enabled(&self, id: UserId, enabled: bool, now: Timestamp) -> Result<bool, StorageError>;

    /// Replaces the password of a local account, ends every session and begins a new [`SignInVersion`]. Returns whether
    /// there is such a person with such an account.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn set_password(&self, id: UserId, password: &SecretHash, now: Timestamp) -> Result<bool, StorageError>;

    /// As [`set_password`](Self::set_password), if the person still has the version under which the old password was
    /// `verified`: of two changes at the same time one succeeds. Returns whether it was changed.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn change_password(
        &self,
        id: UserId,
        verified: SignInVersion,
        password: &SecretHash,
        now: Timestamp,
    ) -> Result<bool, StorageError>;

    /// Replaces the hash of a password by another hash of the same password, if it is still `current`. Nothing else of the
    /// person changes. Returns whether it was.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn renew_password_hash(
        &self,
        id: UserId,
        current: &SecretHash,
        renewed: &SecretHash,
    ) -> Result<bool, StorageError>;

    /// Deletes a person with all sessions. Returns whether there was one.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn delete(&self, id: UserId) -> Result<bool, StorageError>;
}

/// Why a person was not stored.
#[derive(Debug, thiserror::Error)]
pub enum CreatePersonError {
    /// The id, the login or the external identity is taken.
    #[error("a person with this login exists already")]
    Exists,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Stores sessions of browsers, by the digest of their tokens.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Stores a new session if its person is there, is enabled, and still has the version under which the proof was
    /// `verified`; of what changes that at the same time it sees either nothing, and is ended by it, or everything. A person
    /// has at most [`Session::MAX_PER_PERSON`] sessions: the oldest make room. Returns whether it was stored.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn create(&self, session: &Session, verified: SignInVersion) -> Result<bool, StorageError>;

    /// The session of that id, if it is good at `now`.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find(&self, id: &SessionId, now: Timestamp) -> Result<Option<Session>, StorageError>;

    /// The sessions of a person that are good at `now`, the newest first.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list_by_person(&self, person: UserId, now: Timestamp) -> Result<Vec<Session>, StorageError>;

    /// Ends a session at once, for every instance. Returns whether there was one.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn delete(&self, id: &SessionId) -> Result<bool, StorageError>;

    /// Ends every session of a person at once. Returns how many there were.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn delete_by_person(&self, person: UserId) -> Result<u64, StorageError>;

    /// Forgets at most `limit` sessions that expired before `now`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

/// Hashes passwords slowly on purpose, and verifies them. Every character of a password counts, however long it is.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Hashes a new password.
    ///
    /// # Errors
    /// [`HasherError`].
    async fn hash(&self, password: &Password) -> Result<SecretHash, HasherError>;

    /// Whether `password` is the one that `hash` was made of. A wrong password takes as long whatever `hash` is, the decoy
    /// or one that was made at another cost.
    ///
    /// # Errors
    /// [`HasherError`].
    async fn verify(&self, password: &Password, hash: &SecretHash) -> Result<bool, HasherError>;

    /// Whether `hash` was made at another cost than new ones are, and is to be replaced when its password is at hand.
    fn is_outdated(&self, hash: &SecretHash) -> bool;

    /// A hash that no password has, and that takes as long to verify as a real one.
    fn decoy(&self) -> SecretHash;
}

/// An OpenID Connect provider with which people sign in. Both methods derive `state`, `nonce` and the code verifier from
/// the same attempt.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// What people call it, on the button.
    fn name(&self) -> &str;

    /// Where a browser is sent to sign in.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] if the provider was never reached yet and cannot be reached now, and
    /// [`IdentityError::Rejected`] if what it says of itself cannot be trusted.
    async fn authorization_url(&self, attempt: &SignInAttempt) -> Result<Url, IdentityError>;

    /// Who it was that came back with `code`. The provider's signature, issuer, audience, expiry and nonce have been
    /// verified.
    ///
    /// # Errors
    /// [`IdentityError`].
    async fn identify(&self, attempt: &SignInAttempt, code: &str) -> Result<ProvenIdentity, IdentityError>;
}

/// Why an identity provider told nothing.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It cannot be reached, or does not work. The same may succeed later.
    #[error("the identity provider did not answer")]
    Unavailable(#[source] BoxError),
    /// It refused the code, or what it said cannot be trusted.
    #[error("the identity provider did not confirm who this is")]
    Rejected(#[source] BoxError),
}
