//! Errors of memories, as they are put to a person.

use poem::http::StatusCode;

use super::error::PageError;
use super::words::sentence;
use crate::domain::memories::{Capability, MemoryBankError, MemoryError};

/// Why something was not done with memories, as it is put to a person.
///
/// # Errors
/// The [`PageError`] that `error` is where the page can do nothing about it.
pub(crate) fn memory_problem(error: MemoryError) -> Result<(StatusCode, String), PageError> {
    Ok(match error {
        MemoryError::Invalid(error) => (StatusCode::BAD_REQUEST, sentence(&error.to_string())),
        MemoryError::NotFound => (StatusCode::NOT_FOUND, "This memory is no longer here.".to_owned()),
        MemoryError::Bank(MemoryBankError::Rejected(reason)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, format!("This was refused: {reason}."))
        }
        MemoryError::Bank(MemoryBankError::Unsupported(Capability::List)) => {
            (StatusCode::NOT_IMPLEMENTED, "This service cannot list memories. Search for something instead.".to_owned())
        }
        MemoryError::Bank(MemoryBankError::Unsupported(_)) => {
            (StatusCode::NOT_IMPLEMENTED, "This service cannot do that.".to_owned())
        }
        MemoryError::Storage(error) => return Err(error.into()),
        MemoryError::Bank(error) if error.is_retryable() => return Err(PageError::Unavailable(error.into())),
        error => return Err(PageError::Internal(error.into())),
    })
}

/// An error for which there is no page of its own.
pub(crate) fn page_error(error: MemoryError) -> PageError {
    match memory_problem(error) {
        Ok((_, problem)) => PageError::Unavailable(problem.into()),
        Err(error) => error,
    }
}
