//! Responses in JSON.

use poem::http::{StatusCode, header};
use poem::{IntoResponse as _, Response};
use serde::Serialize;

/// A JSON response. Our own types always serialize; if one did not, the response would be a 500 without a body.
pub(crate) fn json_response(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => Response::builder().status(status).header(header::CONTENT_TYPE, content_type).body(bytes),
        Err(error) => {
            tracing::error!(error = %error, "failed to serialize a response");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
