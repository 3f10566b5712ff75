//! The ports that keys need.

use async_trait::async_trait;

use super::model::{KeyId, MasterKey, NewSigningKey, SealedKey, SigningKey};
use crate::system::{BoxError, StorageError, Timestamp};

/// Stores signing keys.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// Every key, in the order of purpose and generation.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(&self) -> Result<Vec<SigningKey>, StorageError>;

    /// Adds a key, unless there is one of its purpose and generation: of concurrent callers exactly one succeeds. Returns
    /// whether it was added.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn add(&self, key: &SigningKey) -> Result<bool, StorageError>;

    /// Takes a key out of use. Returns whether there is one that was in use.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn retire(&self, id: &KeyId, at: Timestamp) -> Result<bool, StorageError>;

    /// Replaces the sealed form of all these keys, or of none: it fails if one is not as it is given first.
    /// Returns whether they were replaced.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn rewrap(&self, keys: &[(SigningKey, SealedKey)]) -> Result<bool, StorageError>;

    /// Deletes a key.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn delete(&self, id: &KeyId) -> Result<(), StorageError>;
}

/// Makes keys and keeps them secret. The master key never leaves it.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait KeyVault: Send + Sync {
    /// Makes a key and seals it together with what `new` says, none of which can be changed afterwards without the key being
    /// refused. The id is derived from the key or random, and new. Other tasks go on meanwhile: an RSA key takes a second or
    /// more.
    ///
    /// # Errors
    /// [`VaultError::Failed`].
    async fn generate(&self, new: &NewSigningKey) -> Result<SigningKey, VaultError>;

    /// Seals a key anew, for `new_master`, as [`generate`](Self::generate) does.
    ///
    /// # Errors
    /// [`VaultError`].
    fn reseal(&self, key: &SigningKey, new_master: &MasterKey) -> Result<SealedKey, VaultError>;
}

/// Why a vault could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The master key is not the one with which the key was sealed, or the row was tampered with.
    #[error(
        "the signing key {0} cannot be opened with this master key; if the one that it was encrypted with is lost, see \
         \"Restore without the master key\" in docs/operations.md"
    )]
    WrongMasterKey(KeyId),
    /// The cryptography failed.
    #[error("a signing key could not be made or sealed")]
    Failed(#[source] BoxError),
}
