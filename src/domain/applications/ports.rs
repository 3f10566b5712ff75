//! The ports of applications.

use std::sync::Arc;

use async_trait::async_trait;

use super::model::{Application, ApplicationChanges, RegisteredBy};
use super::secret::{ClientSecret, SecretHash, StoredSecret};
use crate::ids::{ApplicationId, ClientId, SecretId};
use crate::system::{BoxError, StorageError, Timestamp};
use crate::validation::InvalidValue;

/// Stores applications. Every method is atomic, for concurrent callers on any number of machines.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait ApplicationRepository: Send + Sync {
    /// Stores a new application with its secrets.
    ///
    /// # Errors
    /// [`CreateApplicationError::Exists`] if the ID or the client ID is taken; nothing is changed in that case.
    async fn create(&self, application: &Application) -> Result<(), CreateApplicationError>;

    /// The current state of the application with that ID.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find(&self, id: ApplicationId) -> Result<Option<Arc<Application>>, StorageError>;

    /// The application with that client ID. An adapter may answer from a cache that is at most one second old and reflects all
    /// changes made through it.
    ///
    /// # Errors
    /// [`StorageError`]. An unavailable database is never reported as `None`.
    async fn find_by_client_id(&self, client_id: &ClientId) -> Result<Option<Arc<Application>>, StorageError>;

    /// At most `limit` applications ordered by ID, starting after `after`.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(&self, after: Option<ApplicationId>, limit: u32) -> Result<Vec<Arc<Application>>, StorageError>;

    /// The number of applications that were registered by the same kind of originator.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn count_registered_by(&self, by: RegisteredBy) -> Result<u64, StorageError>;

    /// Applies `changes` and returns the updated application. Concurrent changes of different members are all kept, unless
    /// together they would make it inconsistent.
    ///
    /// # Errors
    /// [`ChangeApplicationError::NotFound`] if there is no such application, [`ChangeApplicationError::Inconsistent`] if the
    /// updated one would not pass [`Application::check_consistency`]; nothing is changed in that case.
    async fn update(
        &self,
        id: ApplicationId,
        changes: &ApplicationChanges,
        now: Timestamp,
    ) -> Result<Arc<Application>, ChangeApplicationError>;

    /// Deletes the application and its secrets; its memories are kept. Returns whether it existed.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn delete(&self, id: ApplicationId) -> Result<bool, StorageError>;

    /// Adds a secret, unless there are [`Application::MAX_SECRETS`] already, even with concurrent callers.
    ///
    /// # Errors
    /// [`ChangeApplicationError::NotFound`] if there is no such application, [`ChangeApplicationError::TooManySecrets`].
    async fn add_secret(
        &self,
        id: ApplicationId,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Result<(), ChangeApplicationError>;

    /// Replaces all secrets by this one. Concurrent callers are serialized, and the secret of the last one is left. Returns how
    /// many were replaced.
    ///
    /// # Errors
    /// [`ChangeApplicationError::NotFound`] if there is no such application.
    async fn replace_secrets(
        &self,
        id: ApplicationId,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Result<usize, ChangeApplicationError>;

    /// Removes a secret. Returns whether it existed.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn remove_secret(&self, id: ApplicationId, secret: SecretId, now: Timestamp) -> Result<bool, StorageError>;

    /// Revokes every token of the application issued up to `at`; an earlier time never replaces a later one. An unknown
    /// application is ignored.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn revoke_tokens(&self, id: ApplicationId, at: Timestamp) -> Result<(), StorageError>;

    /// Records that a secret was verified at `at`; an earlier time never replaces a later one. An unknown secret is ignored. If
    /// it cannot be written, because the disk is full for example, the adapter logs it: the secret is valid nevertheless.
    async fn record_secret_use(&self, id: ApplicationId, secret: SecretId, at: Timestamp);

    /// Replaces the hash of a secret by another hash of the same secret, if it is still the one of `stored`. Nothing else
    /// of the application changes. It is not an error if the secret does not exist any more, or if the hash cannot be written,
    /// which the adapter logs.
    async fn renew_secret_hash(&self, id: ApplicationId, stored: &StoredSecret, renewed: &SecretHash);
}

/// Why an application was not stored.
#[derive(Debug, thiserror::Error)]
pub enum CreateApplicationError {
    /// The ID or the client ID is taken.
    #[error("an application with this id exists already")]
    Exists,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why an application was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeApplicationError {
    /// There is no such application.
    #[error("there is no such application")]
    NotFound,
    /// It has the maximum number of secrets.
    #[error("the application has {} secrets already; remove one first", Application::MAX_SECRETS)]
    TooManySecrets,
    /// The members would be inconsistent.
    #[error(transparent)]
    Inconsistent(#[from] InvalidValue),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Hashes secrets with a deliberately slow algorithm, and verifies them.
#[async_trait]
pub trait SecretHasher: Send + Sync {
    /// Hashes a new secret.
    ///
    /// # Errors
    /// [`HasherError`].
    async fn hash(&self, secret: &ClientSecret) -> Result<SecretHash, HasherError>;

    /// Whether `hash` is a hash of `secret`. A mismatch takes equally long for every `hash`, including the decoy and those of
    /// another cost. Verifications against the decoy do not block others.
    ///
    /// # Errors
    /// [`HasherError`].
    async fn verify(&self, secret: &ClientSecret, hash: &SecretHash) -> Result<bool, HasherError>;

    /// Whether this pair was verified successfully before and is still cached, so that hashing can be skipped. Each use extends
    /// its time in the cache. Never true for a pair that [`verify`](Self::verify) would reject.
    fn has_verified(&self, secret: &ClientSecret, hash: &SecretHash) -> bool;

    /// Whether `hash` has an outdated cost and should be replaced when its secret is available.
    fn is_outdated(&self, hash: &SecretHash) -> bool;

    /// A hash that matches no secret, and takes as long to verify as a real one.
    fn decoy(&self) -> SecretHash;
}

/// Why a secret could not be hashed or verified.
#[derive(Debug, thiserror::Error)]
pub enum HasherError {
    /// Too many verifications are queued. A retry may succeed later.
    #[error("too many secrets wait to be verified")]
    Overloaded,
    /// The hasher failed, for example because a stored hash is malformed.
    #[error("the secret could not be hashed")]
    Failed(#[source] BoxError),
}

impl From<Arc<HasherError>> for HasherError {
    /// The result of work that several callers share.
    fn from(shared: Arc<Self>) -> Self {
        match &*shared {
            Self::Overloaded => Self::Overloaded,
            Self::Failed(_) => Self::Failed(shared.into()),
        }
    }
}
