//! Why requests fail, and what is said about it.

use std::time::Duration;

use poem::http::HeaderValue;

use crate::adapters::http::server::limits::{BODY_TIMEOUT, MAX_BODY_BYTES, MAX_STREAM_BYTES};
use crate::domain::limits::RateLimited;
use crate::domain::memories::{ImportReport, MemoryBankError, MemoryError};
use crate::domain::oauth::{AccessError, AdmissionError, MissingPermission, OAuthError};
use crate::domain::validation::InvalidValue;

/// `Retry-After` when the duration of an outage is unknown.
pub(crate) const SHORT_WAIT: Duration = Duration::from_secs(2);
/// Why a request outside the OAuth endpoints failed, or why any request did not reach its endpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// There is no `Authorization: Bearer`.
    #[error("an access token is needed; get one from POST /auth/token and send it as `Authorization: Bearer <token>`")]
    Unauthenticated,
    /// The token was sent in a way that is not allowed (RFC 6750 §2).
    #[error("{0}")]
    BearerRequest(&'static str),
    /// The token is invalid.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The memory service failed.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The token lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] MissingPermission),
    /// The application exceeded its rate limit.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The operation does not accept this media type.
    #[error("the body must be JSON, sent with the header `Content-Type: application/json`")]
    MediaType,
    /// The operation takes lines of JSON.
    #[error("the body must be one JSON object per line, sent with the header `Content-Type: application/x-ndjson`")]
    LinesMediaType,
    /// A streamed body is too large.
    #[error("the body is larger than {} GiB; send it in parts", MAX_STREAM_BYTES >> 30)]
    StreamTooLarge,
    /// The same tenant imports already, or too many others do.
    #[error("another import is under way; wait until it has ended, then send the request again")]
    ImportUnderWay,
    /// An import ended early. What it had created stays.
    #[error("{}", stopped(.reason, .report))]
    ImportStopped {
        /// Why.
        #[source]
        reason: Box<ApiError>,
        /// What had become of the lines until then.
        report: Box<ImportReport>,
    },
    /// The body has a content encoding.
    #[error("the body must be sent as it is, without the header `Content-Encoding`")]
    ContentEncoding,
    /// The body is malformed.
    #[error("{0}")]
    Malformed(String),
    /// The body is too large.
    #[error("the body is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The body was not received completely.
    #[error(
        "the body ended before it was complete, or took longer than {} seconds; send the request again",
        BODY_TIMEOUT.as_secs()
    )]
    Interrupted,
    /// The request bodies of all callers together take too much memory.
    #[error("too many requests are being received; send the request again in a moment")]
    Overloaded,
    /// The application does not read its responses.
    #[error("earlier answers to this application have not been read; read them, then send the request again")]
    AnswersUnread,
    /// There is nothing at this path.
    #[error("there is nothing at this path; /openapi.json lists what there is")]
    NoSuchPath,
    /// The path does not support this method.
    #[error("this path does not have this method; the header `Allow` lists those it has")]
    MethodNotAllowed {
        /// Those that it supports.
        allow: HeaderValue,
    },
    /// A handler panicked.
    #[error("an internal error occurred; the operator finds it in the log under the request id")]
    Panicked,
    /// A route was assembled without its envelope.
    #[error("the route has no envelope")]
    OutsideEnvelope,
}

impl From<InvalidValue> for ApiError {
    fn from(error: InvalidValue) -> Self {
        Self::Memory(error.into())
    }
}

impl From<AdmissionError> for ApiError {
    fn from(error: AdmissionError) -> Self {
        match error {
            AdmissionError::Access(error) => error.into(),
            AdmissionError::Forbidden(error) => error.into(),
            AdmissionError::RateLimited(error) => error.into(),
        }
    }
}

/// An error of an OAuth endpoint.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct RefusedGrant(#[from] pub(crate) OAuthError);

/// What is wrong, in words that an assistant can repeat to the person before it.
pub(super) fn detail(error: &ApiError) -> String {
    let ApiError::Memory(MemoryError::Bank(MemoryBankError::Unavailable { retry_after, .. })) = error else {
        return error.to_string();
    };
    let seconds = whole_seconds(retry_after.unwrap_or(SHORT_WAIT));
    format!("the memory bank is temporarily unavailable; the request is valid, so send it again in {seconds} s")
}

/// Why an import ended early, and what of it was done.
fn stopped(reason: &ApiError, report: &ImportReport) -> String {
    let ImportReport { rows, created, duplicates, expired, left_out, .. } = report;
    format!(
        "{}. The import stopped after {rows} rows: {created} were stored, {duplicates} were there already, {expired} had \
         expired, {left_out} were left out. Send all of it again: what is stored is not stored twice",
        detail(reason)
    )
}

/// Rounded up: who waits that long is let through.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}
