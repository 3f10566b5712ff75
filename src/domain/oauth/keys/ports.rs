//! The ports of keys.

use async_trait::async_trait;

use super::model::{KeyId, MasterKey, NewSigningKey, SealedKey, SigningKey};
use crate::system::{BoxError, StorageError, Timestamp};

/// Stores signing keys.
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// All keys, ordered by purpose and generation.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(&self) -> Result<Vec<SigningKey>, StorageError>;

    /// Adds a key, unless there is one with its purpose and generation: of concurrent callers exactly one succeeds. Returns
    /// whether it was added.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn add(&self, key: &SigningKey) -> Result<bool, StorageError>;

    /// Retires a key. Returns whether it existed and was not retired yet.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn retire(&self, id: &KeyId, at: Timestamp) -> Result<bool, StorageError>;

    /// Atomically replaces the sealed form of all these keys: it fails if one differs from its expected form. Returns whether
    /// they were replaced.
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

/// Creates keys and keeps them secret. It never reveals the master key.
#[async_trait]
pub trait KeyVault: Send + Sync {
    /// Creates a key and seals it together with the attributes in `new`, which cannot be changed afterwards without
    /// invalidating the key. The ID is derived from the key, or random. It does not block other tasks: an RSA key takes a
    /// second or more.
    ///
    /// # Errors
    /// [`VaultError::Failed`].
    async fn generate(&self, new: &NewSigningKey) -> Result<SigningKey, VaultError>;

    /// Reseals a key for `new_master`, as [`generate`](Self::generate) does.
    ///
    /// # Errors
    /// [`VaultError`].
    fn reseal(&self, key: &SigningKey, new_master: &MasterKey) -> Result<SealedKey, VaultError>;
}

/// Why a vault failed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The master key is not the one that sealed the key, or the row was tampered with.
    #[error(
        "the signing key {0} cannot be opened with this master key; if the one that it was encrypted with is lost, see \
         \"Restore without the master key\" in docs/operations.md"
    )]
    WrongMasterKey(KeyId),
    /// The cryptography failed.
    #[error("a signing key could not be created or sealed")]
    Failed(#[source] BoxError),
}
