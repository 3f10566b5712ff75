//! Why the service or a command fails to start.

use std::net::SocketAddr;

use crate::adapters::database::DatabaseError;
use crate::adapters::embedding::ModelError;
use crate::adapters::http::{PrivacyError, TlsError};
use crate::adapters::identity_provider::OpenIdError;
use crate::adapters::key_file::MasterKeyError;
use crate::adapters::remote_bank::RemoteBankError;
use crate::domain::memories::MemoryBankError;
use crate::domain::oauth::{KeyError, VaultError};
use crate::domain::system::StorageError;

/// Why the backend (database, master key, memory bank) could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The schema is older than this release.
    #[error(
        "the database {location} lacks {count} migrations of this release: `memgate migrate up` applies them, and so does the \
         start of `memgate serve`"
    )]
    PendingMigrations {
        /// The database's location, without user and password.
        location: String,
        /// Number of pending migrations.
        count: usize,
    },
    /// There is no master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The client of the memory bank could not be created.
    #[error(transparent)]
    MemoryBank(#[from] RemoteBankError),
    /// The memories cannot be used.
    #[error(transparent)]
    Memories(#[from] MemoryBankError),
    /// The embedding model cannot be used.
    #[error("MEMGATE_EMBEDDING_MODEL names a model that cannot be used")]
    EmbeddingModel(#[from] ModelError),
    /// The signing keys cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The backend could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The schema is not up to date, and must not be changed.
    #[error("{0} migrations are pending: run `memgate migrate up`, or start without --no-migrate")]
    PendingMigrations(usize),
    /// The signing keys are not usable.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The client of the identity provider could not be created.
    #[error(transparent)]
    IdentityProvider(#[from] OpenIdError),
    /// The certificate is not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The privacy policy is not usable.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The address is in use or not available.
    #[error("cannot listen on {0}; set MEMGATE_LISTEN to a free address and port")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The operator's address is in use or not available.
    #[error("cannot listen on {0} for the operator; set MEMGATE_ADMIN_LISTEN to a free address, or to off")]
    AdminListen(SocketAddr, #[source] std::io::Error),
}

impl From<DatabaseError> for StartError {
    fn from(error: DatabaseError) -> Self {
        Self::Open(error.into())
    }
}

impl From<VaultError> for StartError {
    fn from(error: VaultError) -> Self {
        Self::Keys(error.into())
    }
}
