//! What the readiness check depends on.

use async_trait::async_trait;

use crate::domain::system::StorageError;

/// Checks the database.
#[async_trait]
pub trait DatabaseCheck: Send + Sync {
    /// Runs a trivial query.
    ///
    /// # Errors
    /// [`StorageError`] if the database does not respond.
    async fn check(&self) -> Result<(), StorageError>;
}

/// Checks the clock.
pub trait ClockCheck: Send + Sync {
    /// The problem, if there is one. It does not make the service unready.
    fn warning(&self) -> Option<String>;
}
