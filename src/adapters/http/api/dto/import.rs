//! The outcome of an import.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::ids::RequestId;
use crate::domain::memories::{ImportReport, LeftOut};

/// What became of the lines.
#[derive(Object, Serialize)]
pub(in super::super) struct ImportAnswer {
    /// Always `imported`.
    status: String,
    /// The ID of this request.
    request_id: String,
    /// How many lines had something on them.
    rows: u64,
    /// How many became new memories.
    created: u64,
    /// How many were there already, or came before in the same body.
    duplicates: u64,
    /// How many had expired already, so nothing was stored.
    expired: u64,
    /// How many were left out because they are invalid, or because the memory bank refused them.
    left_out: u64,
    /// The first 100 of those that were left out.
    reasons: Vec<LeftOutLine>,
}

/// A line that was left out.
#[derive(Object, Serialize)]
pub(in super::super) struct LeftOutLine {
    /// Its number, from 1.
    line: u64,
    /// What is wrong with it.
    reason: String,
}

impl ImportAnswer {
    pub(in super::super) fn new(request_id: RequestId, report: ImportReport) -> Self {
        let ImportReport { rows, created, duplicates, expired, left_out, reasons } = report;
        let named = |LeftOut { place, reason }| LeftOutLine { line: place.number, reason };
        Self {
            status: "imported".to_owned(),
            request_id: request_id.to_string(),
            rows,
            created,
            duplicates,
            expired,
            left_out,
            reasons: reasons.into_iter().map(named).collect(),
        }
    }
}
