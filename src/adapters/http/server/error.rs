//! The errors of the APIs and their HTTP responses. The pages for people (`pages/error.rs`), the messages of MCP and the operator's
//! listener have their own.
//!
//! Under `/auth` errors are JSON objects as in RFC 6749 §5.2, everywhere else problem documents (RFC 9457) whose `type` is
//! `urn:memgate:problem:` and a slug that never changes.

mod documentation;
mod kinds;
mod log;
mod response;

pub(crate) use self::log::log;
pub(crate) use documentation::{
    AccountFailure, BulkCreateFailure, BulkDeleteFailure, CreateFailure, DeleteFailure, GetFailure, ImportFailure,
    ListFailure, RequestFailure, SearchFailure, UpdateFailure,
};
pub(crate) use kinds::{ApiError, RefusedGrant, SHORT_WAIT, whole_seconds};

use poem::Response;
use poem::error::NotFoundError;
use poem::http::{HeaderValue, header};

use self::kinds::detail;
use self::response::{ErrorResponse, internal, of_oauth};
use super::failure::{NearDuplicateAnswer, OAuthFailure, Problem};
use super::json::json_response;
use crate::domain::applications::{Permissions, Resource};
use crate::domain::ids::RequestId;
use crate::domain::memories::MemoryError;

const PROBLEM_JSON: &str = "application/problem+json";
const PROBLEM_TYPE: &str = "urn:memgate:problem:";
/// Where a client without a token finds out how to get one (RFC 9728 §3.1: the metadata of the resource `/api`).
const API_RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource/api";
/// The same for a client of MCP.
const MCP_RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource/mcp";

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

/// What did not get as far as its OAuth endpoint, as such an endpoint would say it.
fn as_oauth(mut response: ErrorResponse) -> ErrorResponse {
    response.slug = if response.status.is_server_error() { "server_error" } else { "invalid_request" };
    // The challenge of another kind of credentials.
    response.bearer = None;
    response
}

fn problem_response(summary: ErrorResponse, problem: &Problem, refused: Refused<'_>) -> Response {
    let mut response = json_response(summary.status, PROBLEM_JSON, problem);
    write_headers(summary, &mut response, refused);
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
    write_headers(summary, &mut response, refused);
    response
}

/// The challenge says where the metadata of the resource are (RFC 9728 §5.1), and what to ask for.
fn write_headers(summary: ErrorResponse, response: &mut Response, refused: Refused<'_>) {
    let headers = response.headers_mut();
    for (name, value) in summary.headers {
        headers.insert(name, value);
    }
    let Some(parameters) = summary.bearer else { return };
    let mut challenge = r#"Bearer realm="memgate""#.to_owned();
    if !parameters.is_empty() {
        challenge = format!("{challenge}, {parameters}");
    }
    if let Some(scope) = refused.scope.map(|all| all.to_string()).or(summary.scope.map(|one| one.to_string())) {
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

#[cfg(test)]
mod tests;
