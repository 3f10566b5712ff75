//! Errors of the embedded bank, and their mapping to the port's.

use std::sync::Arc;
use std::time::Duration;

use memgate_domain::memories::{EmbeddingError, MemoryBankError};
use sea_orm::DbErr;

use crate::adapters::database::error::{is_about_a_value, rejects_a_value};
use crate::adapters::database::row::InvalidRow;

/// Delay after which a caller may retry when the queue is full.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why an operation failed. All callers of a batch get a clone of it.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum MemoryStoreError {
    #[error("the database failed")]
    Database(#[from] DbErr),
    #[error(transparent)]
    Row(#[from] InvalidRow),
    #[error("the task that writes memories has ended")]
    WriterEnded,
    #[error("too many searches are waiting")]
    Busy,
    #[error("the embedding model failed")]
    Model(#[source] Arc<EmbeddingError>),
    #[error("the search took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
}

impl MemoryStoreError {
    /// Whether the database rejected a value.
    pub(super) fn is_refused_value(&self) -> bool {
        matches!(self, Self::Database(error) if rejects_a_value(error))
    }

    /// Whether a row is invalid. That affects this row alone, and the transaction can continue.
    pub(super) fn is_about_one_row(&self) -> bool {
        match self {
            Self::Database(error) => is_about_a_value(error),
            Self::Row(_) => true,
            _ => false,
        }
    }
}

impl From<MemoryStoreError> for MemoryBankError {
    fn from(failure: MemoryStoreError) -> Self {
        if failure.is_about_one_row() {
            Self::Inconsistent(failure.into())
        } else if failure.is_refused_value() {
            Self::Rejected("the memory is too long to be indexed; split it into several".to_owned())
        } else {
            let retry_after = matches!(failure, MemoryStoreError::Busy).then_some(BUSY_RETRY_AFTER);
            Self::Unavailable { retry_after, reached: false, source: failure.into() }
        }
    }
}
