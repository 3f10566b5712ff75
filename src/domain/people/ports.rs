//! The ports of people.

use async_trait::async_trait;
use std::net::IpAddr;
use url::Url;

use super::model::{ExternalUser, Login, Person, ProvenIdentity, SignInVersion};
use super::passkey::{CredentialId, Passkey, PasskeyChallenge, SpentChallenge, StoredCredential};
use super::password::Password;
use super::password_link::PasswordLink;
use super::session::{Session, SessionId, SignInAttempt};
use crate::applications::{HasherError, SecretHash};
use crate::ids::{PasskeyId, UserId};
use crate::system::{BoxError, StorageError, Timestamp};

/// Stores people. Every method is atomic, for concurrent callers on any number of machines.
#[async_trait]
pub trait PersonRepository: Send + Sync {
    /// Stores a new person.
    ///
    /// # Errors
    /// [`CreatePersonError::Exists`] if the ID, the login or the external identity is taken; nothing is changed in that case.
    async fn create(&self, person: &Person) -> Result<(), CreatePersonError>;

    /// The person with the external identity of `external_user`, who is created, enabled, if there is none yet. All of any
    /// number of concurrent callers get the same person. The label of an existing person is updated.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find_or_create(&self, external_user: &ExternalUser) -> Result<Person, StorageError>;

    /// The current state of the person with that ID.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find(&self, id: UserId) -> Result<Option<Person>, StorageError>;

    /// The person who signs in with that login.
    ///
    /// # Errors
    /// [`StorageError`]. An unavailable database is never reported as `None`.
    async fn find_by_login(&self, login: &Login) -> Result<Option<Person>, StorageError>;

    /// At most `limit` people ordered by ID, starting after `after`.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Person>, StorageError>;

    /// Whether the person with that ID exists and is enabled. An adapter may answer from a cache that is at most one second
    /// old and reflects all changes made through it.
    ///
    /// # Errors
    /// [`StorageError`]. A database that is unavailable is never reported as `false`.
    async fn is_enabled(&self, id: UserId) -> Result<bool, StorageError>;

    /// Enables or disables a person. Disabling ends every session and starts a new [`SignInVersion`]. Returns whether the
    /// person exists.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn set_enabled(&self, id: UserId, enabled: bool, now: Timestamp) -> Result<bool, StorageError>;

    /// Replaces the password of a local account, ends every session and starts a new [`SignInVersion`]. Returns whether
    /// there is such an account.
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
    /// person changes. Returns whether it was replaced.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn renew_password_hash(
        &self,
        id: UserId,
        current: &SecretHash,
        renewed: &SecretHash,
    ) -> Result<bool, StorageError>;

    /// Deletes a person with all sessions. Returns whether the person existed.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn delete(&self, id: UserId) -> Result<bool, StorageError>;
}

/// Why a person was not stored.
#[derive(Debug, thiserror::Error)]
pub enum CreatePersonError {
    /// The ID, the login or the external identity is taken.
    #[error("a person with this login exists already")]
    Exists,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Stores browser sessions, by the digest of their tokens.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Stores a new session if its person exists, is enabled, and still has the version that was `verified`. A concurrent
    /// change of that either prevents the session, or ends it. A person has at most [`Session::MAX_PER_PERSON`] sessions: the
    /// oldest are deleted. Returns whether it was stored.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn create(&self, session: &Session, verified: SignInVersion) -> Result<bool, StorageError>;

    /// The session with that ID, if it is valid at `now`.
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

    /// Deletes at most `limit` sessions that expired before `now`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

/// Stores the links with which people choose a password, one a person.
#[async_trait]
pub trait PasswordLinkStore: Send + Sync {
    /// Stores a link in the place of the one that its person has. Returns whether there is such a person.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn put(&self, link: &PasswordLink) -> Result<bool, StorageError>;

    /// The link of a person, if it works at `now`.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find(&self, person: UserId, now: Timestamp) -> Result<Option<PasswordLink>, StorageError>;

    /// Deletes a link, unless another one has taken its place. Returns whether there was one.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn delete(&self, link: &PasswordLink) -> Result<bool, StorageError>;

    /// Deletes at most `limit` links that expired before `now`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

/// What a person has authorized applications to do, as far as managing people ends it.
#[async_trait]
pub trait PersonAuthorizations: Send + Sync {
    /// Revokes all authorizations of a person: their tokens become invalid at once, and pending codes can no longer be
    /// exchanged. Returns whether there was any.
    ///
    /// # Errors
    /// [`StorageError`]. The call can be repeated.
    async fn disconnect_all(&self, person: UserId) -> Result<bool, StorageError>;

    /// Revokes the codes of a person that were not exchanged yet.
    ///
    /// # Errors
    /// As [`disconnect_all`](Self::disconnect_all).
    async fn withdraw_codes(&self, person: UserId) -> Result<bool, StorageError>;
}

/// Stores passkeys, and which challenges were used. Every method is atomic, for concurrent callers on any number of machines.
#[async_trait]
pub trait PasskeyRepository: Send + Sync {
    /// Stores a new passkey. A person never has more than [`Passkey::MAX_PER_PERSON`].
    ///
    /// # Errors
    /// [`AddPasskeyError::TooMany`] if its person has as many as there can be, or does not exist, and
    /// [`AddPasskeyError::Exists`] if the ID or the credential ID is taken; nothing is changed in either case.
    async fn add(&self, passkey: &Passkey) -> Result<(), AddPasskeyError>;

    /// The passkey with that credential ID.
    ///
    /// # Errors
    /// [`StorageError`]. An unavailable database is never reported as `None`.
    async fn find(&self, credential_id: &CredentialId) -> Result<Option<Passkey>, StorageError>;

    /// The passkeys of a person, the oldest first.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list_by_person(&self, person: UserId) -> Result<Vec<Passkey>, StorageError>;

    /// Records that `used` signed its person in at `now`, and replaces its credential by `renewed`. Returns `false`, and changes
    /// nothing, if the passkey was removed or has another credential by now.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn record_use(
        &self,
        used: &Passkey,
        renewed: &StoredCredential,
        now: Timestamp,
    ) -> Result<bool, StorageError>;

    /// Removes a passkey of a person. Returns whether there was one.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn remove(&self, person: UserId, id: PasskeyId) -> Result<bool, StorageError>;

    /// Records that a challenge was used. Of any number of callers with one challenge, exactly one gets `true`.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn spend(&self, challenge: &SpentChallenge) -> Result<bool, StorageError>;

    /// Deletes at most `limit` used challenges that expired before `now`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

/// Why a passkey was not stored.
#[derive(Debug, thiserror::Error)]
pub enum AddPasskeyError {
    /// The ID or the credential ID is taken.
    #[error("this passkey exists already")]
    Exists,
    /// Its person has as many as there can be, or does not exist.
    #[error("no more passkeys can be stored for this person")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Verifies the responses of browsers to Web Authentication, for one origin. User verification is always required.
pub trait PasskeyVerifier: Send + Sync {
    /// The options with which a browser creates a discoverable credential of `person`, as JSON: an object whose `publicKey` has
    /// binary members in URL-safe Base64. Authenticators with one of the `known` credentials refuse.
    ///
    /// # Errors
    /// [`PasskeyVerifierError::Failed`].
    fn creation_options(
        &self,
        person: &Person,
        known: &[CredentialId],
        challenge: &PasskeyChallenge,
    ) -> Result<String, PasskeyVerifierError>;

    /// The options with which a browser asks for any credential, in the same form.
    ///
    /// # Errors
    /// [`PasskeyVerifierError::Failed`].
    fn request_options(&self, challenge: &PasskeyChallenge) -> Result<String, PasskeyVerifierError>;

    /// What a response says of itself, of which nothing is verified; `None` if it cannot be read.
    fn claim(&self, response: &str) -> Option<PasskeyClaim>;

    /// Verifies that `response` creates a credential for this challenge and origin, with the user verified.
    ///
    /// # Errors
    /// [`PasskeyVerifierError`].
    fn register(
        &self,
        response: &str,
        person: &Person,
        known: &[CredentialId],
        challenge: &PasskeyChallenge,
    ) -> Result<NewCredential, PasskeyVerifierError>;

    /// Verifies that `response` is signed by this passkey for this challenge and origin, with the user verified, and with a
    /// counter that has gone up, if there is one. Returns the credential with its new counter.
    ///
    /// # Errors
    /// [`PasskeyVerifierError`].
    fn authenticate(
        &self,
        response: &str,
        challenge: &PasskeyChallenge,
        passkey: &Passkey,
    ) -> Result<StoredCredential, PasskeyVerifierError>;
}

/// What a browser's response says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyClaim {
    /// The challenge that it answers.
    pub challenge: Vec<u8>,
    /// The ID of its credential.
    pub credential_id: CredentialId,
    /// Whose credential it is, if it signs somebody in.
    pub person: Option<UserId>,
}

/// A verified new credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCredential {
    /// Its ID.
    pub id: CredentialId,
    /// What is stored of it.
    pub credential: StoredCredential,
}

/// Why a response was not verified.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyVerifierError {
    /// It is not what it must be.
    #[error("the response of the browser was refused")]
    Refused(#[source] BoxError),
    /// It could not be verified.
    #[error("the response of the browser could not be verified")]
    Failed(#[source] BoxError),
}

/// Hashes passwords with a deliberately slow algorithm, and verifies them. All characters of a password are significant.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Hashes a new password.
    ///
    /// # Errors
    /// [`HasherError`].
    async fn hash(&self, password: &Password) -> Result<SecretHash, HasherError>;

    /// Whether `hash` is a hash of `password`. A mismatch takes equally long for every `hash`, including the decoy and those of
    /// another cost. Callers from different addresses take turns, so that one of them cannot hold up the others.
    ///
    /// # Errors
    /// [`HasherError`].
    async fn verify(&self, password: &Password, hash: &SecretHash, caller: IpAddr) -> Result<bool, HasherError>;

    /// Whether `hash` has an outdated cost and should be replaced when its password is available.
    fn is_outdated(&self, hash: &SecretHash) -> bool;

    /// A hash that matches no password, and takes as long to verify as a real one.
    fn decoy(&self) -> SecretHash;
}

/// An OpenID Connect provider. Both methods derive `state`, `nonce` and the code verifier from the same attempt.
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// Its name on the sign-in button.
    fn name(&self) -> &str;

    /// The URL that a browser is redirected to for signing in.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] if the provider's metadata is not cached and it is unavailable, and
    /// [`IdentityError::Rejected`] if its metadata cannot be trusted.
    async fn authorization_url(&self, attempt: &SignInAttempt) -> Result<Url, IdentityError>;

    /// Exchanges `code` for the verified identity. The provider's signature, issuer, audience, expiry and nonce have been
    /// verified.
    ///
    /// # Errors
    /// [`IdentityError`].
    async fn identify(&self, attempt: &SignInAttempt, code: &str) -> Result<ProvenIdentity, IdentityError>;
}

/// Why an identity provider failed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It is unreachable, or fails. A retry may succeed.
    #[error("the identity provider did not respond")]
    Unavailable(#[source] BoxError),
    /// It rejected the code, or its response cannot be trusted.
    #[error("the identity provider did not confirm who this is")]
    Rejected(#[source] BoxError),
}
