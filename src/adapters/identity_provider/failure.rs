//! Failures of the provider. The texts are fixed: those of a provider or a library may quote codes and tokens.

use std::fmt;

use openidconnect::core::CoreErrorResponseType;
use openidconnect::{
    ClaimsVerificationError, DiscoveryError, RequestTokenError, SignatureVerificationError, StandardErrorResponse,
    UserInfoError,
};

use crate::domain::people::IdentityError;

/// Which request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Metadata and keys.
    Discovery,
    /// The ID token for a code.
    Token,
    /// The e-mail address.
    UserInfo,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discovery => "asked for its metadata and keys",
            Self::Token => "asked for an ID token",
            Self::UserInfo => "asked for the e-mail address",
        })
    }
}

/// A failed request and its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{question}, {problem}")]
pub(super) struct Failure {
    question: Question,
    problem: Problem,
}

impl Failure {
    pub(super) fn new(question: Question, problem: Problem) -> Self {
        Self { question, problem }
    }
}

impl From<Failure> for IdentityError {
    fn from(failure: Failure) -> Self {
        match failure.problem {
            Problem::Busy
            | Problem::NotConnected
            | Problem::ConnectionLost
            | Problem::Slow
            | Problem::TooLarge
            | Problem::Status(_)
            | Problem::Unreadable
            | Problem::NoEndpoint => Self::Unavailable(Box::new(failure)),
            Problem::Insecure
            | Problem::OtherIssuer
            | Problem::Refused(_)
            | Problem::NotUnderstood
            | Problem::Untrusted(_) => Self::Rejected(Box::new(failure)),
        }
    }
}

/// Causes of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("too many people come back from it at the same time, so it was not asked")]
    Busy,
    #[error("it could not be connected to")]
    NotConnected,
    #[error("it broke off before the whole answer was there")]
    ConnectionLost,
    #[error("it did not answer in time")]
    Slow,
    #[error("it gave an answer that is far too large")]
    TooLarge,
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("it answered with what is no metadata, or no key set")]
    Unreadable,
    #[error("it named no token endpoint")]
    NoEndpoint,
    #[error("it named a URL that is not https")]
    Insecure,
    #[error("it called itself by another issuer than the configured one; both must be the same, to the last slash")]
    OtherIssuer,
    #[error("it refused: {0}")]
    Refused(&'static str),
    #[error("it gave an answer that cannot be understood")]
    NotUnderstood,
    #[error("it gave an answer that cannot be trusted: {0}")]
    Untrusted(&'static str),
}

impl From<DiscoveryError<Problem>> for Problem {
    fn from(error: DiscoveryError<Self>) -> Self {
        match error {
            DiscoveryError::Request(problem) => problem,
            DiscoveryError::Response(status, ..) if !status.is_success() => Self::Status(status.as_u16()),
            DiscoveryError::Validation(_) => Self::OtherIssuer,
            _ => Self::Unreadable,
        }
    }
}

impl From<RequestTokenError<Problem, StandardErrorResponse<CoreErrorResponseType>>> for Problem {
    fn from(error: RequestTokenError<Self, StandardErrorResponse<CoreErrorResponseType>>) -> Self {
        match error {
            RequestTokenError::Request(problem) => problem,
            RequestTokenError::ServerResponse(answer) => Self::Refused(match answer.error() {
                CoreErrorResponseType::InvalidGrant => "invalid_grant (the code is invalid or expired)",
                CoreErrorResponseType::InvalidClient => "invalid_client (the client ID or its secret was not accepted)",
                CoreErrorResponseType::UnauthorizedClient => {
                    "unauthorized_client (the client may not use the authorization code grant)"
                }
                CoreErrorResponseType::InvalidRequest => "invalid_request",
                CoreErrorResponseType::UnsupportedGrantType => "unsupported_grant_type",
                _ => "with an undefined error code",
            }),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => Self::NotUnderstood,
        }
    }
}

impl From<UserInfoError<Problem>> for Problem {
    fn from(error: UserInfoError<Self>) -> Self {
        match error {
            UserInfoError::Request(problem) => problem,
            UserInfoError::Response(status, ..) if !status.is_success() => Self::Refused("access to it was denied"),
            UserInfoError::ClaimsVerification(error) => error.into(),
            _ => Self::NotUnderstood,
        }
    }
}

impl From<ClaimsVerificationError> for Problem {
    fn from(error: ClaimsVerificationError) -> Self {
        Self::Untrusted(match error {
            ClaimsVerificationError::Expired(_) => "it has expired",
            ClaimsVerificationError::InvalidAudience(_) => "its audience is another client",
            ClaimsVerificationError::InvalidIssuer(_) => "its issuer is another one",
            ClaimsVerificationError::InvalidNonce(_) => "its nonce does not match",
            ClaimsVerificationError::InvalidSubject(_) => "its subject does not match",
            ClaimsVerificationError::SignatureVerification(error) => match error {
                SignatureVerificationError::NoSignature => "it is not signed",
                SignatureVerificationError::NoMatchingKey => "its signing key is not one of the provider's",
                SignatureVerificationError::AmbiguousKeyId(_) => "its signing key is ambiguous",
                SignatureVerificationError::DisallowedAlg(_) | SignatureVerificationError::UnsupportedAlg(_) => {
                    "its signature algorithm is not accepted"
                }
                _ => "its signature is invalid",
            },
            _ => "its format is not accepted",
        })
    }
}
