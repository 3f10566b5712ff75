//! Error bodies.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::memories::NearDuplicate;

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
    /// The memories that are nearly the same; of the problem `near-duplicate` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) near_duplicates: Option<Vec<NearDuplicateAnswer>>,
    /// Identifies this request in the log.
    pub(in super::super) request_id: String,
}

/// A memory that is nearly the same as a new one.
#[derive(Object, Serialize)]
#[oai(rename = "NearDuplicate")]
pub(in super::super) struct NearDuplicateAnswer {
    /// The ID of the memory.
    pub(in super::super) memory_id: String,
    /// How similar the texts are, from 0.6 to 1: the share of their sequences of three characters that both have.
    #[oai(validator(minimum(value = "0"), maximum(value = "1")))]
    pub(in super::super) similarity: f64,
}

impl NearDuplicateAnswer {
    pub(in super::super) fn all(near: &[NearDuplicate]) -> Vec<Self> {
        let answer = |near: &NearDuplicate| Self {
            memory_id: near.memory.id.to_string(),
            similarity: (near.similarity.get() * 1e4).round() / 1e4,
        };
        near.iter().map(answer).collect()
    }
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
