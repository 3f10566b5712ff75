//! The errors as the OpenAPI document lists them.

use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;

use super::{ApiError, PROBLEM_JSON, RefusedGrant};
use crate::adapters::http::dto::failure::{OAuthFailure, Problem};

fn documented(status: Option<u16>, description: &'static str, media: MetaMediaType) -> MetaResponse {
    MetaResponse { description, status, status_range: None, content: vec![media], headers: Vec::new() }
}

impl ApiResponse for ApiError {
    fn meta() -> MetaResponses {
        let problem = || MetaMediaType { content_type: PROBLEM_JSON, schema: Problem::schema_ref() };
        let responses = [
            (Some(400), "A value is missing or not valid; `detail` says which and how to correct it."),
            (Some(401), "The access token is missing, expired or revoked: get a new one."),
            (Some(403), "The access token lacks the permission, or the category is not allowed."),
            (Some(429), "Too many requests: wait as long as the header `Retry-After` says."),
            (None, "Any other problem: `title` and `detail` say what it is and what to do about it."),
        ];
        MetaResponses {
            responses: responses.into_iter().map(|(status, text)| documented(status, text, problem())).collect(),
        }
    }

    fn register(registry: &mut Registry) {
        Problem::register(registry);
    }
}

impl ApiResponse for RefusedGrant {
    fn meta() -> MetaResponses {
        let failure = || MetaMediaType { content_type: "application/json", schema: OAuthFailure::schema_ref() };
        let responses = [
            (400, "The request is not well-formed, or asks for what it cannot have; `error` says which."),
            (401, "Client authentication failed."),
            (429, "Too many failed attempts: wait as long as the header `Retry-After` says."),
            (503, "The service is busy or its database is away; try again shortly."),
        ];
        MetaResponses {
            responses: responses.into_iter().map(|(status, text)| documented(Some(status), text, failure())).collect(),
        }
    }

    fn register(registry: &mut Registry) {
        OAuthFailure::register(registry);
    }
}
