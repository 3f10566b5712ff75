//! What readiness asks of the rest of the service.

use async_trait::async_trait;

use crate::domain::system::StorageError;

/// Whether the database can be used.
#[async_trait]
pub trait DatabaseCheck: Send + Sync {
    /// Asks the database something small.
    ///
    /// # Errors
    /// [`StorageError`] if it does not answer.
    async fn check(&self) -> Result<(), StorageError>;
}

/// Whether the clock can be right.
pub trait ClockCheck: Send + Sync {
    /// What is wrong with it, if something is. Requests are answered all the same.
    fn warning(&self) -> Option<String>;
}
