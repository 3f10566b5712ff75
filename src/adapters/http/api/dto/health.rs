//! Health.

use poem_openapi::Object;
use serde::Serialize;

/// Liveness.
#[derive(Object, Serialize)]
pub(in super::super) struct LiveAnswer {
    /// Always `alive`.
    pub(in super::super) status: String,
}

/// Readiness.
#[derive(Object, Serialize)]
pub(in super::super) struct ReadyAnswer {
    /// `ready` or `not_ready`.
    pub(in super::super) status: String,
    /// The individual checks.
    pub(in super::super) checks: Vec<CheckAnswer>,
}

/// The result of one check.
#[derive(Object, Serialize)]
#[oai(rename = "Check")]
pub(in super::super) struct CheckAnswer {
    /// Its name: `database`, `memory_bank`, `clock` if it is wrong, or `shutdown` while the service stops.
    pub(in super::super) name: String,
    /// `ok`, `failed` or `warning`, which does not affect readiness.
    pub(in super::super) status: String,
    /// Why it is not `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) reason: Option<String>,
}
