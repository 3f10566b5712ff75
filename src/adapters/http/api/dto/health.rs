//! Health.

use poem_openapi::Object;
use serde::Serialize;

/// That the process runs.
#[derive(Object, Serialize)]
pub(in super::super) struct LiveAnswer {
    /// Always `alive`.
    pub(in super::super) status: String,
}

/// Whether requests can be answered.
#[derive(Object, Serialize)]
pub(in super::super) struct ReadyAnswer {
    /// `ready` or `not_ready`.
    pub(in super::super) status: String,
    /// What was looked at.
    pub(in super::super) checks: Vec<CheckAnswer>,
}

/// One of the things that are needed.
#[derive(Object, Serialize)]
#[oai(rename = "Check")]
pub(in super::super) struct CheckAnswer {
    /// What it is: `database`, `memory_bank`, if it is wrong `clock`, or `shutdown` while the service stops.
    pub(in super::super) name: String,
    /// `ok`, `failed` or `warning`, which keeps no request from being answered.
    pub(in super::super) status: String,
    /// Why it is not `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) reason: Option<String>,
}
