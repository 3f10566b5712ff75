//! `/api/v1/import`: memories from elsewhere, as a stream.

use poem::Request;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::{Admission, Bearer};
use crate::adapters::http::server::error::{ApiError, ImportFailure};
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::adapters::http::server::streamed::LinesBody;
use crate::domain::ids::RequestId;
use crate::domain::memories::{Import, ImportReport, ImportStopped, LeftOut, Line, Lines, MemoryError};
use crate::domain::oauth::Write;

pub(crate) struct ImportApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Memories")]
impl ImportApi {
    /// Import memories
    ///
    /// One JSON object per line, as an export writes them, of any number: they are stored while they arrive. Invalid lines are
    /// left out, and the answer names them. What is there already is not stored again, so after an error send all again.
    #[oai(path = "/import", method = "post", operation_id = "importMemories")]
    async fn import(
        &self,
        request: &Request,
        exchange: &Exchange,
        caller: Bearer<Write>,
        body: LinesBody,
    ) -> Result<Json<ImportAnswer>, ImportFailure> {
        let Exchange { services, request_id, .. } = exchange;
        let admission = Admission::of(request)?;
        let mut import = services.memories.begin_import(&caller);
        let _slot = services.imports.take(&caller, import.scope().tenant())?;
        let received = receive(&mut import, body, &admission).await;
        let ended = services.memories.end_import(&caller, *request_id, import).await;
        match (received, ended) {
            (Ok(()), Ok(report)) => Ok(Json(ImportAnswer::new(*request_id, report))),
            (Err(reason), Ok(report)) => Err(stopped(reason, report).into()),
            (_, Err(ImportStopped { report, reason, .. })) => {
                Err(stopped(MemoryError::from(reason).into(), *report).into())
            }
        }
    }
}

fn stopped(reason: ApiError, report: ImportReport) -> ApiError {
    ApiError::ImportStopped { reason: Box::new(reason), report: Box::new(report) }
}

/// # Errors
/// Why the body, or the import, ended early.
async fn receive(import: &mut Import, mut body: LinesBody, admission: &Admission<Write>) -> Result<(), ApiError> {
    let mut lines = Lines::default();
    while let Some(piece) = body.next().await? {
        admission.check().await?;
        for line in lines.push(&piece) {
            take(import, line).await?;
        }
    }
    match lines.end() {
        Some(line) => take(import, line).await,
        None => Ok(()),
    }
}

async fn take(import: &mut Import, (place, line): Line) -> Result<(), ApiError> {
    match line {
        Ok(line) => import.add(place, &line).await.map_err(|stopped| MemoryError::from(stopped.reason).into()),
        Err(problem) => {
            import.leave_out(place, problem);
            Ok(())
        }
    }
}

/// What became of the lines.
#[derive(Object, Serialize)]
struct ImportAnswer {
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
struct LeftOutLine {
    /// Its number, from 1.
    line: u64,
    /// What is wrong with it.
    reason: String,
}

impl ImportAnswer {
    fn new(request_id: RequestId, report: ImportReport) -> Self {
        let ImportReport { rows, created, duplicates, expired, left_out, reasons } = report;
        let named = |left_out: LeftOut| LeftOutLine { line: left_out.place.number, reason: left_out.reason() };
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
