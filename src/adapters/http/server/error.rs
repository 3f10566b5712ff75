//! Every error and its HTTP response. Only pages for people (`pages/error.rs`) choose their own statuses.
//!
//! Under `/auth` errors are JSON objects as in RFC 6749 §5.2, everywhere else problem documents (RFC 9457) whose `type` is
//! `urn:memgate:problem:` and a slug that never changes.

mod documentation;

pub(crate) use documentation::{
    AccountFailure, BulkCreateFailure, BulkDeleteFailure, CreateFailure, DeleteFailure, GetFailure, ImportFailure,
    ListFailure, RequestFailure, SearchFailure, UpdateFailure,
};

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use poem::Response;
use poem::error::{NotFoundError, ResponseError};
use poem::http::{HeaderName, HeaderValue, StatusCode, header};

use super::failure::{NearDuplicateAnswer, OAuthFailure, Problem};
use super::json::json_response;
use super::repeated::Repeated;
use crate::adapters::http::server::limits::MAX_STREAM_BYTES;
use crate::adapters::http::server::limits::{BODY_TIMEOUT, MAX_BODY_BYTES};
use crate::domain::applications::{HasherError, Permission, Permissions, Resource};
use crate::domain::ids::RequestId;
use crate::domain::limits::RateLimited;
use crate::domain::memories::{ImportReport, MemoryBankError, MemoryError};
use crate::domain::oauth::{AccessError, AdmissionError, MissingPermission, OAuthError, Unavailable};
use crate::domain::system::StorageError;
use crate::domain::validation::InvalidValue;

const PROBLEM_JSON: &str = "application/problem+json";
const PROBLEM_TYPE: &str = "urn:memgate:problem:";
/// Where a client without a token finds out how to get one (RFC 9728 §3.1: the metadata of the resource `/api`).
const API_RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource/api";
/// The same for a client of MCP.
const MCP_RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource/mcp";
/// `Retry-After` when the duration of an outage is unknown.
pub(crate) const SHORT_WAIT: Duration = Duration::from_secs(2);
/// How long to wait for what is swept once an hour.
const UNTIL_SWEPT: Duration = Duration::from_hours(1);

/// `Retry-After` when a queue is full that drains as soon as the memory bank is available again.
const LONG_WAIT: Duration = Duration::from_secs(30);

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

/// The HTTP form of an error, in either shape.
struct ErrorResponse {
    status: StatusCode,
    /// The kind of error: the last part of the problem's type, or the code of RFC 6749.
    slug: &'static str,
    title: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The parameters of a `Bearer` challenge, where there is one.
    bearer: Option<String>,
    /// The permission that is missing.
    scope: Option<Permission>,
}

impl ErrorResponse {
    fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
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

    /// The challenge says where the metadata of the resource are (RFC 9728 §5.1), and what to ask for.
    fn write_headers_to(self, response: &mut Response, refused: Refused<'_>) {
        let headers = response.headers_mut();
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        let Some(parameters) = self.bearer else { return };
        let mut challenge = r#"Bearer realm="memgate""#.to_owned();
        if !parameters.is_empty() {
            challenge = format!("{challenge}, {parameters}");
        }
        if let Some(scope) = refused.scope.map(|all| all.to_string()).or(self.scope.map(|one| one.to_string())) {
            challenge = format!(r#"{challenge}, scope="{scope}""#);
        }
        let metadata = match refused.resource {
            Resource::Api => API_RESOURCE_METADATA,
            Resource::Mcp => MCP_RESOURCE_METADATA,
        };
        challenge = format!(r#"{challenge}, resource_metadata="{}{metadata}""#, refused.base);
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
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

fn internal() -> ErrorResponse {
    ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "An internal error occurred")
}

/// The same for an OAuth endpoint: the slug is the code of RFC 6749 §5.2.
fn of_oauth(error: &OAuthError) -> ErrorResponse {
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
            ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "").retry_after(UNTIL_SWEPT)
        }
        OAuthError::TemporarilyUnavailable(_) => {
            ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "").retry_after(SHORT_WAIT)
        }
        OAuthError::Internal(_) => ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", ""),
    }
}

/// What did not get as far as its OAuth endpoint, as such an endpoint would say it.
fn as_oauth(mut response: ErrorResponse) -> ErrorResponse {
    response.slug = if response.status.is_server_error() { "server_error" } else { "invalid_request" };
    // The challenge of another kind of credentials.
    response.bearer = None;
    response
}

/// What an error says depends on the request that it answers.
#[derive(Clone, Copy)]
pub(crate) struct Refused<'a> {
    /// Whether an OAuth endpoint was asked.
    pub(crate) under_auth: bool,
    /// Whether the request had the header `Authorization`.
    pub(crate) authorization_sent: bool,
    /// The resource whose metadata a challenge names.
    pub(crate) resource: Resource,
    /// All that a challenge tells the client to ask for; `None` for the permission that is missing.
    pub(crate) scope: Option<Permissions>,
    /// The public URL without a slash at its end.
    pub(crate) base: &'a str,
    /// Names the request.
    pub(crate) request_id: RequestId,
}

/// Turns whatever an endpoint returned as an error into an answer, and logs it, once.
pub(crate) fn render(error: &poem::Error, refused: Refused<'_>) -> Response {
    let Refused { under_auth, authorization_sent, request_id, .. } = refused;
    if let Some(RefusedGrant(error)) = error.downcast_ref() {
        let mut response = of_oauth(error);
        if !authorization_sent {
            // RFC 6749 §5.2 asks for a challenge only where the header was used. A browser that gets one to a request with
            // its credentials in the body asks the person for a password, and leaves a script's request pending.
            response.headers.retain(|(name, _)| name != header::WWW_AUTHENTICATE);
        }
        log(response.status, response.slug, error, request_id);
        return oauth_response(response, error.to_string(), refused);
    }
    if let Some(error) = error.downcast_ref() {
        return render_api(error, refused);
    }
    if error.is::<NotFoundError>() {
        return render_api(&ApiError::NoSuchPath, refused);
    }
    // Only what the framework itself refuses comes here.
    let response = match error.status() {
        status if status.is_client_error() => {
            ErrorResponse::new(status, "invalid-request", "The request is not well-formed")
        }
        _ => internal(),
    };
    let detail = "the request could not be read; compare it with /openapi.json".to_owned();
    log(response.status, response.slug, error, request_id);
    if under_auth {
        return oauth_response(as_oauth(response), detail, refused);
    }
    let problem = problem(&response, detail, request_id);
    problem_response(response, &problem, refused)
}

/// As [`render`].
pub(crate) fn render_api(error: &ApiError, refused: Refused<'_>) -> Response {
    let response = ErrorResponse::from(error);
    log(response.status, response.slug, error, refused.request_id);
    if refused.under_auth {
        return oauth_response(as_oauth(response), error.to_string(), refused);
    }
    let problem = problem_of(&response, error, refused.request_id);
    problem_response(response, &problem, refused)
}

/// Logs an error that is one of several outcomes in an answer.
pub(crate) fn as_problem(error: &ApiError, request_id: RequestId) -> Problem {
    let response = ErrorResponse::from(error);
    log(response.status, response.slug, error, request_id);
    problem_of(&response, error, request_id)
}

fn problem_of(summary: &ErrorResponse, error: &ApiError, request_id: RequestId) -> Problem {
    Problem {
        field: field(error),
        near_duplicates: near_duplicates(error),
        ..problem(summary, detail(error), request_id)
    }
}

fn near_duplicates(error: &ApiError) -> Option<Vec<NearDuplicateAnswer>> {
    match error {
        ApiError::Memory(MemoryError::NearDuplicate(near)) => Some(NearDuplicateAnswer::all(near)),
        _ => None,
    }
}

fn field(error: &ApiError) -> Option<String> {
    match error {
        ApiError::Memory(MemoryError::Invalid(invalid)) => Some(invalid.field().to_owned()),
        ApiError::Memory(MemoryError::SupersededNotFound) => Some("supersedes".to_owned()),
        _ => None,
    }
}

/// Logs an error that is answered in words, to a program that shows them to a model.
pub(crate) fn in_words(error: &ApiError, request_id: RequestId) -> String {
    let response = ErrorResponse::from(error);
    log(response.status, response.slug, error, request_id);
    if response.status.is_server_error() {
        return format!("{} (request {request_id})", detail(error));
    }
    detail(error)
}

/// What is wrong, in words that an assistant can repeat to the person before it.
fn detail(error: &ApiError) -> String {
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

fn problem_response(summary: ErrorResponse, problem: &Problem, refused: Refused<'_>) -> Response {
    let mut response = json_response(summary.status, PROBLEM_JSON, problem);
    summary.write_headers_to(&mut response, refused);
    response
}

fn problem(summary: &ErrorResponse, detail: String, request_id: RequestId) -> Problem {
    Problem {
        kind: format!("{PROBLEM_TYPE}{}", summary.slug),
        title: summary.title.to_owned(),
        status: summary.status.as_u16(),
        detail,
        field: None,
        near_duplicates: None,
        request_id: request_id.to_string(),
    }
}

fn oauth_response(summary: ErrorResponse, description: String, refused: Refused<'_>) -> Response {
    let failure = OAuthFailure { error: summary.slug.to_owned(), error_description: description };
    let mut response = json_response(summary.status, "application/json", &failure);
    summary.write_headers_to(&mut response, refused);
    response
}

/// The failures because something is unavailable, by kind.
static UNAVAILABLE: Mutex<BTreeMap<&'static str, Repeated>> = Mutex::new(BTreeMap::new());

/// Logs an error that is answered with `status`. Of each kind of unavailability, one request a second is logged as a warning,
/// with the number of those that were not.
pub(crate) fn log(status: StatusCode, kind: &'static str, error: &(dyn Error + 'static), request_id: RequestId) {
    let (code, status) = (status, status.as_u16());
    if code.is_client_error() {
        // Other texts are left out: they may name what a caller made up.
        let error = names_resources(error).then(|| error.to_string());
        tracing::debug!(request.id = %request_id, status, kind, error, "refused a request");
    } else if is_overload(error) {
        // Anybody can cause it as often as they like; the metrics count it.
        tracing::debug!(request.id = %request_id, status, kind, error = %Chain(error), "too many secrets wait to be verified");
    } else if matches!(code, StatusCode::SERVICE_UNAVAILABLE | StatusCode::NOT_IMPLEMENTED) {
        // Whoever reads no answers, or fills a queue, causes it as often as they like.
        let due =
            UNAVAILABLE.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().count(Instant::now());
        match due {
            Some(failed) => {
                tracing::warn!(request.id = %request_id, status, kind, failed, error = %Chain(error), "a request failed because something is unavailable");
            }
            None => {
                tracing::debug!(request.id = %request_id, status, kind, error = %Chain(error), "a request failed because something is unavailable");
            }
        }
    } else {
        tracing::error!(request.id = %request_id, status, kind, error = %Chain(error), "a request failed with an internal error");
    }
}

/// Whether an error says which resource was expected and which one came; these are all ours.
fn names_resources(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(ApiError::Access(AccessError::WrongAudience { .. })))
        || matches!(error.downcast_ref(), Some(OAuthError::InvalidTarget(_)))
}

/// Whether an error has come of too many secrets that wait to be verified.
fn is_overload(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref(), Some(HasherError::Overloaded))
            || matches!(error.downcast_ref(), Some(Unavailable::Hasher(HasherError::Overloaded)))
        {
            return true;
        }
        next = error.source();
    }
    false
}

/// An error with all its sources.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

/// An error of an OAuth endpoint.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct RefusedGrant(#[from] pub(crate) OAuthError);

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

#[cfg(test)]
mod tests;
