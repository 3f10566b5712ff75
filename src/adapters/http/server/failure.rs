//! Error bodies.

use poem_openapi::Object;
use serde::Serialize;

/// What went wrong and how to fix it (RFC 9457).
#[derive(Object, Serialize)]
pub(in super::super) struct Problem {
    /// Identifies the kind of problem; never changes.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub(in super::super) kind: String,
    /// The kind of problem in a few words.
    pub(in super::super) title: String,
    /// The HTTP status.
    pub(in super::super) status: u16,
    /// What exactly is wrong, and how to correct it.
    pub(in super::super) detail: String,
    /// The parameter or member that was refused, as a path such as `filters.date_range.end`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) field: Option<String>,
    /// Identifies this request in the log.
    pub(in super::super) request_id: String,
}

/// An error of an OAuth endpoint (RFC 6749 §5.2).
#[derive(Object, Serialize)]
#[oai(rename = "TokenError")]
pub(in super::super) struct OAuthFailure {
    /// The error code.
    pub(in super::super) error: String,
    /// What is wrong, in plain language.
    pub(in super::super) error_description: String,
}
