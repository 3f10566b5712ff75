//! Errors of the OAuth endpoints (RFC 6749 §5.2).

use std::time::Duration;

use super::audience::InvalidTarget;
use super::token::IssueError;
use crate::applications::{GrantType, HasherError};
use crate::limits::RateLimited;
use crate::system::StorageError;

/// Why the token endpoint, or one of its neighbours, rejected a request.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// The request is malformed; the text says how, and repeats nothing of it.
    #[error("{0}")]
    InvalidRequest(String),
    /// Client authentication failed or is missing. The same for an unknown client and a wrong secret.
    #[error("client authentication failed: check the client_id and the client_secret")]
    InvalidClient,
    /// The `Authorization` header violates RFC 7617, whatever the body contains.
    #[error(
        "the Authorization header cannot be read: it must be `Basic` with the client_id and the client_secret, or be left \
         out when they are in the body"
    )]
    UnreadableAuthorization,
    /// The refresh token or the code is not valid (any more). One text for every cause, so that it does not help a thief.
    #[error("the token or code is invalid, expired, revoked, used already, or was issued to another client")]
    InvalidGrant,
    /// The application may not use this grant type.
    #[error("this application may not use the grant type {0}")]
    UnauthorizedClient(GrantType),
    /// There is no such grant type.
    #[error("this grant type is not supported; use client_credentials, authorization_code or refresh_token")]
    UnsupportedGrantType,
    /// The scope is unknown, or exceeds what was granted.
    #[error("the scope is unknown or goes beyond what was granted to this application")]
    InvalidScope,
    /// The parameter `resource` names what is not here, or what was not granted (RFC 8707 §2).
    #[error(transparent)]
    InvalidTarget(#[from] InvalidTarget),
    /// A client that registers itself has no usable redirect URI (RFC 7591 §3.2.2).
    #[error("{0}")]
    InvalidRedirectUri(String),
    /// A client that registers itself has unusable metadata (RFC 7591 §3.2.2).
    #[error("{0}")]
    InvalidClientMetadata(String),
    /// There is no room for another client that registers itself.
    #[error("too many clients have registered themselves and were not used yet; try again in an hour")]
    TooManyRegistrations,
    /// Too many failed attempts to authenticate as this client from this address.
    #[error("too many failed attempts to authenticate as this client from this address; wait before the next")]
    TooManyFailures {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The application exceeded its rate limit.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// A dependency is temporarily unavailable.
    #[error("the service is busy or its database is unavailable; try again shortly")]
    TemporarilyUnavailable(#[source] Unavailable),
    /// An internal error.
    #[error("an internal error occurred")]
    Internal(#[source] crate::system::BoxError),
}

/// What was unavailable.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The database.
    #[error(transparent)]
    Storage(StorageError),
    /// The queue for verifying secrets is full.
    #[error(transparent)]
    Hasher(HasherError),
}

impl From<StorageError> for OAuthError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Unavailable(_) => Self::TemporarilyUnavailable(Unavailable::Storage(error)),
            StorageError::InconsistentRow { .. } => Self::Internal(error.into()),
        }
    }
}

impl From<HasherError> for OAuthError {
    fn from(error: HasherError) -> Self {
        match error {
            HasherError::Overloaded => Self::TemporarilyUnavailable(Unavailable::Hasher(error)),
            HasherError::Failed(_) => Self::Internal(error.into()),
        }
    }
}

impl From<IssueError> for OAuthError {
    fn from(error: IssueError) -> Self {
        Self::Internal(error.into())
    }
}
