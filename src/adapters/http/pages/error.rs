//! Why a page could not be shown, and the HTTP status of that.

use std::time::Duration;

use poem::error::ResponseError;
use poem::http::StatusCode;

use super::return_to::ReturnTo;
use super::texts::{Text, Texts};
use crate::adapters::http::server::error::ApiError;
use crate::domain::applications::HasherError;
use crate::domain::memories::ErasureError;
use crate::domain::oauth::{DocumentProblem, UntrustedRequest};
use crate::domain::people::{LinkError, PasskeyError, PeopleError, SignInError};
use crate::domain::system::{BoxError, StorageError};

/// Why a page could not be shown, or a form not be processed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// An untrusted authorization request, which is answered without a redirect.
    #[error(transparent)]
    Untrusted(#[from] UntrustedRequest),
    /// An application's request that is too long.
    #[error("the request is too long")]
    TooLong,
    /// There is no such page.
    #[error("there is nothing at this path")]
    NotFound,
    /// A form that is outdated, or was not sent from its own page.
    #[error("the form does not belong to this browser")]
    ForeignForm {
        /// Where to start again.
        again: Option<ReturnTo>,
    },
    /// A form from an origin other than the public URL or the address that it was sent to.
    #[error(
        "the header Origin of a form is neither the public URL nor the address that the form was sent to; set \
         MEMGATE_PUBLIC_URL to the URL that browsers use"
    )]
    ForeignOrigin,
    /// A sign-in form without the cookie of its page.
    #[error("a sign-in form came without the cookie of its page")]
    NoCookie {
        /// Where to start again.
        again: ReturnTo,
    },
    /// A form that cannot be read.
    #[error("the form could not be read")]
    InvalidForm,
    /// A retry may succeed.
    #[error("the page cannot be shown now")]
    Unavailable(#[source] BoxError),
    /// An internal error.
    #[error("the page cannot be shown")]
    Internal(#[source] BoxError),
}

impl PageError {
    /// How long somebody has to wait who asked for the documents of too many clients.
    pub(super) fn asked_too_often(&self) -> Option<Duration> {
        let Self::Untrusted(UntrustedRequest::UnusableDocument { problem, .. }) = self else { return None };
        let DocumentProblem::AskedTooOften { retry_after } = problem else { return None };
        Some(*retry_after)
    }
}

impl From<SignInError> for PageError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::TemporarilyUnavailable(_) => Self::Unavailable(error.into()),
            SignInError::NoPasskeys => Self::NotFound,
            error => Self::Internal(error.into()),
        }
    }
}

impl From<StorageError> for PageError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Unavailable(_) => Self::Unavailable(error.into()),
            StorageError::InconsistentRow { .. } => Self::Internal(error.into()),
        }
    }
}

impl From<ErasureError> for PageError {
    fn from(error: ErasureError) -> Self {
        match error {
            ErasureError::Storage(error) => error.into(),
            ErasureError::Person(error) => error.into(),
            ErasureError::Bank(ref bank) if bank.is_retryable() => Self::Unavailable(error.into()),
            error => Self::Internal(error.into()),
        }
    }
}

impl From<LinkError> for PageError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Storage(error) => error.into(),
            LinkError::Hasher(HasherError::Overloaded) => Self::Unavailable(error.into()),
            error => Self::Internal(error.into()),
        }
    }
}

impl From<PasskeyError> for PageError {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::NotOffered => Self::NotFound,
            PasskeyError::Storage(error) => error.into(),
            error => Self::Internal(error.into()),
        }
    }
}

impl From<PeopleError> for PageError {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Storage(error) => error.into(),
            PeopleError::Hasher(HasherError::Overloaded) => Self::Unavailable(error.into()),
            error => Self::Internal(error.into()),
        }
    }
}

/// An error as shown to a person.
pub(super) struct ErrorKind {
    pub(super) status: StatusCode,
    /// Its name in the log.
    pub(super) slug: &'static str,
    pub(super) title: fn(&Texts) -> Text,
    pub(super) text: fn(&Texts) -> Text,
}

pub(super) const NOT_FOUND: ErrorKind = ErrorKind {
    status: StatusCode::NOT_FOUND,
    slug: "no-such-page",
    title: |t| t.not_found_title,
    text: |t| t.not_found_text,
};

pub(super) const INVALID_FORM: ErrorKind = ErrorKind {
    status: StatusCode::BAD_REQUEST,
    slug: "unreadable-form",
    title: |t| t.invalid_form_title,
    text: |t| t.invalid_form_text,
};

pub(super) const INTERNAL_ERROR: ErrorKind = ErrorKind {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    slug: "internal",
    title: |t| t.internal_title,
    text: |t| t.internal_text,
};

const UNAVAILABLE: ErrorKind = ErrorKind {
    status: StatusCode::SERVICE_UNAVAILABLE,
    slug: "unavailable",
    title: |t| t.unavailable_title,
    text: |t| t.unavailable_text,
};

impl From<&PageError> for ErrorKind {
    fn from(error: &PageError) -> Self {
        match error {
            PageError::Untrusted(_) => Self {
                status: match error.asked_too_often() {
                    Some(_) => StatusCode::TOO_MANY_REQUESTS,
                    None => StatusCode::BAD_REQUEST,
                },
                slug: "untrusted-request",
                title: |t| t.untrusted_title,
                text: |t| t.untrusted_text,
            },
            PageError::ForeignForm { .. } => Self {
                status: StatusCode::FORBIDDEN,
                slug: "foreign-form",
                title: |t| t.out_of_date_title,
                text: |t| t.out_of_date_text,
            },
            PageError::ForeignOrigin => Self {
                status: StatusCode::FORBIDDEN,
                slug: "foreign-origin",
                title: |t| t.foreign_origin_title,
                text: |t| t.foreign_origin_text,
            },
            PageError::NoCookie { .. } => Self {
                status: StatusCode::FORBIDDEN,
                slug: "no-cookie",
                title: |t| t.no_cookie_title,
                text: |t| t.no_cookie_text,
            },
            PageError::TooLong => Self {
                status: StatusCode::BAD_REQUEST,
                slug: "request-too-long",
                title: |t| t.too_long_title,
                text: |t| t.too_long_text,
            },
            PageError::NotFound => NOT_FOUND,
            PageError::InvalidForm => INVALID_FORM,
            PageError::Unavailable(_) => UNAVAILABLE,
            PageError::Internal(_) => INTERNAL_ERROR,
        }
    }
}

impl From<&ApiError> for ErrorKind {
    fn from(error: &ApiError) -> Self {
        match error {
            ApiError::NoSuchPath => NOT_FOUND,
            ApiError::MethodNotAllowed { .. } => Self {
                status: StatusCode::METHOD_NOT_ALLOWED,
                slug: "method-not-allowed",
                title: |t| t.not_direct_title,
                text: |t| t.not_direct_text,
            },
            ApiError::TooLarge => Self { status: StatusCode::PAYLOAD_TOO_LARGE, ..INVALID_FORM },
            error => match error.status() {
                StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
                status if status.is_client_error() => INVALID_FORM,
                _ => INTERNAL_ERROR,
            },
        }
    }
}

impl ResponseError for PageError {
    fn status(&self) -> StatusCode {
        ErrorKind::from(self).status
    }
}
