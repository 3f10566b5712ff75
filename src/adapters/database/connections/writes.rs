//! Whether writes reach the disk.

use std::sync::{Mutex, PoisonError};

use sea_orm::sqlx;
use tokio::time::Instant;

use super::connection::prevents_writing;

/// Records whether the last write failed because the database could not write.
#[derive(Debug, Default)]
pub struct WriteHealth(Mutex<Option<WriteFailure>>);

/// The first failed write since the last successful one.
#[derive(Clone, Debug)]
pub struct WriteFailure {
    /// When it failed.
    pub since: Instant,
    /// The database's error.
    pub reason: String,
}

impl WriteHealth {
    /// The error of the last write; `None` if it succeeded.
    #[must_use]
    pub fn failure(&self) -> Option<WriteFailure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn succeeded(&self) {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(WriteFailure { since, .. }) = ended {
            tracing::info!(failed_for_seconds = since.elapsed().as_secs(), "writes to the database succeed again");
        }
    }

    pub(super) fn failed(&self, error: &sqlx::Error) {
        if !prevents_writing(error) {
            return;
        }
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() {
            tracing::error!(error = %error, "writes to the database fail");
            *failure = Some(WriteFailure { since: Instant::now(), reason: error.to_string() });
        }
    }
}
