//! `/api/v1/requests`: the status of accepted writes.

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::dto::memory::MemoryAnswer;
use crate::adapters::http::openapi::scalar::{DateTime, RequestIdText};
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::RequestFailure;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::domain::memories::{RequestOutcome, RequestState};
use crate::domain::oauth::Write;

pub(crate) struct RequestsApi;

#[OpenApi(prefix_path = "/api/v1/requests", tag = "Tag::Memories")]
impl RequestsApi {
    /// Get the status of a write
    ///
    /// Whether a memory that was accepted with 202 is still pending, stored, or was refused by the memory bank and why.
    #[oai(path = "/:request_id", method = "get", operation_id = "getRequest")]
    async fn get(
        &self,
        exchange: &Exchange,
        caller: Bearer<Write>,
        /// The `request_id` in the response to the create.
        request_id: Path<RequestIdText>,
    ) -> Result<Json<RequestAnswer>, RequestFailure> {
        exchange.answer.reserve(&caller, 1).await?;
        let outcome = exchange.services.memories.outcome(&caller, request_id.0.0.parse()?).await?;
        Ok(Json(outcome.into()))
    }
}

/// The status of a write. The memory is included if it is stored and the token may read.
#[derive(Object, Serialize)]
struct RequestAnswer {
    /// `pending`, `stored` or `failed`.
    status: String,
    /// The request ID.
    request_id: String,
    /// When it was accepted.
    accepted_at: DateTime,
    /// The ID of the memory, if it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryAnswer>,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<RequestOutcome> for RequestAnswer {
    fn from(outcome: RequestOutcome) -> Self {
        let (status, memory_id, memory, reason) = match outcome.state {
            RequestState::Pending => ("pending", None, None, None),
            RequestState::Stored { id, memory } => ("stored", Some(id), memory.map(|memory| (*memory).into()), None),
            RequestState::Failed(reason) => ("failed", None, None, Some(reason)),
        };
        Self {
            status: status.to_owned(),
            request_id: outcome.request_id.to_string(),
            accepted_at: outcome.accepted_at.into(),
            memory_id: memory_id.map(|id| id.to_string()),
            memory,
            reason,
        }
    }
}
