//! Why the provider told nothing. The texts are ours alone: what a provider or a library says may quote codes and tokens.

use std::fmt;

use openidconnect::core::CoreErrorResponseType;
use openidconnect::{
    ClaimsVerificationError, DiscoveryError, RequestTokenError, SignatureVerificationError, StandardErrorResponse,
    UserInfoError,
};

use crate::domain::people::IdentityError;

/// Which question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// What the provider is like, and which keys it has.
    Discovery,
    /// Who has come with this code.
    Token,
    /// What the e-mail address is.
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

/// A question and what went wrong.
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

/// What can go wrong with the provider.
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
                CoreErrorResponseType::InvalidGrant => "invalid_grant (the code is not, or no longer, good)",
                CoreErrorResponseType::InvalidClient => {
                    "invalid_client (it does not accept the client id or its secret)"
                }
                CoreErrorResponseType::UnauthorizedClient => "unauthorized_client (the client may not use codes)",
                CoreErrorResponseType::InvalidRequest => "invalid_request",
                CoreErrorResponseType::UnsupportedGrantType => "unsupported_grant_type",
                _ => "with an error that is not defined for this",
            }),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => Self::NotUnderstood,
        }
    }
}

impl From<UserInfoError<Problem>> for Problem {
    fn from(error: UserInfoError<Self>) -> Self {
        match error {
            UserInfoError::Request(problem) => problem,
            UserInfoError::Response(status, ..) if !status.is_success() => {
                Self::Refused("it does not let memgate see it")
            }
            UserInfoError::ClaimsVerification(error) => error.into(),
            _ => Self::NotUnderstood,
        }
    }
}

impl From<ClaimsVerificationError> for Problem {
    fn from(error: ClaimsVerificationError) -> Self {
        Self::Untrusted(match error {
            ClaimsVerificationError::Expired(_) => "it has expired",
            ClaimsVerificationError::InvalidAudience(_) => "it is for another client",
            ClaimsVerificationError::InvalidIssuer(_) => "it is by another issuer",
            ClaimsVerificationError::InvalidNonce(_) => "it was not made for this attempt",
            ClaimsVerificationError::InvalidSubject(_) => "it is about somebody else",
            ClaimsVerificationError::SignatureVerification(error) => match error {
                SignatureVerificationError::NoSignature => "it is not signed",
                SignatureVerificationError::NoMatchingKey => "it is signed with a key that is not the provider's",
                SignatureVerificationError::AmbiguousKeyId(_) => "it does not say with which key it is signed",
                SignatureVerificationError::DisallowedAlg(_) | SignatureVerificationError::UnsupportedAlg(_) => {
                    "it is signed in a way that is not accepted"
                }
                _ => "its signature is wrong",
            },
            _ => "it has a form that is not accepted",
        })
    }
}
