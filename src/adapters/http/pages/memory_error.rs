//! Errors of memories, as they are put to a person.

use poem::http::StatusCode;

use super::error::PageError;
use super::texts::{Filled, Text, Texts};
use crate::domain::memories::{Capability, MemoryBankError, MemoryError};
use crate::domain::validation::InvalidValue;

/// Why something was not done with memories, as it is put to a person.
///
/// # Errors
/// The [`PageError`] that `error` is where the page can do nothing about it.
pub(crate) fn memory_problem(error: MemoryError, t: &Texts) -> Result<(StatusCode, Filled), PageError> {
    Ok(match error {
        MemoryError::Invalid(error) => (StatusCode::BAD_REQUEST, invalid(&error, t).into()),
        MemoryError::NotFound => (StatusCode::NOT_FOUND, t.memory_gone.into()),
        MemoryError::Bank(MemoryBankError::Rejected(reason)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, t.memory_refused.name(reason))
        }
        MemoryError::Bank(MemoryBankError::Unsupported(Capability::List)) => {
            (StatusCode::NOT_IMPLEMENTED, t.cannot_list.into())
        }
        MemoryError::Bank(MemoryBankError::Unsupported(_)) => (StatusCode::NOT_IMPLEMENTED, t.cannot_do.into()),
        MemoryError::Storage(error) => return Err(error.into()),
        MemoryError::Bank(error) if error.is_retryable() => return Err(PageError::Unavailable(error.into())),
        error => return Err(PageError::Internal(error.into())),
    })
}

/// What is wrong with a value, by the field that it came from.
fn invalid(error: &InvalidValue, t: &Texts) -> Text {
    match error.field() {
        "content" => t.invalid_content,
        "query" => t.invalid_search,
        "after" | "space" => t.invalid_address,
        "occurred_at" => t.invalid_date,
        field if field.starts_with("categor") => t.invalid_categories,
        _ => t.invalid_dates,
    }
}

/// An error for which there is no page of its own.
pub(crate) fn page_error(error: MemoryError) -> PageError {
    match error {
        MemoryError::Storage(error) => error.into(),
        MemoryError::Bank(MemoryBankError::Misconfigured(_) | MemoryBankError::Inconsistent(_)) => {
            PageError::Internal(error.into())
        }
        MemoryError::Bank(_) | MemoryError::Invalid(_) | MemoryError::NotFound => PageError::Unavailable(error.into()),
        error => PageError::Internal(error.into()),
    }
}

pub(super) fn not_found(error: MemoryError) -> PageError {
    match error {
        MemoryError::NotFound => PageError::NotFound,
        error => page_error(error),
    }
}
