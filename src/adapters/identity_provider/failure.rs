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
pub(super) enum ProviderRequest {
    /// Metadata and keys.
    Discovery,
    /// The ID token for a code.
    Token,
    /// The e-mail address.
    UserInfo,
}

impl fmt::Display for ProviderRequest {
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
pub(super) struct ProviderFailure {
    question: ProviderRequest,
    problem: ProviderProblem,
}

impl ProviderFailure {
    pub(super) fn new(question: ProviderRequest, problem: ProviderProblem) -> Self {
        Self { question, problem }
    }
}

impl From<ProviderFailure> for IdentityError {
    fn from(failure: ProviderFailure) -> Self {
        match failure.problem {
            ProviderProblem::Busy
            | ProviderProblem::NotConnected
            | ProviderProblem::ConnectionLost
            | ProviderProblem::Slow
            | ProviderProblem::TooLarge
            | ProviderProblem::Status(_)
            | ProviderProblem::Unreadable
            | ProviderProblem::NoEndpoint => Self::Unavailable(Box::new(failure)),
            ProviderProblem::Insecure
            | ProviderProblem::OtherIssuer
            | ProviderProblem::Refused(_)
            | ProviderProblem::NotUnderstood
            | ProviderProblem::Untrusted(_) => Self::Rejected(Box::new(failure)),
        }
    }
}

/// Causes of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProviderProblem {
    #[error("too many sign-ins are in progress, so no request was sent")]
    Busy,
    #[error("could not connect")]
    NotConnected,
    #[error("the connection was lost before the response was complete")]
    ConnectionLost,
    #[error("the request timed out")]
    Slow,
    #[error("the response is too large")]
    TooLarge,
    #[error("the response has status {0}")]
    Status(u16),
    #[error("the response is not valid metadata or not a valid key set")]
    Unreadable,
    #[error("its metadata names no token endpoint")]
    NoEndpoint,
    #[error("its metadata names a URL that is not https")]
    Insecure,
    #[error(
        "its metadata names another issuer than the configured one; both must be identical, including a trailing slash"
    )]
    OtherIssuer,
    #[error("it refused: {0}")]
    Refused(&'static str),
    #[error("the response could not be parsed")]
    NotUnderstood,
    #[error("the response is not trustworthy: {0}")]
    Untrusted(&'static str),
}

impl From<DiscoveryError<ProviderProblem>> for ProviderProblem {
    fn from(error: DiscoveryError<Self>) -> Self {
        match error {
            DiscoveryError::Request(problem) => problem,
            DiscoveryError::Response(status, ..) if !status.is_success() => Self::Status(status.as_u16()),
            DiscoveryError::Validation(_) => Self::OtherIssuer,
            _ => Self::Unreadable,
        }
    }
}

impl From<RequestTokenError<ProviderProblem, StandardErrorResponse<CoreErrorResponseType>>> for ProviderProblem {
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
                _ => "the error code is not defined",
            }),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => Self::NotUnderstood,
        }
    }
}

impl From<UserInfoError<ProviderProblem>> for ProviderProblem {
    fn from(error: UserInfoError<Self>) -> Self {
        match error {
            UserInfoError::Request(problem) => problem,
            UserInfoError::Response(status, ..) if !status.is_success() => Self::Refused("access to it was denied"),
            UserInfoError::ClaimsVerification(error) => error.into(),
            _ => Self::NotUnderstood,
        }
    }
}

impl From<ClaimsVerificationError> for ProviderProblem {
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
