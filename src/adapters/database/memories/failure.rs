//! Errors of the embedded bank, and their mapping to the port's.

use std::sync::Arc;
use std::time::Duration;

use memgate_domain::memories::{EmbeddingError, MemoryBankError};
use memgate_domain::validation::InvalidValue;
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Delay after which a caller may retry when the queue is full.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why an operation failed. All callers of a batch get a clone of it.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum MemoryStoreError {
    #[error("the database failed")]
    Database(#[from] DbErr),
    #[error("invalid row `{key}` in `memories`: column {column} {problem}")]
    Row { key: String, column: &'static str, problem: String },
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
    /// An invalid row. `problem` repeats no value.
    pub(super) fn row(key: &str, column: &'static str, problem: impl Into<String>) -> Self {
        Self::Row { key: key.to_owned(), column, problem: problem.into() }
    }

    /// The same for a value that the domain rejects.
    pub(super) fn refused<'a>(key: &'a str, column: &'static str) -> impl Fn(InvalidValue) -> Self + 'a {
        move |error| Self::row(key, column, error.problem())
    }

    /// Whether PostgreSQL rejected a value: it limits the size of indexed text, unlike SQLite.
    pub(super) fn is_refused_value(&self) -> bool {
        let Self::Database(DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) =
            self
        else {
            return false;
        };
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        // Data exception, program limit exceeded: https://www.postgresql.org/docs/current/errcodes-appendix.html
        code.is_some_and(|code| code.len() == 5 && (code.starts_with("22") || code.starts_with("54")))
    }

    /// Whether a row is invalid. That affects this row alone, and the transaction can continue.
    pub(super) fn is_about_one_row(&self) -> bool {
        match self {
            Self::Database(DbErr::Type(_) | DbErr::TryIntoErr { .. }) | Self::Row { .. } => true,
            Self::Database(DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) => {
                matches!(**error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
            }
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
