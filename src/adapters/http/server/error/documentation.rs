//! The errors in the OpenAPI document, per operation: clients generated from the document do not know any others.

use poem_openapi::ApiResponse;
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type;

use super::PROBLEM_JSON;
use super::kinds::{ApiError, RefusedGrant};
use crate::adapters::http::server::failure::{OAuthFailure, Problem};

/// Defines the errors of operations: each is an [`ApiError`] that is documented with these statuses.
macro_rules! failures {
    ($($(#[$doc:meta])* $name:ident: [$($status:literal $(= $text:literal)?),+];)+) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name(ApiError);

        impl<E: Into<ApiError>> From<E> for $name {
            fn from(error: E) -> Self {
                Self(error.into())
            }
        }

        impl From<$name> for poem::Error {
            fn from(failure: $name) -> Self {
                failure.0.into()
            }
        }

        impl ApiResponse for $name {
            fn meta() -> MetaResponses {
                let media = || MetaMediaType { content_type: PROBLEM_JSON, schema: Problem::schema_ref() };
                MetaResponses { responses: vec![$(documented($status, described(&[$($text)?], $status), media())),+] }
            }

            fn register(registry: &mut Registry) {
                Problem::register(registry);
            }
        }
    )+ };
}

failures! {
    /// Of operations that do not involve the memory bank.
    AccountFailure: [400, 401, 429, 500, 503];
    /// Of a search.
    SearchFailure: [400, 401, 403, 413, 415, 422, 429, 500, 501, 502, 503];
    /// Of a create.
    CreateFailure: [
        400,
        401,
        403,
        409 = "The idempotency key was used before with another body, or nearly the same is stored already.",
        413,
        415,
        422 = "The memory bank refused this, or there is no memory to supersede; `detail` says which.",
        429,
        500,
        501,
        502,
        503
    ];
    /// Of an import.
    ImportFailure: [400, 401, 403, 413, 415, 422, 429, 500, 501, 502, 503];
    /// Of a list.
    ListFailure: [400, 401, 403, 422, 429, 500, 501, 502, 503];
    /// Of reading one memory.
    GetFailure: [400, 401, 403, 404, 422, 429, 500, 501, 502, 503];
    /// Of an update.
    UpdateFailure: [400, 401, 403, 404, 413, 415, 422, 429, 500, 501, 502, 503];
    /// Of a deletion.
    DeleteFailure: [400, 401, 403, 404, 422, 429, 500, 501, 502, 503];
    /// Of several creates, each of which has an outcome of its own.
    BulkCreateFailure: [400, 401, 403, 413, 415, 429, 500, 503];
    /// Of a deletion by a filter.
    BulkDeleteFailure: [
        400,
        401,
        403,
        409 = "The memories that match the filters are not those that were confirmed.",
        413, 415, 422, 429, 500, 501, 502, 503];
    /// Of a query about an earlier request.
    RequestFailure: [400, 401, 403, 404, 429, 500, 503];
}

fn documented(status: u16, description: &'static str, media: MetaMediaType) -> MetaResponse {
    let headers = match status {
        401 | 403 => {
            vec![header(
                "WWW-Authenticate",
                "The required authentication (RFC 6750, RFC 9728).",
                MetaSchema::new("string"),
            )]
        }
        429 | 503 => vec![retry_after()],
        _ => Vec::new(),
    };
    MetaResponse { description, status: Some(status), status_range: None, content: vec![media], headers }
}

fn retry_after() -> MetaHeader {
    let seconds = MetaSchema { minimum: Some(1.0), ..MetaSchema::new("integer") };
    header("Retry-After", "Number of seconds to wait before the request is sent again.", seconds)
}

fn header(name: &str, description: &str, schema: MetaSchema) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: false,
        deprecated: false,
        schema: MetaSchemaRef::Inline(Box::new(schema)),
    }
}

/// The meaning of a status at an operation: a text of its own, or that of all.
fn described(own: &[&'static str], status: u16) -> &'static str {
    own.first().copied().unwrap_or_else(|| problem(status))
}

/// The meaning of a status at the memory API.
fn problem(status: u16) -> &'static str {
    match status {
        400 => "A value is missing or invalid; `detail` says which one and how to correct it.",
        401 => "The access token is missing, expired or revoked: get a new one.",
        403 => "The access token lacks the permission, or the category is not allowed.",
        404 => "It does not exist, or does not belong to the caller.",
        413 => "The body is too large.",
        415 => "The body has another media type than the operation takes, or is compressed.",
        422 => "The memory bank refused this; `detail` says why.",
        429 => "Too many requests: wait as long as the header `Retry-After` says.",
        501 => "The memory bank cannot do this; `/api/v1/capabilities` says what it can.",
        502 => "The memory bank does not work correctly; an operator has to fix it.",
        503 => "The service or its memory bank is unavailable: try again when the header `Retry-After` says.",
        _ => "An internal error; the operator finds it in the log by `request_id`.",
    }
}

/// The same for the OAuth endpoints.
fn refusal(status: u16) -> &'static str {
    match status {
        400 => "The request is malformed, or is not allowed; `error` says which.",
        401 => "Client authentication failed.",
        413 => "The body is too large.",
        415 => "The body is compressed.",
        429 => "Too many failed attempts or requests: wait as long as the header `Retry-After` says.",
        503 => "The service is busy or its database is unavailable; try again when the header `Retry-After` says.",
        _ => "An internal error; the operator finds it in the log by the header `X-Request-Id`.",
    }
}

impl ApiResponse for RefusedGrant {
    fn meta() -> MetaResponses {
        let media = || MetaMediaType { content_type: "application/json", schema: OAuthFailure::schema_ref() };
        let statuses = [400, 401, 413, 415, 429, 500, 503];
        MetaResponses { responses: statuses.map(|status| documented(status, refusal(status), media())).into() }
    }

    fn register(registry: &mut Registry) {
        OAuthFailure::register(registry);
    }
}
