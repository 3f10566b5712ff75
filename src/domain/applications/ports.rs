//! The ports that applications need.

use std::sync::Arc;

use async_trait::async_trait;

use super::model::{Application, ApplicationChanges};
use super::secret::{ClientSecret, SecretHash, StoredSecret};
use crate::ids::{ApplicationId, ClientId, SecretId};
use crate::system::{BoxError, StorageError, Timestamp};

/// Stores applications. Every method is one whole intention: it happens entirely or not at all, and concurrent callers,
/// on any number of machines, see it so.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait ApplicationRepository: Send + Sync {
    /// Stores a new application with its secrets.
    ///
    /// # Errors
    /// [`CreateApplicationError::Exists`] if the id or the client id is taken; nothing is changed then.
    async fn create(&self, application: &Application) -> Result<(), CreateApplicationError>;

    /// The application of that id, as it is now.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find(&self, id: ApplicationId) -> Result<Option<Arc<Application>>, StorageError>;

    /// The application of that client id. An adapter may answer from a memory of at most one second,
    /// in which it misses nothing that it has changed itself.
    ///
    /// # Errors
    /// [`StorageError`]. A database that is away is never reported as `None`.
    async fn find_by_client_id(&self, client_id: &ClientId) -> Result<Option<Arc<Application>>, StorageError>;

    /// At most `limit` applications in the order of their ids, from the one after `after`.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(&self, after: Option<ApplicationId>, limit: u32) -> Result<Vec<Arc<Application>>, StorageError>;

    /// Applies `changes` and returns the application as it is then. Concurrent changes of different members are all kept.
    ///
    /// # Errors
    /// [`ChangeApplicationError::NotFound`] if there is no such application.
    async fn update(
        &self,
        id: ApplicationId,
        changes: &ApplicationChanges,
        now: Timestamp,
    ) -> Result<Arc<Application>, ChangeApplicationError>;

    /// Deletes the application and its secrets; its memories stay. Returns whether there was one.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn delete(&self, id: ApplicationId) -> Result<bool, StorageError>;

    /// Adds a secret, unless there are [`Application::MAX_SECRETS`] already: of concurrent callers no more succeed than
    /// there is room for.
    ///
    /// # Errors
    /// [`ChangeApplicationError::NotFound`] if there is no such application, [`ChangeApplicationError::TooManySecrets`].
    async fn add_secret(
        &self,
        id: ApplicationId,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Result<(), ChangeApplicationError>;

    /// Replaces all secrets, however many there are, by this one. Of concurrent callers one after the other does, and the
    /// secret of the last one is left. Returns how many were replaced.
    ///
    /// # Errors
    /// [`ChangeApplicationError::NotFound`] if there is no such application.
    async fn replace_secrets(
        &self,
        id: ApplicationId,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Result<usize, ChangeApplicationError>;

    /// Removes a secret. Returns whether there was one.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn remove_secret(&self, id: ApplicationId, secret: SecretId, now: Timestamp) -> Result<bool, StorageError>;

    /// Ends every token of the application that was issued up to `at`; an earlier moment never replaces a later one. An unknown
    /// application is passed over.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn revoke_tokens(&self, id: ApplicationId, at: Timestamp) -> Result<(), StorageError>;

    /// Notes that a secret was verified at `at`; an earlier moment never replaces a later one. An unknown secret is
    /// passed over. A note that cannot be written, on a full disk for one, is the adapter's to report: the secret is
    /// right all the same.
    async fn record_secret_use(&self, id: ApplicationId, secret: SecretId, at: Timestamp);

    /// Replaces the hash of a secret by another hash of the same secret, if it is still the one of `stored`. Nothing else
    /// of the application changes. That there is no such secret any more, or that the hash cannot be written, is no error:
    /// the adapter reports the latter.
    async fn renew_secret_hash(&self, id: ApplicationId, stored: &StoredSecret, renewed: &SecretHash);
}

/// Why an application was not stored.
#[derive(Debug, thiserror::Error)]
pub enum CreateApplicationError {
    /// The id or the client id is taken.
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
    /// It has as many secrets as it may have.
    #[error("the application has {} secrets already; remove one first", Application::MAX_SECRETS)]
    TooManySecrets,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Hashes secrets slowly on purpose, and verifies them.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait SecretHasher: Send + Sync {
    /// Hashes a new secret.
    ///
    /// # Errors
    /// [`HasherError`].
    async fn hash(&self, secret: &ClientSecret) -> Result<SecretHash, HasherError>;

    /// Whether `secret` is the one that `hash` was made of. A wrong secret takes as long whatever `hash` is, the decoy or
    /// one that was made at another cost. Verifications of the decoy do not keep others from being carried out.
    ///
    /// # Errors
    /// [`HasherError`].
    async fn verify(&self, secret: &ClientSecret, hash: &SecretHash) -> Result<bool, HasherError>;

    /// Whether this very pair was verified with success before and is still cached, so that it need not be hashed again.
    /// A pair that is asked for stays cached longer.
    /// Never true for a pair that [`verify`](Self::verify) would refuse.
    fn remembers(&self, secret: &ClientSecret, hash: &SecretHash) -> bool;

    /// Whether `hash` was made at another cost than new ones are, and is to be replaced when its secret is at hand.
    fn is_outdated(&self, hash: &SecretHash) -> bool;

    /// A hash that no secret has, and that takes as long to verify as a real one.
    fn decoy(&self) -> SecretHash;
}

/// Why a secret could be neither hashed nor verified.
#[derive(Debug, thiserror::Error)]
pub enum HasherError {
    /// Too many verifications wait already. The caller may come back later.
    #[error("too many secrets wait to be verified")]
    Overloaded,
    /// The hasher failed, for example because a stored hash is not one.
    #[error("the secret could not be hashed")]
    Failed(#[source] BoxError),
}

impl From<Arc<HasherError>> for HasherError {
    /// The outcome of work that several callers share.
    fn from(shared: Arc<Self>) -> Self {
        match &*shared {
            Self::Overloaded => Self::Overloaded,
            Self::Failed(_) => Self::Failed(shared.into()),
        }
    }
}
