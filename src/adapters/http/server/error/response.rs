//! Every error of the APIs and its status.

use std::time::Duration;

use poem::error::ResponseError;
use poem::http::{HeaderName, HeaderValue, StatusCode, header};

use super::kinds::{ApiError, RefusedGrant, SHORT_WAIT, whole_seconds};
use crate::domain::applications::Permission;
use crate::domain::limits::RateLimited;
use crate::domain::memories::{MemoryBankError, MemoryError};
use crate::domain::oauth::{AccessError, MissingPermission, OAuthError, UNUSED_APPLICATION};
use crate::domain::system::StorageError;

/// `Retry-After` when a queue is full that drains as soon as the memory bank is available again.
const LONG_WAIT: Duration = Duration::from_secs(30);

/// The HTTP form of an error, in either shape.
pub(super) struct ErrorResponse {
    pub(super) status: StatusCode,
    /// The kind of error: the last part of the problem's type, or the code of RFC 6749.
    pub(super) slug: &'static str,
    pub(super) title: &'static str,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The parameters of a `Bearer` challenge, where there is one.
    pub(super) bearer: Option<String>,
    /// The permission that is missing.
    pub(super) scope: Option<Permission>,
}

impl ErrorResponse {
    pub(super) fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        Self { status, slug, title, headers: Vec::new(), bearer: None, scope: None }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// `Retry-After` in whole seconds.
    fn retry_after(self, wait: Duration) -> Self {
        self.with(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)))
    }

    /// A challenge for an access token (RFC 6750 §3) with these parameters.
    fn bearer(self, parameters: impl Into<String>) -> Self {
        Self { bearer: Some(parameters.into()), ..self }
    }
}

impl From<&ApiError> for ErrorResponse {
    fn from(error: &ApiError) -> Self {
        match error {
            ApiError::Unauthenticated => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Authentication is needed").bearer("")
            }
            ApiError::BearerRequest(_) => {
                Self::new(StatusCode::BAD_REQUEST, "invalid-request", "The request is not well-formed")
                    .bearer(r#"error="invalid_request""#)
            }
            ApiError::Access(AccessError::InvalidToken) => {
                Self::new(StatusCode::UNAUTHORIZED, "invalid-token", "The access token is not valid")
                    .bearer(r#"error="invalid_token", error_description="the token is invalid, expired or revoked""#)
            }
            ApiError::Access(AccessError::WrongAudience { expected, actual }) => {
                Self::new(StatusCode::UNAUTHORIZED, "invalid-token", "The access token is for another resource").bearer(
                    format!(
                        r#"error="invalid_token", error_description="the token is for {actual} and not for {expected}""#
                    ),
                )
            }
            ApiError::Access(AccessError::Storage(error)) => of_storage(error),
            ApiError::Memory(error) => of_memory(error),
            ApiError::Forbidden(missing) => forbidden(*missing),
            ApiError::RateLimited(RateLimited { retry_after }) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests").retry_after(*retry_after)
            }
            ApiError::MediaType => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is not JSON")
            }
            ApiError::LinesMediaType => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is not lines of JSON")
            }
            ApiError::StreamTooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large")
            }
            ApiError::ImportUnderWay => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "import-under-way", "Another import is under way")
                    .retry_after(LONG_WAIT)
            }
            ApiError::ImportStopped { reason, .. } => Self::from(&**reason),
            ApiError::ContentEncoding => {
                // RFC 9110 §12.5.3: which codings there are, where one was refused.
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is encoded")
                    .with(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            }
            ApiError::Malformed(_) => {
                Self::new(StatusCode::BAD_REQUEST, "malformed-body", "The body is not well-formed")
            }
            ApiError::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large"),
            ApiError::Interrupted => {
                Self::new(StatusCode::BAD_REQUEST, "interrupted-body", "The body did not arrive completely")
            }
            ApiError::Overloaded => unavailable().retry_after(SHORT_WAIT),
            ApiError::AnswersUnread => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "answers-unread", "Earlier answers have not been read")
                    .retry_after(SHORT_WAIT)
            }
            ApiError::NoSuchPath => Self::new(StatusCode::NOT_FOUND, "no-such-path", "There is nothing here"),
            ApiError::MethodNotAllowed { allow } => {
                Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed")
                    .with(header::ALLOW, allow.clone())
            }
            ApiError::Panicked | ApiError::OutsideEnvelope => internal(),
        }
    }
}

fn forbidden(MissingPermission(permission): MissingPermission) -> ErrorResponse {
    let response = ErrorResponse::new(StatusCode::FORBIDDEN, "insufficient-scope", "A permission is missing")
        .bearer(r#"error="insufficient_scope""#);
    ErrorResponse { scope: Some(permission), ..response }
}

fn of_memory(error: &MemoryError) -> ErrorResponse {
    match error {
        MemoryError::Invalid(_) => ErrorResponse::new(StatusCode::BAD_REQUEST, "invalid-value", "A value is not valid"),
        MemoryError::NotFound => {
            ErrorResponse::new(StatusCode::NOT_FOUND, "memory-not-found", "There is no such memory")
        }
        MemoryError::NearDuplicate(_) => {
            ErrorResponse::new(StatusCode::CONFLICT, "near-duplicate", "Nearly the same is stored already")
        }
        MemoryError::Forbidden(missing) => forbidden(*missing),
        MemoryError::SupersededNotFound => ErrorResponse::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "superseded-not-found",
            "There is no such memory to supersede",
        ),
        MemoryError::RequestNotFound => {
            ErrorResponse::new(StatusCode::NOT_FOUND, "request-not-found", "There is no such request")
        }
        MemoryError::QueueFull => ErrorResponse::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "queue-full",
            "Too many memories wait for the memory bank",
        )
        .retry_after(LONG_WAIT),
        MemoryError::IdempotencyConflict => {
            ErrorResponse::new(StatusCode::CONFLICT, "idempotency-conflict", "The idempotency key was used before")
        }
        MemoryError::SelectionChanged { .. } => {
            ErrorResponse::new(StatusCode::CONFLICT, "selection-changed", "What was confirmed has changed")
        }
        MemoryError::CategoryNotAllowed => {
            ErrorResponse::new(StatusCode::FORBIDDEN, "category-not-allowed", "The category is not allowed")
        }
        MemoryError::Bank(error) => of_bank(error),
        MemoryError::Storage(error) => of_storage(error),
    }
}

fn of_bank(error: &MemoryBankError) -> ErrorResponse {
    match error {
        MemoryBankError::Unavailable { retry_after, .. } => {
            unavailable().retry_after(retry_after.unwrap_or(SHORT_WAIT))
        }
        MemoryBankError::Rejected(_) => ErrorResponse::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "rejected-by-bank",
            "The memory bank refused the request",
        ),
        MemoryBankError::Unsupported(_) => {
            ErrorResponse::new(StatusCode::NOT_IMPLEMENTED, "not-supported", "The memory bank cannot do this")
        }
        MemoryBankError::Misconfigured(_) | MemoryBankError::Inconsistent(_) => {
            ErrorResponse::new(StatusCode::BAD_GATEWAY, "bank-failure", "The memory bank does not work correctly")
        }
    }
}

fn of_storage(error: &StorageError) -> ErrorResponse {
    match error {
        StorageError::Unavailable(_) => unavailable().retry_after(SHORT_WAIT),
        StorageError::InconsistentRow { .. } => internal(),
    }
}

fn unavailable() -> ErrorResponse {
    ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The service is unavailable")
}

pub(super) fn internal() -> ErrorResponse {
    ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "An internal error occurred")
}

/// The form of an error of an OAuth endpoint: the slug is the code of RFC 6749 §5.2.
pub(super) fn of_oauth(error: &OAuthError) -> ErrorResponse {
    let bad_request = |code| ErrorResponse::new(StatusCode::BAD_REQUEST, code, "");
    match error {
        OAuthError::InvalidRequest(_) => bad_request("invalid_request"),
        OAuthError::InvalidClient | OAuthError::UnreadableAuthorization => {
            ErrorResponse::new(StatusCode::UNAUTHORIZED, "invalid_client", "")
                .with(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"Basic realm="memgate""#))
        }
        OAuthError::InvalidGrant => bad_request("invalid_grant"),
        OAuthError::UnauthorizedClient(_) => bad_request("unauthorized_client"),
        OAuthError::UnsupportedGrantType => bad_request("unsupported_grant_type"),
        OAuthError::InvalidScope => bad_request("invalid_scope"),
        OAuthError::InvalidTarget(_) => bad_request("invalid_target"),
        OAuthError::InvalidRedirectUri(_) => bad_request("invalid_redirect_uri"),
        OAuthError::InvalidClientMetadata(_) => bad_request("invalid_client_metadata"),
        OAuthError::TooManyFailures { retry_after } | OAuthError::RateLimited(RateLimited { retry_after }) => {
            ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", "").retry_after(*retry_after)
        }
        OAuthError::TooManyRegistrations => {
            ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "")
                .retry_after(UNUSED_APPLICATION)
        }
        OAuthError::TemporarilyUnavailable(_) => {
            ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "").retry_after(SHORT_WAIT)
        }
        OAuthError::Internal(_) => ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", ""),
    }
}

impl ResponseError for ApiError {
    fn status(&self) -> StatusCode {
        ErrorResponse::from(self).status
    }
}

impl ResponseError for RefusedGrant {
    fn status(&self) -> StatusCode {
        of_oauth(&self.0).status
    }
}
